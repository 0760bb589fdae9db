"""Searching the log: any combination of facets, page by page, and every look is an entry."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.entry import parse
from audit.errors import CursorInvalid, FilterInvalid, NotAnAuditor, ViewUnknown
from audit.publishing.sequencer import Sequencer
from audit.search import Hidden, Indexer, LogFilter, Per, case_key, counts, search, timeline
from audit.search.views import delete_view, save_view, saved_view, saved_views
from audit.subject_view import Reader
from audit.subjects.vault import Vault
from foundation.database import Role
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

AUDITOR = Reader(actor="auditor-01", reason="yearly check")
START = datetime(2026, 3, 1, tzinfo=UTC)
CASE = "510/PU-2026/0042"
PROVIDERS = ("dukcapil-mojokerto", "kpp-mojokerto", "dpmptsp-mojokerto")


def officers(installation):
    with installation.database.connect(Role.MIGRATOR) as connection:
        register_agency(connection, Agency("diskominfo-mojokerto", "Diskominfo", "operator"))
        for name, role in (
            ("auditor-01", OfficerRole.AUDITOR),
            ("steward-01", OfficerRole.STEWARD),
            ("steward-02", OfficerRole.STEWARD),
        ):
            register_officer(connection, Officer(name, "diskominfo-mojokerto", name, frozenset({role})))


def drafts(count, keys, case):
    """A mixed log: three providers, two outcomes, a rare rule, a subject in every hundredth entry."""
    chance = random.Random(7)
    for number in range(count):
        provider = chance.choice(PROVIDERS)
        yield EntryDraft(
            kind=EntryKind.EXCHANGE_REFUSED if number % 3 else EntryKind.EXCHANGE_ANSWERED,
            occurred_at=START + timedelta(minutes=10 * number),
            provider=provider,
            consumer=chance.choice(("diskopukm-mojokerto", "dinsos-mojokerto")),
            system="palapa-mojo",
            purpose=chance.choice(("aid-micro-business", "school-admission")),
            legal_basis="consent",
            datasets=(f"{provider}/persons",),
            decision_id=UUID(int=number),
            rules=("agreement.ended",) if number % 400 == 17 else ("allowed",),
            outcome="deny" if number % 3 else "allow",
            subject=keys if number % 100 == 5 else None,
            case_key=case if number in (205, 700, 1205) else None,
        )


COUNT = 1300


@pytest.fixture
def world(installation, canary, monkeypatch):
    """1,300 entries: five blocks indexed behind the log, the rest not yet; windows of a block or two."""
    monkeypatch.setattr("audit.search.walking._NEAR", 1)
    monkeypatch.setattr("audit.search.walking._WINDOW", 2)
    officers(installation)
    case = case_key(installation.keyring, CASE)
    with Vault(installation) as vault, installation.database.connect(Role.API) as connection:
        keys = vault.handle_for("nik", canary.nik)
        append_many(connection, drafts(COUNT, keys, case))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    with Indexer(installation) as indexer:
        assert indexer.catch_up() == 1280
        assert indexer.step() == 0
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute("SELECT entry FROM audit.entries ORDER BY entry_index").fetchall()
        yield connection, [parse(bytes(row[0])) for row in rows], keys, case


FILTERS = [
    {},
    {"kind": "exchange.answered"},
    {"kind": "exchange", "provider": "kpp-mojokerto"},
    {"agency": "dinsos-mojokerto", "outcome": "allow"},
    {"dataset": "dpmptsp-mojokerto/persons", "purpose": "school-admission"},
    {"rule": "agreement.ended"},
    {"legal_basis": "consent", "system": "palapa-mojo", "consumer": "dinsos-mojokerto"},
    {"decision": str(UUID(int=777))},
    {"decision": str(UUID(int=1299))},
    {"since": START + timedelta(days=2), "until": START + timedelta(days=3)},
    {"since": START + timedelta(days=8, hours=20), "rule": "allowed"},
    {"provider": "nobody"},
    {"batch": "none"},
]


@pytest.mark.parametrize("asked", FILTERS, ids=lambda asked: "+".join(asked) or "everything")
def test_a_search_finds_exactly_what_a_look_at_every_entry_finds(world, asked):
    connection, entries, *_ = world
    wanted = LogFilter(**asked)
    expected = [index for index, entry in enumerate(entries) if wanted.matches(entry)]
    found, cursor = [], None
    while True:
        page = search(connection, wanted, AUDITOR, cursor=cursor, limit=117)
        found += [each.index for each in page.entries]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == expected[::-1]


def test_a_subject_and_a_case_are_found_by_keys_outside_the_log(world):
    connection, entries, keys, case = world
    mine = [index for index in range(COUNT) if index % 100 == 5]
    page = timeline(connection, keys, AUDITOR, limit=8)
    rest = timeline(connection, keys, AUDITOR, limit=100, cursor=page.cursor)
    assert [each.index for each in (*page.entries, *rest.entries)] == mine[::-1]
    assert rest.cursor is None
    cases = search(connection, LogFilter(), AUDITOR, hidden=Hidden(case_key=case))
    assert [each.index for each in cases.entries] == [1205, 700, 205]
    both = search(
        connection,
        LogFilter(since=START + timedelta(days=3)),
        AUDITOR,
        hidden=Hidden(subject=keys, case_key=case),
    )
    assert [each.index for each in both.entries] == [1205]
    assert not any(CASE in str(entry) for entry in entries)


def test_a_case_number_copied_by_hand_names_the_same_case(installation):
    keyring = installation.keyring
    assert case_key(keyring, " 510/pu-2026/0042\n") == case_key(keyring, CASE) != case_key(keyring, "510")


def test_every_look_is_an_entry_that_names_the_filters_but_no_values(world, installation):
    connection, _, keys, _ = world
    search(connection, LogFilter(provider="kpp-mojokerto", rule="allowed"), AUDITOR, limit=3)
    timeline(connection, keys, AUDITOR)
    counts(connection, LogFilter(kind="exchange"), AUDITOR)
    connection.commit()
    with Sequencer(installation) as sequencer:
        assert sequencer.settle() == 3
    rows = connection.execute("SELECT entry FROM audit.entries WHERE entry_index >= %s", [COUNT]).fetchall()
    looks = [parse(bytes(row[0])) for row in rows]
    assert [look["kind"] for look in looks] == ["audit.viewed"] * 3
    assert looks[0]["details"] == {
        "view": "search", "filter": ["provider", "rule"], "entries": 3, "reason": "yearly check",
    }  # fmt: skip
    assert looks[1]["details"]["filter"] == ["subject"]
    assert looks[1]["subjects"] == [keys.tag(bytes.fromhex(looks[1]["nonce"]))]


def test_only_a_registered_auditor_searches(world):
    stranger = Reader(actor="steward-01", reason="curious")
    for look in (search, counts):
        with pytest.raises(NotAnAuditor):
            look(world[0], LogFilter(), stranger)


def test_pages_stay_right_while_the_log_grows(world, installation):
    connection = world[0]
    first = search(connection, LogFilter(outcome="allow"), AUDITOR, limit=10)
    with installation.database.connect(Role.API) as writing:
        append_many(writing, drafts(30, None, None))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    second = search(connection, LogFilter(outcome="allow"), AUDITOR, limit=10, cursor=first.cursor)
    assert second.entries[0].index == first.entries[-1].index - 3


@pytest.mark.parametrize("cursor", ["", "AAAA", "é", "MS4xLngu"])
def test_a_mangled_cursor_is_refused(world, cursor):
    with pytest.raises(CursorInvalid):
        search(world[0], LogFilter(), AUDITOR, cursor=cursor)


def test_a_cursor_belongs_to_its_filter(world):
    page = search(world[0], LogFilter(outcome="allow"), AUDITOR, limit=2)
    with pytest.raises(CursorInvalid):
        search(world[0], LogFilter(outcome="deny"), AUDITOR, cursor=page.cursor)


@pytest.mark.parametrize(
    "asked",
    [{}, {"kind": "exchange.refused"}, {"agency": "kpp-mojokerto"}, {"dataset": "kpp-mojokerto/persons"}],
    ids=str,
)
@pytest.mark.parametrize("per", list(Per))
def test_counts_add_up_to_what_a_look_at_every_entry_counts(world, asked, per):
    connection, entries, *_ = world
    wanted = LogFilter(**asked)
    found = counts(connection, wanted, AUDITOR, per=per, by="outcome")
    assert sum(each.entries for each in found) == sum(wanted.matches(entry) for entry in entries)
    allowed = sum(wanted.matches(entry) and entry["outcome"] == "allow" for entry in entries)
    assert sum(each.entries for each in found if each.group == "allow") == allowed
    assert {each.start.minute for each in found} == {0}


def test_days_begin_at_midnight_in_mojokerto(world):
    found = counts(world[0], LogFilter(), AUDITOR, per=Per.DAY)
    assert [each.entries for each in found][:3] == [102, 144, 144]  # from 07:00 on; then whole days
    by_hand = counts(world[0], LogFilter(legal_basis="consent"), AUDITOR, per=Per.DAY)
    assert found == by_hand


def test_views_are_saved_by_name_and_hold_no_person(world):
    connection = world[0]
    wanted = LogFilter(kind="exchange", since=START, outcome="deny")
    save_view(connection, "denials", LogFilter(outcome="deny"), "auditor-01")
    save_view(connection, "denials", wanted, "auditor-01")
    assert [view.name for view in saved_views(connection)] == ["denials"]
    assert saved_view(connection, "denials").filter == wanted
    with pytest.raises(NotAnAuditor):
        delete_view(connection, "denials", "steward-01")
    delete_view(connection, "denials", "auditor-01")
    with pytest.raises(ViewUnknown):
        saved_view(connection, "denials")
    for name, bad in (("Not a name", wanted), ("empty", LogFilter())):
        with pytest.raises(FilterInvalid):
            save_view(connection, name, bad, "auditor-01")


def test_a_filter_refuses_what_names_a_person(canary):
    for values in ({"actor": canary.nik}, {"provider": ""}, {"since": datetime(2026, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(FilterInvalid):
            LogFilter(**values)
    with pytest.raises(FilterInvalid):
        LogFilter.from_dict({"nik": "x"})
    with pytest.raises(FilterInvalid):
        LogFilter.from_dict({"since": "yesterday"})
