"""What several registers say about one subject: contradictions, duplicates, relations, identifiers, feeds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from foundation import clock
from foundation.database import Role
from participants import NotYourAgency
from records import conflict_list, registers
from records.errors import ConflictNotFound
from records.evidence import EvidenceStatus, Need, evidence
from records.findings import Verdict
from records.identity import Applicant, ConfirmedSubject, confirm
from records.references import asked_by, resolve
from records.relations import RelationEvidence, RelationKind, RelationTarget, relation_evidence
from records.tags import TagKey
from schemas.identifiers import Nik

from .world import (
    BIRTHS,
    BUSINESSES,
    DEATHS,
    FAMILIES,
    LICENSES,
    PATIENTS,
    PERSONS,
    World,
    birth,
    business,
    card_of,
    death,
    family,
    ihs_of,
    license_of,
    nib_of,
    nik_of,
    patient,
    person,
)

CHILD, MOTHER, HEAD, STRANGER = 300, 1, 2, 3
BORN = date(clock.now().year - 6, 1, 5)
CHILD_NIK = f"3576020501{BORN:%y}0300"


@pytest.fixture
def registry(world: World) -> World:
    """A family of three with the child's birth deed, and fifty others."""
    child = person(
        CHILD, nik=CHILD_NIK, tgl_lhr=BORN, stat_hbkel=4, nik_ibu=nik_of(MOTHER), no_kk=card_of(9),
        nama_lgkp="DEWI KECIL",
    )  # fmt: skip
    others = [person(number) for number in range(10, 60)]
    parents = [person(MOTHER, no_kk=card_of(9), stat_hbkel=3), person(HEAD, no_kk=card_of(9), stat_hbkel=1)]
    world.sync(PERSONS, [child, *parents, person(STRANGER), *others])
    world.sync(FAMILIES, [family(9, HEAD), family(10, STRANGER)])
    world.sync(
        BIRTHS, [birth(1, nik=CHILD_NIK, tgl_lhr=BORN, nama_lgkp="DEWI KECIL", nik_ibu=nik_of(MOTHER))]
    )
    return world


def confirmed(world: World, number: int) -> ConfirmedSubject:
    with world.vault() as vault, world.api() as connection:
        return confirm(connection, vault, Applicant(Nik(nik_of(number)), name="Budi Santoso"), "polres")


def relation(world: World, number: int, kind: RelationKind, target: str, value: str) -> RelationEvidence:
    subject = confirmed(world, number)
    tagged = RelationTarget.tagged(target, value, TagKey.of(world.installation.keyring))
    with world.api() as connection:
        return relation_evidence(connection, subject, kind, tagged)


def test_a_guardian_is_proven_by_deed_registry_or_family_card(registry: World) -> None:
    mother = relation(registry, MOTHER, RelationKind.GUARDIAN_OF, "nik", CHILD_NIK)
    assert mother.relation is not None
    assert mother.relation.grounds == ("birth-deed", "parent-in-registry")
    assert set(mother.relation.datasets) == {PERSONS, BIRTHS}
    assert len(mother.relation.record_ids) == 2
    head = relation(registry, HEAD, RelationKind.GUARDIAN_OF, "nik", CHILD_NIK)
    assert head.relation is not None
    assert head.relation.grounds == ("head-of-family",)
    stranger = relation(registry, STRANGER, RelationKind.GUARDIAN_OF, "nik", CHILD_NIK)
    assert (stranger.status, stranger.relation) == (EvidenceStatus.ABSENT, None)
    grown_up = relation(registry, MOTHER, RelationKind.GUARDIAN_OF, "nik", nik_of(10))
    assert grown_up.relation is None
    assert CHILD_NIK not in repr(mother)


def test_a_relation_about_whom_a_row_waits_in_quarantine_is_not_proven_by_that_register(
    registry: World,
) -> None:
    rejected = birth(2, nik=CHILD_NIK, tgl_lhr=BORN, nik_ibu=nik_of(STRANGER), nomor=9, jenis_klmin=7)
    registry.sync(BIRTHS, [birth(40), birth(41), rejected])
    found = relation(registry, MOTHER, RelationKind.GUARDIAN_OF, "nik", CHILD_NIK)
    assert found.relation is not None
    assert found.relation.grounds == ("parent-in-registry",)


def test_an_owner_is_proven_by_the_number_on_the_business(world: World) -> None:
    world.sync(PERSONS, [person(number) for number in range(1, 20)])
    world.sync(BUSINESSES, [business(1, 1), business(2, 2)])
    world.sync(LICENSES, [license_of(1, 1), license_of(2, 1)])
    mine = relation(world, 1, RelationKind.OWNER_OF, "nib", nib_of(1))
    assert mine.relation is not None
    assert mine.relation.grounds == ("business", "license")
    contested = relation(world, 1, RelationKind.OWNER_OF, "nib", nib_of(2))
    assert (contested.status, contested.relation) == (EvidenceStatus.CONFLICT, None)
    assert relation(world, 3, RelationKind.OWNER_OF, "nib", nib_of(1)).relation is None


BIRTH_DATE = Need("person", PERSONS, ("name", "birth_date"))


def test_a_contradiction_is_found_shown_without_values_and_closed_when_registers_agree(world: World) -> None:
    world.sync(PERSONS, [person(number) for number in range(1, 30)])
    world.sync(PATIENTS, [patient(1), patient(2, birth_date="1990-01-02")])
    published = world.entries()[-1]["batch"]
    assert published["conflicts"] == 1
    with world.installation.database.connect(Role.STEWARD) as connection:
        (found,) = conflict_list.conflicts(connection)
    assert (found.field, found.authority) == ("birth_date", PERSONS)
    assert {found.dataset_id, found.other_dataset_id} == {PERSONS, PATIENTS}
    subject = confirmed(world, 2)
    with world.api() as connection:
        told = evidence(connection, subject, [BIRTH_DATE], clock.now())["person"]
    assert told.status is EvidenceStatus.CONFLICT
    assert told.values == {"name": "BUDI SANTOSO"}
    (contradiction,) = told.contradictions
    assert (contradiction.field, contradiction.datasets) == ("birth_date", (PATIENTS, PERSONS))
    assert "1990" not in repr(told)
    feed = world.rows("SELECT action FROM records.change_feed WHERE dataset_id = %s AND action NOT IN"
                      " ('inserted', 'updated', 'closed')", [PERSONS])  # fmt: skip
    assert [row["action"] for row in feed] == ["contradicted"]

    world.sync(PATIENTS, [patient(2, last_updated="2026-02-01T00:00:00+00:00")])
    assert world.entries()[-1]["batch"]["conflicts_closed"] == 1
    with world.api() as connection:
        assert evidence(connection, subject, [BIRTH_DATE], clock.now())["person"].status == "present"
    with world.installation.database.connect(Role.STEWARD) as connection:
        assert conflict_list.conflicts(connection) == []
        assert len(conflict_list.conflicts(connection, closed=True)) == 1


def test_looking_at_a_contradiction_is_logged_before_its_values_are_shown(world: World) -> None:
    world.sync(PERSONS, [person(number) for number in range(1, 30)])
    world.sync(PATIENTS, [patient(2, gender="female")])
    conflict = world.value("SELECT conflict_id FROM quality.conflict")
    told = {}
    for dataset in (PERSONS, PATIENTS):
        who = {"agency": dataset.partition("/")[0], "actor": "walidata-02", "reason": "complaint 7"}
        shown = conflict_list.show(world.installation, conflict, **who)
        told |= {side.dataset_id: side.value for side in shown.sides}
        assert [side.dataset_id for side in shown.sides] == [dataset], "each agency sees its own register"
        assert "male" not in repr(shown)
        entry = world.entries("conflict.")[-1]
        assert (entry["actor"], entry["details"]["reason"]) == ("walidata-02", "complaint 7")
        assert entry["fields"] == [f"{dataset}:sex"]
    assert told == {PERSONS: "male", PATIENTS: "female"}
    assert nik_of(2) not in json.dumps(entry)
    with pytest.raises(ConflictNotFound):
        conflict_list.show(world.installation, 999_999, **who)
    with pytest.raises(NotYourAgency):
        conflict_list.show(world.installation, conflict, **who | {"agency": "kpp-mojokerto"})


def test_a_contradiction_ends_with_the_record_that_made_it(world: World) -> None:
    world.sync(PERSONS, [person(number) for number in range(1, 150)])
    world.sync(PATIENTS, [patient(149, gender="female")])
    assert world.value("SELECT count(*) FROM quality.conflict WHERE closed_at IS NULL") == 1
    world.sync(PERSONS, [person(number) for number in range(1, 149)])
    assert world.value("SELECT count(*) FROM quality.conflict WHERE closed_at IS NULL") == 0


def test_one_person_under_two_numbers_is_flagged_and_both_records_stay(world: World) -> None:
    twin = person(2, nik_ibu=nik_of(90), nama_lgkp="AGUS SALIM")
    rows = [person(1, nik_ibu=nik_of(90), nama_lgkp="Agus Salim"), twin]
    world.sync(PERSONS, [*rows, *(person(number) for number in range(3, 40))])
    assert world.entries()[-1]["batch"]["duplicates"] == 1
    with world.installation.database.connect(Role.STEWARD) as connection:
        (found,) = conflict_list.duplicates(connection)
    assert (found.why, len(found.records)) == ("same-mother", 2)
    assert world.value("SELECT count(*) FROM records.person_v1") == 39
    world.sync(PERSONS, [rows[0], twin | {"nama_lgkp": "AGUS SALAM"}, *(person(n) for n in range(3, 40))])
    assert world.value("SELECT count(*) FROM identity.duplicate WHERE closed_at IS NULL") == 0


def test_two_persons_under_one_number_are_shown_and_neither_is_picked(world: World) -> None:
    world.sync(PERSONS, [*(person(number) for number in range(1, 40)), person(7, nama_lgkp="LAIN ORANG")])
    with world.installation.database.connect(Role.STEWARD) as connection:
        (found,) = conflict_list.duplicates(connection)
    assert (found.dataset_id, found.why, len(found.records)) == (PERSONS, "same-number", 2)
    assert world.rows("SELECT 1 FROM records.person_v1 WHERE nik = %s", [nik_of(7)]) == []


def test_whoever_listens_is_woken_by_the_commit_of_a_publish_and_told_nothing_personal(world: World) -> None:
    with psycopg.connect(world.admin_conninfo, autocommit=True) as listener:
        listener.execute("LISTEN lintas_change")
        world.sync(PERSONS, [person(number) for number in range(1, 30)])
        (told,) = list(listener.notifies(timeout=10, stop_after=1))
    assert json.loads(told.payload).keys() == {"dataset", "batch", "changed"}
    assert json.loads(told.payload)["changed"] == 29


def test_the_latest_word_of_a_feed_holds_within_a_batch_and_between_batches(world: World) -> None:
    deed = "3576-KM-03052024-0001"
    first = death(1, no_akta=deed, nomor=5)
    corrected = death(2, no_akta=deed, nomor=9)  # the deed was written for the wrong person
    report = world.sync(DEATHS, [corrected, first, death(3, nomor=6)], page_rows=1)
    assert (report.read, report.inserted, report.quarantined) == (3, 2, 0)
    assert world.value("SELECT nik FROM records.death_v1 WHERE deed_number = %s", [deed]) == nik_of(2)
    late = world.sync(DEATHS, [first])  # read again, by an overlap
    assert (late.changed, late.unchanged) == (0, 1)
    assert world.value("SELECT nik FROM records.death_v1 WHERE deed_number = %s", [deed]) == nik_of(2)
    newest = world.sync(DEATHS, [death(2, no_akta=deed, nomor=12, tgl_mati=date(2024, 4, 30))])
    assert newest.updated == 1
    found = world.value("SELECT death_date FROM records.death_v1 WHERE deed_number = %s", [deed])
    assert found == date(2024, 4, 30)


def test_two_different_rows_under_one_number_of_a_feed_are_quarantined(world: World) -> None:
    deed = "3576-KM-03052024-0001"
    rows = [death(1, no_akta=deed, nomor=5), death(2, no_akta=deed, nomor=5)]
    report = world.sync(DEATHS, [*rows, *(death(number, nomor=number) for number in range(10, 60))])
    assert (report.quarantined, report.inserted) == (2, 50)


def test_a_rejected_row_of_a_feed_is_settled_by_a_later_row_of_the_same_batch(world: World) -> None:
    wrong = death(1, nomor=5, tgl_mati=date(2926, 1, 1))
    world.sync(DEATHS, [wrong, *(death(n, nomor=n) for n in range(10, 60)), death(1, nomor=70)])
    assert world.value("SELECT state FROM quality.quarantine_row") == "superseded"


def test_what_an_agency_deletes_is_closed_and_told(world: World) -> None:
    from connectors.source import Operation

    world.sync(PERSONS, [person(number) for number in range(1, 200)])
    source = world.give(PERSONS, [person(5)])
    source.operation = Operation.DELETE
    report = world.sync(PERSONS)
    assert report.closed == 1
    assert world.rows("SELECT 1 FROM records.person_v1 WHERE nik = %s", [nik_of(5)]) == []
    fed = "SELECT action FROM records.change_feed ORDER BY change_id DESC LIMIT 1"
    assert world.value(fed) == "closed"


def test_a_license_of_a_dead_owner_is_published_and_flagged(world: World) -> None:
    world.sync(DEATHS, [death(4)])
    report = world.sync(LICENSES, [license_of(n, n) for n in range(1, 20)])
    assert (report.verdict, report.published, report.flagged) == (Verdict.WARN, True, 1)
    assert "owner-alive" in report.broken_rules


def test_a_rule_on_a_register_that_was_never_published_is_skipped_and_says_so(world: World) -> None:
    report = world.sync(LICENSES, [license_of(n, n) for n in range(1, 20)])
    assert "owner-alive" not in report.broken_rules
    (finding,) = [each for each in findings(world) if each["rule"] == "owner-alive"]
    assert finding["skipped"] == "Not checked: a dataset of type Death was never published."


def findings(world: World) -> list[dict[str, Any]]:
    return world.value("SELECT findings FROM quality.assessment ORDER BY assessed_at DESC LIMIT 1")


def test_a_reference_of_the_contract_is_measured_by_great_expectations(world: World) -> None:
    from schemas.quality import Comparison, DatasetReference, Dimension, Metric, QualityRule, Severity

    rule = QualityRule(
        name="owner-registered", metric=Metric.DANGLING_REFERENCES, fields=("owner_nik",),
        comparison=Comparison.BE, bounds=(0,), severity=Severity.WARNING, dimension=Dimension.CONSISTENCY,
        reference=DatasetReference(PERSONS, "nik", when=(("status", ("approved",)),)),
        description="The owner is a person.",
    )  # fmt: skip
    contract = replace(world.contracts[LICENSES], quality=(*world.contracts[LICENSES].quality, rule))
    world.contracts = world.contracts | {LICENSES: contract}
    skipped = world.sync(LICENSES, [license_of(n, n) for n in range(1, 20)])
    assert skipped.verdict is Verdict.PASS
    (finding,) = [each for each in findings(world) if each["rule"] == "owner-registered"]
    assert finding["skipped"] == f"Not checked: {PERSONS} was never published."
    world.sync(PERSONS, [person(number) for number in range(1, 19)])
    unknown_but_refused = license_of(20, 99, kd_status="90")
    report = world.sync(LICENSES, [*(license_of(n, n) for n in range(1, 20)), unknown_but_refused])
    (finding,) = [each for each in findings(world) if each["rule"] == "owner-registered"]
    assert (finding["checked"], finding["failed"], finding["passed"]) == (20, 1, False)
    assert finding["expectation"] == "expect_references_to_hold"
    assert report.verdict is Verdict.WARN
    assert world.value("SELECT count(*) FROM quality.flag WHERE rule = 'owner-registered'") == 1


def test_identifiers_of_several_registers_lead_to_one_subject(registry: World) -> None:
    registry.sync(BUSINESSES, [business(1, MOTHER, npwp_perseroan=None), business(2, 10)])
    registry.sync(LICENSES, [license_of(1, MOTHER, no_identitas_penanggung_jwb=None), license_of(2, 10)])
    registry.sync(PATIENTS, [patient(MOTHER)])
    subject = confirmed(registry, MOTHER)
    with registry.installation.database.connect(Role.STEWARD) as connection:
        known = registers.identifiers_of(connection, nik_of(MOTHER))
        assert {(each.kind, each.value) for each in known} == {
            ("family-card", card_of(9)), ("nib", nib_of(1)), ("ihs", ihs_of(MOTHER)),
        }  # fmt: skip
        assert nik_of(MOTHER) not in repr(known)
        assert registers.link_across(connection) == 2  # the license that names no owner, and the family card
        assert registers.link_across(connection) == 0
    linked = registry.rows(
        "SELECT dataset_id FROM identity.link WHERE subject_id = %s"
        " AND why LIKE 'the record carries the number%%'",
        [subject.keys.handle],
    )
    assert {row["dataset_id"] for row in linked} == {LICENSES, FAMILIES}


def test_stale_registers_prove_no_relation(registry: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = confirmed(registry, MOTHER)
    target = RelationTarget("nik", CHILD_NIK)
    later = clock.now() + timedelta(days=40)
    with registry.api() as connection:
        found = relation_evidence(connection, subject, RelationKind.GUARDIAN_OF, target, now=later)
    assert (found.status, found.relation) == (EvidenceStatus.STALE, None)


def test_a_rule_across_datasets_is_asked_as_a_join_whatever_the_size(registry: World) -> None:
    """As a condition of an aggregate it would look through the other register once a row."""
    contract = registry.contracts[PERSONS]
    with registry.installation.database.connect(Role.INGEST) as connection:
        (found,) = [each for each in resolve(connection, contract, asked_by(contract)) if not each.skipped]
        plan = "\n".join(
            row[0]
            for row in connection.execute(
                f"EXPLAIN SELECT count(*) FROM records.person_v1 s WHERE {found.condition}"  # type: ignore[arg-type]
            )
        )
    assert "Anti Join" in plan
    assert "SubPlan" not in plan
