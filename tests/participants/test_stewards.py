"""For whom a steward may act."""

from datetime import timedelta

import pytest

from foundation import clock
from foundation.database import Role
from participants import NotASteward, NotYourAgency, ParticipantUnknown, registry, roles
from participants.registry import Agency, Officer, System
from participants.roles import OfficerRole
from participants.stewards import agency_of_dataset, steward

REGISTRY, TAXES, OPERATOR = "dukcapil-mojokerto", "kpp-mojokerto", "diskominfo-mojokerto"


@pytest.fixture
def connection(installation):
    with installation.database.connect(Role.STEWARD) as opened:
        for agency, kind in ((REGISTRY, "civil-registry"), (TAXES, "tax-office"), (OPERATOR, "operator")):
            registry.register_agency(opened, Agency(agency, agency.title(), kind))
            officer = Officer(f"{agency}-1", agency, f"of-{agency}", frozenset({OfficerRole.STEWARD}))
            registry.register_officer(opened, officer)
        auditor = Officer("auditor-1", REGISTRY, "auditor-01", frozenset({OfficerRole.AUDITOR}))
        registry.register_officer(opened, auditor)
        registry.register_system(opened, System("kswp", TAXES, "KSWP", "source"))
        yield opened


def test_a_steward_acts_for_the_datasets_of_their_own_agency_only(connection):
    theirs = steward(connection, f"of-{REGISTRY}")
    assert theirs.for_each([f"{REGISTRY}/persons", f"{REGISTRY}/deaths"]).agency_id == REGISTRY
    with pytest.raises(NotYourAgency, match=f"for a steward of {TAXES}") as refused:
        theirs.for_each([f"{REGISTRY}/persons", f"{TAXES}/taxpayers"])
    assert refused.value.code == "not-your-agency"
    assert TAXES in (refused.value.remedy or "")


def test_the_operator_runs_the_bus_but_owns_nobody_elses_data(connection):
    operators = steward(connection, f"of-{OPERATOR}")
    assert operators.for_operator().is_operators
    assert operators.for_system(connection, "kswp")
    with pytest.raises(NotYourAgency):
        operators.for_each([f"{REGISTRY}/persons"])
    with pytest.raises(NotYourAgency, match="the operator of the bus"):
        steward(connection, f"of-{REGISTRY}").for_operator()


def test_an_agreement_is_the_business_of_both_its_sides(connection):
    for side in (REGISTRY, TAXES):
        assert steward(connection, f"of-{side}").for_agency(REGISTRY, TAXES)
    with pytest.raises(NotYourAgency, match=f"{REGISTRY} or {TAXES}"):
        steward(connection, f"of-{OPERATOR}").for_agency(TAXES, REGISTRY)


def test_a_system_is_its_own_agencys_and_the_operators(connection):
    assert steward(connection, f"of-{TAXES}").for_system(connection, "kswp")
    with pytest.raises(NotYourAgency):
        steward(connection, f"of-{REGISTRY}").for_system(connection, "kswp")
    with pytest.raises(ParticipantUnknown):
        steward(connection, f"of-{TAXES}").for_system(connection, "nothing")


@pytest.mark.parametrize("pseudonym", ["auditor-01", "nobody", f"{REGISTRY}-1"])
def test_nobody_else_is_a_steward(connection, pseudonym):
    with pytest.raises(NotASteward):
        steward(connection, pseudonym)


def test_who_was_a_steward_is_none_any_more(connection):
    roles.end_role(connection, f"{TAXES}-1", OfficerRole.STEWARD, at=clock.now() - timedelta(seconds=1))
    with pytest.raises(NotASteward):
        steward(connection, f"of-{TAXES}")


def test_a_dataset_is_named_after_its_agency():
    assert agency_of_dataset("kpp-mojokerto/tax-standing") == TAXES
