from datetime import timedelta

from consent.agreement import end_agreement
from consent.matrix import matrix
from consent.vocabulary import LegalBasis, Mode, Verb
from foundation.database import Role
from participants.standing import suspend_agency

from .facts import NOW, OFFICE, PERSONS, PURPOSE, REGISTRY, STANDING, TAX, terms


def test_the_matrix_holds_every_agreed_use_and_nothing_else(practice):
    practice.publish_both(verbs=(Verb.DISCLOSE,), modes=(Mode.VERIFY, Mode.READ), quota_per_day=10)
    with practice.connect(Role.AUDITOR) as connection:
        cells = matrix(connection, NOW)
    assert {(cell.dataset, cell.mode) for cell in cells} == {
        (dataset, mode) for dataset in (PERSONS, STANDING) for mode in Mode
    }
    assert all(cell.allowed and cell.needs_consent and cell.purpose == PURPOSE for cell in cells)
    assert cells[0].fields == ("birth_date", "name", "nik")
    assert cells[0].as_dict()["agreement"]["revision"] == 1


def test_what_ended_ran_out_or_was_suspended_stands_with_its_rules(practice):
    first, _ = practice.publish_both(valid_until=NOW + timedelta(days=10))
    practice.publish(terms(agreement_id="pks-emergency", legal_basis=LegalBasis.VITAL_INTEREST))
    with practice.connect(Role.STEWARD) as connection:
        end_agreement(connection, first.terms.agreement_id, ended_by=OFFICE, reason="done", at=NOW)
        suspend_agency(connection, TAX)
    with practice.connect() as connection:
        cells = {cell.agreement.id: cell for cell in matrix(connection, NOW)}
        later = {cell.agreement.id: cell for cell in matrix(connection, NOW + timedelta(days=10))}
    assert cells[first.terms.agreement_id].rules == ("agreement.ended",)
    assert cells[f"pks-{TAX}-1"].rules == ("provider.suspended",)
    assert cells["pks-emergency"].allowed
    assert cells["pks-emergency"].needs_emergency
    assert set(later[first.terms.agreement_id].rules) == {"agreement.ended", "agreement.expired"}
    assert cells["pks-emergency"].provider == REGISTRY
