from datetime import UTC, datetime, timedelta

import pytest

import participants
from foundation import clock
from foundation.database import ConstraintViolated, Role
from participants import (
    Agency,
    Officer,
    OfficerRole,
    ParticipantInvalid,
    ParticipantUnknown,
    System,
    registry,
    roles,
)
from participants.standing import (
    SystemStanding,
    reinstate_agency,
    reinstate_system,
    standing,
    suspend_agency,
    suspend_system,
)

AGENCY = Agency("kpp-mojokerto", "KPP Pratama Mojokerto", "tax-office")


@pytest.fixture
def connection(installation):
    with installation.database.connect(Role.STEWARD) as opened:
        registry.register_agency(opened, AGENCY)
        registry.register_agency(opened, Agency("dukcapil-mojokerto", "Dispendukcapil Kota Mojokerto"))
        yield opened


def test_what_is_registered_is_found_again(connection):
    kswp = System("kswp", "kpp-mojokerto", "KSWP", "source", "https://127.0.0.1:8822/v1", "PEM")
    registry.register_system(connection, kswp)
    assert registry.agency(connection, "kpp-mojokerto") == AGENCY
    assert registry.system(connection, "kswp") == kswp
    assert registry.systems(connection) == [kswp]
    assert registry.systems(connection, "dukcapil-mojokerto") == []
    assert [each.agency_id for each in registry.agencies(connection)] == [
        "dukcapil-mojokerto",
        "kpp-mojokerto",
    ]


def test_a_system_is_brought_up_to_date_but_never_changes_hands(connection):
    registry.register_system(connection, System("kswp", "kpp-mojokerto", "KSWP", "source"))
    moved = System("kswp", "kpp-mojokerto", "KSWP 2", "source", "https://kswp.example.go.id/v2")
    registry.register_system(connection, moved)
    registry.register_system(connection, moved)
    assert registry.system(connection, "kswp") == moved
    with pytest.raises(ParticipantInvalid):
        registry.register_system(connection, System("kswp", "dukcapil-mojokerto", "KSWP", "source"))
    with pytest.raises(ParticipantInvalid):
        registry.register_system(connection, System("kswp", "kpp-mojokerto", "KSWP", "portal"))


def test_a_suspension_outlives_a_new_registration_and_ends_by_reinstating(connection):
    portal = System("palapa-mojo", "kpp-mojokerto", "Palapa", "portal")
    registry.register_system(connection, portal)
    suspend_agency(connection, "kpp-mojokerto")
    suspend_system(connection, "palapa-mojo")
    registry.register_agency(connection, Agency("kpp-mojokerto", "KPP Mojokerto"))
    registry.register_system(connection, System("palapa-mojo", "kpp-mojokerto", "Palapa Mojo", "portal"))
    found = standing(connection, agencies=["kpp-mojokerto", "nobody"], systems=["palapa-mojo", "nothing"])
    assert found.agencies == {"kpp-mojokerto": False}
    assert found.systems == {"palapa-mojo": SystemStanding("kpp-mojokerto", is_active=False)}
    assert not registry.agency(connection, "kpp-mojokerto").is_active
    assert not registry.system(connection, "palapa-mojo").is_active
    reinstate_agency(connection, "kpp-mojokerto")
    reinstate_system(connection, "palapa-mojo")
    assert registry.agency(connection, "kpp-mojokerto").is_active
    assert registry.system(connection, "palapa-mojo").is_active
    for change in (suspend_agency, suspend_system, reinstate_agency, reinstate_system):
        with pytest.raises(ParticipantUnknown):
            change(connection, "nobody")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://kswp.example.go.id/v1", "kswp.example.go.id:443"),
        ("https://127.0.0.1:8822", "127.0.0.1:8822"),
        ("postgresql://siak.example.go.id/siak", "siak.example.go.id:5432"),
        (None, None),
    ],
)
def test_the_address_of_an_endpoint_fits_the_allow_list(url, address):
    assert System("s", "a", "n", "source", url).address == address


def test_an_endpoint_with_a_login_is_refused_without_repeating_it(connection):
    wrong = System("siak", "kpp-mojokerto", "SIAK", "source", "postgresql://reader:hunter2@host/db")
    with pytest.raises(ParticipantInvalid) as caught:
        registry.register_system(connection, wrong)
    assert "hunter2" not in f"{caught.value} {caught.value.as_dict()}"


def test_strangers_are_named_with_a_remedy(connection):
    for find in (registry.agency, registry.system, registry.officer):
        with pytest.raises(ParticipantUnknown, match="register"):
            find(connection, "nobody")
    assert registry.find_agency(connection, "nobody") is None
    assert registry.find_system(connection, "nobody") is None
    with pytest.raises(ParticipantUnknown):
        roles.assign_role(connection, "nobody", OfficerRole.STEWARD, assigned_by="x")


def test_a_system_needs_its_agency(connection):
    with pytest.raises(ConstraintViolated):
        registry.register_system(connection, System("x", "nobody", "X", "source"))


def test_roles_keep_their_history(connection):
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    officer = Officer("rina", "kpp-mojokerto", "petugas-7f3a", frozenset({OfficerRole.STEWARD}))
    with clock.fixed(begin):
        registry.register_officer(connection, officer)
        registry.register_officer(connection, officer)
        assert registry.officer(connection, "rina") == officer
    with clock.fixed(begin + timedelta(days=1)):
        roles.end_role(connection, "rina", OfficerRole.STEWARD)
        assert not roles.holds_role(connection, "rina", OfficerRole.STEWARD)
        assert roles.holds_role(connection, "rina", OfficerRole.STEWARD, begin)
    with clock.fixed(begin + timedelta(days=2)):
        roles.assign_role(connection, "rina", OfficerRole.STEWARD, assigned_by="budi")
        assert registry.officers(connection, "kpp-mojokerto") == [officer]
    assert not roles.holds_role(connection, "rina", OfficerRole.STEWARD, begin - timedelta(days=1))


def test_an_officer_acts_for_one_agency(connection):
    registry.register_officer(connection, Officer("rina", "kpp-mojokerto", "petugas-1"))
    with pytest.raises(ParticipantInvalid):
        registry.register_officer(connection, Officer("rina", "dukcapil-mojokerto", "petugas-1"))


def test_the_room_exports_what_it_says():
    assert sorted(participants.__all__) == participants.__all__
    assert all(hasattr(participants, name) for name in participants.__all__)
