"""Old entries go by rule and by two stewards; what proves the rest stays, and nobody is fooled."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from psycopg.errors import InsufficientPrivilege

from audit import EntryDraft, EntryKind, append_many
from audit.checking.verification import verify_installation
from audit.checkpoints.keys import log_verifier_keys
from audit.errors import EntryPruned, PruningRefused, UnknownEntry
from audit.publishing.export import export_log
from audit.publishing.receipt import receipt, verify_receipt
from audit.publishing.sequencer import Sequencer
from audit.retention import (
    RetentionPolicy,
    approve,
    minimum_index,
    open_proposals,
    preview,
    propose,
    write_rules,
)
from audit.search import Indexer, LogFilter, counts, search
from audit.subject_view import Reader, show_entry
from audit.verifier import lintas_verify
from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import Settings
from participants import NotASteward, NotYourAgency
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole, end_role

READER = Reader(actor="auditor-01", reason="yearly check")
OLD = datetime(2010, 1, 1, tzinfo=UTC)
NEW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RetentionPolicy(days=3650, by_kind={})


def write(installation, count, at, kind=EntryKind.EXCHANGE_REFUSED):
    drafts = [
        EntryDraft(
            kind=kind,
            occurred_at=at + timedelta(minutes=number),
            consumer="dinsos-mojokerto",
            actor="somebody",
            outcome="deny" if kind is EntryKind.EXCHANGE_REFUSED else None,
        )
        for number in range(count)
    ]
    with installation.database.connect(Role.API) as connection:
        promises = append_many(connection, drafts)
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return promises


@pytest.fixture
def bus(installation):
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.partitioning SET width = 512")
        register_agency(connection, Agency("kominfo", "Kominfo", "operator"))
        register_agency(connection, Agency("dinsos", "Dinsos", "office"))
        for name, agency, role in (
            ("auditor-01", "kominfo", OfficerRole.AUDITOR),
            ("steward-01", "kominfo", OfficerRole.STEWARD),
            ("steward-02", "kominfo", OfficerRole.STEWARD),
            ("steward-03", "dinsos", OfficerRole.STEWARD),
        ):
            register_officer(connection, Officer(name, agency, name, frozenset({role})))
    return installation


def small_partitions(installation):
    """Give the log partitions of 512 entries from the first one on."""
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DROP TABLE audit.entries_from_0")
        connection.execute("UPDATE audit.partitioning SET width = 512, partitioned_to = 0")


def pruned(installation, before=NEW, policy=POLICY):
    with installation.database.connect(Role.STEWARD) as connection:
        proposal = propose(connection, policy, before, officer="steward-01", reason="ten years are over")
    with installation.database.connect(Role.STEWARD) as connection:
        return approve(connection, policy, proposal.pruning_id, officer="steward-02")


def test_what_is_old_goes_in_whole_blocks_and_everything_else_still_holds(bus, tmp_path):
    small_partitions(bus)
    promises = write(bus, 1_300, OLD) + write(bus, 300, NEW)
    with bus.database.connect(Role.AUDITOR, autocommit=True) as connection:
        early = str(receipt(connection, promises[7].entry_id))
    with Indexer(bus) as indexer:
        indexer.catch_up()
    assert pruned(bus) == 1_280
    with Sequencer(bus) as sequencer:
        assert sequencer.settle() == 2

    keys = log_verifier_keys(bus)
    assert verify_receipt(early, keys).index == 7
    with bus.database.connect(Role.AUDITOR, autocommit=True) as connection:
        assert minimum_index(connection) == 1_280
        assert verify_receipt(str(receipt(connection, promises[1_290].entry_id)), keys).index == 1_290
        with pytest.raises(EntryPruned, match="all entries before 1280 were pruned") as gone:
            receipt(connection, promises[7].entry_id)
        assert "A receipt that was fetched before checks as ever" in gone.value.remedy
        with pytest.raises(EntryPruned):
            show_entry(connection, 1_279, READER)
        for never in (uuid4(), UUID(int=promises[1_290].entry_id.int + (60_000 << 80))):
            with pytest.raises(UnknownEntry) as unknown:
                receipt(connection, never)
            assert not isinstance(unknown.value, EntryPruned)
        partitions = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.entries'::regclass"
        ).fetchall()
        assert ("audit.entries_from_1024",) in partitions
        assert ("audit.entries_from_512",) not in partitions
        with connection.transaction():
            page = search(connection, LogFilter(kind="exchange"), READER, limit=1000)
            assert [page.entries[0].index, page.entries[-1].index] == [1_599, 1_280]
            assert (page.cursor, page.minimum_index) == (None, 1_280)
            of_all_time = counts(connection, LogFilter(kind="exchange"), READER)
            assert sum(each.entries for each in of_all_time) == 1_600
        with connection.transaction():
            export_log(connection, tmp_path / "log", READER)

    report = verify_installation(bus)
    assert report.intact, report.damages
    assert (report.minimum_index, report.entries) == (1_280, 322)
    assert any("0 to 1279" in each for each in report.not_proven)

    (tmp_path / "keys").write_text("".join(f"{key}\n" for key in keys))
    assert (tmp_path / "log" / "minimum-index").read_text() == "1280\n"
    assert lintas_verify.main(["log", str(tmp_path / "log"), "--keys", str(tmp_path / "keys")]) == 0
    (tmp_path / "log" / "minimum-index").write_text("1024\n")
    assert lintas_verify.main(["log", str(tmp_path / "log"), "--keys", str(tmp_path / "keys")]) == 1


def test_the_preview_says_what_would_go_and_what_is_in_the_way(bus):
    write(bus, 300, OLD, EntryKind.AUDIT_VIEWED)
    write(bus, 400, OLD + timedelta(days=1))
    write(bus, 100, NEW)
    with bus.database.connect(Role.STEWARD) as connection:
        found = preview(connection, POLICY, NEW)
        assert (found.minimum_index, found.would_begin_at, found.entries) == (0, 512, 512)
        assert found.kinds == {"audit.viewed": 300, "exchange.refused": 212}
        assert (found.oldest, found.kept_by) == (OLD, "exchange.refused")
        longer = RetentionPolicy(days=3650, by_kind={"exchange": 30_000, "exchange.refused": 20_000})
        found = preview(connection, longer, NEW)
        assert (found.would_begin_at, found.kept_by) == (256, "exchange.refused")
        assert preview(connection, POLICY, OLD).entries == 0
        assert preview(connection, RetentionPolicy(30_000, {"audit": 1}), NEW).entries == 256


def test_the_policy_comes_from_the_settings(tmp_path):
    settings = Settings(home=tmp_path, audit_retention_by_kind=("audit=1825", "sync.completed=7300"))
    assert RetentionPolicy.of(settings) == RetentionPolicy(3650, {"audit": 1825, "sync.completed": 7300})
    with pytest.raises(PruningRefused):
        RetentionPolicy.of(Settings(home=tmp_path, audit_retention_by_kind=("audit=forever",)))


def test_pruning_takes_two_stewards_of_the_operator(bus):
    write(bus, 300, OLD)
    connect = bus.database.connect
    for officer, refusal in (("steward-03", NotYourAgency), ("auditor-01", NotASteward)):
        with connect(Role.STEWARD) as connection, pytest.raises(refusal):
            propose(connection, POLICY, NEW, officer=officer, reason="x")
    with connect(Role.STEWARD) as connection:
        proposal = propose(connection, POLICY, NEW, officer="steward-01", reason="x")
        assert open_proposals(connection) == [proposal]
    for officer, refusal in (
        ("steward-01", PruningRefused), ("steward-03", NotYourAgency), ("auditor-01", NotASteward),
    ):  # fmt: skip
        with connect(Role.STEWARD) as connection, pytest.raises(refusal):
            approve(connection, POLICY, proposal.pruning_id, officer=officer)
    with connect(Role.STEWARD) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("SELECT audit.prune_entries(%s, 'steward-01', now())", [proposal.pruning_id])
    with connect(Role.STEWARD) as connection, pytest.raises(PruningRefused):
        approve(connection, POLICY, uuid4(), officer="steward-02")
    with connect(Role.STEWARD) as connection, pytest.raises(PruningRefused):
        approve(connection, RetentionPolicy(30_000, {}), proposal.pruning_id, officer="steward-02")
    with connect(Role.STEWARD) as connection:
        assert approve(connection, POLICY, proposal.pruning_id, officer="steward-02") == 256
        assert open_proposals(connection) == []
    with connect(Role.STEWARD) as connection, pytest.raises(PruningRefused):
        approve(connection, POLICY, proposal.pruning_id, officer="steward-02")


def by_hand(installation, statement, *values):
    """What somebody does who has the steward's password of the database, and nothing of the bus."""
    with installation.database.connect(Role.STEWARD) as connection:
        return connection.execute(statement, values).fetchone()


def proposed_by_hand(installation, minimum_index, *, by="steward-01", before=NEW):
    return by_hand(
        installation,
        "INSERT INTO audit.prunings (pruning_id, minimum_index, before, reason, proposed_by, proposed_at)"
        " VALUES (gen_random_uuid(), %s, %s, 'by hand', %s, now()) RETURNING pruning_id",
        minimum_index, before, by,
    )[0]  # fmt: skip


@pytest.mark.parametrize(
    ("proposer", "approver"),
    [
        ("steward-01", "steward-01"),
        ("steward-01", "steward-03"),
        ("steward-03", "steward-01"),
        ("steward-01", "auditor-01"),
        ("steward-01", "nobody"),
        ("nobody", "steward-02"),
    ],
)
def test_with_the_stewards_password_alone_nobody_prunes_without_two_stewards(bus, proposer, approver):
    write(bus, 300, OLD)
    pruning = proposed_by_hand(bus, 256, by=proposer)
    with pytest.raises(InsufficientPrivilege):
        by_hand(bus, "SELECT audit.prune_entries(%s, %s, now())", pruning, approver)
    assert by_hand(bus, "SELECT minimum_index FROM audit.retention_state") == (0,)


def test_nobody_prunes_by_hand_at_the_end_of_time(bus):
    """A moment that never comes would count every role that begins one day."""
    write(bus, 300, OLD)
    pruning = proposed_by_hand(bus, 256)
    with pytest.raises(InsufficientPrivilege, match="two stewards"):
        by_hand(bus, "SELECT audit.prune_entries(%s, 'steward-02', 'infinity')", pruning)
    assert by_hand(bus, "SELECT audit.prune_entries(%s, 'steward-02', now())", pruning) == (256,)


def test_a_steward_whose_role_has_ended_prunes_nothing_by_hand(bus):
    write(bus, 300, OLD)
    pruning = proposed_by_hand(bus, 256)
    with bus.database.connect(Role.MIGRATOR) as connection:
        end_role(connection, "steward-02", OfficerRole.STEWARD)
    with pytest.raises(InsufficientPrivilege):
        by_hand(bus, "SELECT audit.prune_entries(%s, 'steward-02', now())", pruning)


def test_with_the_stewards_password_alone_nobody_prunes_what_the_rules_keep(bus):
    write(bus, 256, OLD)
    write(bus, 256, datetime(2024, 1, 1, tzinfo=UTC))
    later = "timestamptz '2100-01-01'"
    young = proposed_by_hand(bus, 512, before=datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(InsufficientPrivilege, match="by the rules"):
        by_hand(bus, f"SELECT audit.prune_entries(%s, 'steward-02', {later})", young)
    for forbidden in (
        "UPDATE audit.retention_rules SET days = 0 RETURNING 1",
        "INSERT INTO audit.retention_rules VALUES ('exchange', 0) RETURNING 1",
        "UPDATE audit.prunings SET minimum_index = 256 RETURNING 1",
        "INSERT INTO audit.prunings (pruning_id, minimum_index, before, reason, proposed_by, proposed_at,"
        " newest) VALUES (gen_random_uuid(), 256, now(), 'x', 'steward-01', now(), now()) RETURNING 1",
    ):
        with pytest.raises(InsufficientPrivilege):
            by_hand(bus, forbidden)
    old = proposed_by_hand(bus, 256, before=datetime(2100, 1, 1, tzinfo=UTC))
    assert by_hand(bus, "SELECT audit.prune_entries(%s, 'steward-02', now())", old) == (256,)
    newest = by_hand(bus, "SELECT newest FROM audit.prunings WHERE pruning_id = %s", old)
    assert newest == (OLD + timedelta(minutes=255),)


def test_the_database_holds_prunings_to_the_rules_of_the_settings_by_kind_and_family(bus):
    rules = ("audit=30000", "audit.viewed=10")
    changed = Installation.open(bus.settings.model_copy(update={"audit_retention_by_kind": rules}))
    write(bus, 256, OLD)
    write(bus, 256, OLD, EntryKind.AUDIT_VIEWED)
    write(bus, 256, OLD, EntryKind.AUDIT_EXPORTED)
    write_rules(changed)
    for minimum, is_kept in ((768, True), (512, False)):
        pruning = proposed_by_hand(bus, minimum)
        prune = ("SELECT audit.prune_entries(%s, 'steward-02', now())", pruning)
        if is_kept:
            with pytest.raises(InsufficientPrivilege, match="by the rules"):
                by_hand(bus, *prune)
        else:
            assert by_hand(bus, *prune) == (512,)
    write_rules(bus)
    assert by_hand(bus, "SELECT array_agg(of_kind) FROM audit.retention_rules") == ([""],)


@pytest.mark.parametrize("role", [Role.API, Role.AUDITOR, Role.SEQUENCER, Role.INGEST, Role.DISPATCHER])
def test_no_other_role_can_prune(bus, role):
    with bus.database.connect(role) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("SELECT audit.prune_entries(gen_random_uuid(), 'x', now())")


def test_nothing_goes_that_stands_under_no_checkpoint(bus):
    write(bus, 300, OLD)
    with bus.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.checkpoints")
    with bus.database.connect(Role.STEWARD) as connection, pytest.raises(PruningRefused):
        propose(connection, POLICY, NEW, officer="steward-01", reason="x")


def test_nothing_goes_while_a_legal_hold_is_open(bus):
    write(bus, 300, OLD)
    with bus.database.connect(Role.STEWARD) as connection:
        proposal = propose(connection, POLICY, NEW, officer="steward-01", reason="x")
        connection.execute(
            "INSERT INTO audit.legal_hold (hold_id, subject, ground, placed_by, placed_at)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'court', 'steward-01', now())"
        )
    with bus.database.connect(Role.STEWARD) as connection, pytest.raises(PruningRefused):
        approve(connection, POLICY, proposal.pruning_id, officer="steward-02")
    with (
        bus.database.connect(Role.STEWARD) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute("SELECT audit.prune_entries(%s, 'steward-02', now())", [proposal.pruning_id])


def test_a_prefix_that_somebody_removed_without_saying_so_is_found(bus):
    write(bus, 600, OLD)
    with bus.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.entries WHERE entry_index < 256")
    assert str(verify_installation(bus).first).startswith("entry 0: entry dropped")
    with bus.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.retention_state SET minimum_index = 256")
    assert "no entry says" in str(verify_installation(bus).first)
    with bus.database.connect(Role.API) as connection:  # what waits to be numbered vouches for nothing else
        append_many(
            connection, [EntryDraft(kind=EntryKind.EXCHANGE_REFUSED, occurred_at=OLD, outcome="deny")]
        )
    assert "no entry says" in str(verify_installation(bus).first)


def test_hashes_of_pruned_entries_that_were_changed_are_found(bus):
    write(bus, 600, OLD)
    pruned(bus)
    with Sequencer(bus) as sequencer:
        sequencer.settle()
    with bus.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "UPDATE audit.tiles SET hashes = set_byte(hashes, 40, 1 - get_byte(hashes, 40) % 2)"
            " WHERE level = 0 AND tile_index = 0"
        )
    report = verify_installation(bus)
    assert (report.intact, report.first.index) == (False, 0)


def test_the_log_is_pruned_again_when_its_own_entries_are_old_too(bus, monkeypatch):
    write(bus, 600, OLD)
    assert pruned(bus) == 512
    write(bus, 700, OLD)
    with pytest.raises(PruningRefused, match=r"kind audit\.pruned"):
        pruned(bus)
    later = NEW + timedelta(days=10_000)
    monkeypatch.setattr("foundation.clock.now", lambda: later)
    with pytest.raises(InsufficientPrivilege, match="by the rules"):  # the database goes by its own clock
        pruned(bus, before=later)
    with bus.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.retention_rules SET days = 0")
    assert pruned(bus, before=later) == 768
    write(bus, 10, NEW)
    assert verify_installation(bus).intact
