"""Verification names the first bad entry and the kind of damage, for every class of tampering."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import EntryDraft, EntryKind, append_many
from audit.checking import verification
from audit.checking.damage import DamageKind
from audit.checking.kept_progress import Begin, KeptProgress
from audit.checking.repeated import LeavesSeen
from audit.checking.tree_walk import Findings, TreeWalk
from audit.checking.verification import verify_installation
from audit.publishing.sequencer import Sequencer
from audit.subjects.vault import Vault
from audit.tree.merkle import leaf_hash, root_of
from foundation.database import Role

COUNT = 600
MOVE = "UPDATE audit.entries SET entry_index = entry_index"


def drafts(keys, count):
    for number in range(count):
        yield EntryDraft(
            kind=EntryKind.EXCHANGE_REFUSED,
            consumer="diskopukm-mojokerto",
            outcome="denied",
            details={"count": number},
            subject=keys if number % 50 == 0 else None,
            sealed={"request": {"number": number}} if number % 50 == 0 else None,
        )


@pytest.fixture
def log(installation):
    """A log of 600 entries under two checkpoints, 400 and 600."""
    with Vault(installation) as vault, Sequencer(installation) as sequencer:
        keys = vault.handle_for("nik", "3576024107850099")
        for count in (400, COUNT - 400):
            with installation.database.connect(Role.API) as connection:
                append_many(connection, drafts(keys, count))
            sequencer.settle()
    return installation


def tamper(log, *statements):
    with log.database.connect(Role.MIGRATOR) as connection:
        for statement in statements:
            connection.execute(statement)


def shift(amount, above):
    """Move entries without meeting each other's indexes on the way."""
    return (
        f"{MOVE} + 100000 WHERE entry_index >= {above}",
        f"{MOVE} - 100000 + {amount} WHERE entry_index >= 100000",
    )


def swap(one, other):
    return (
        f"{MOVE} + 100000 WHERE entry_index = {one}",
        f"{MOVE} + {one - other} WHERE entry_index = {other}",
        f"{MOVE} - 100000 + {other - one} WHERE entry_index >= 100000",
    )


EDIT = (
    "UPDATE audit.entries"
    " SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'denied', 'agreed'), 'UTF8')"
)
FLIP = "UPDATE audit.tiles SET hashes = set_byte(hashes, {1}, get_byte(hashes, {1}) # 1) WHERE level = {0}"
COPY = (
    "INSERT INTO audit.entries SELECT {0}, gen_random_uuid(), kind, occurred_at, provider, consumer,"
    " purpose, outcome, entry || ' ' FROM audit.entries WHERE entry_index = 0"
)
DROP = "DELETE FROM audit.entries WHERE entry_index"
ID_OF = "(SELECT entry_id FROM audit.entries WHERE entry_index = {0})"

CASES = {
    "an entry edited": ([EDIT + " WHERE entry_index = 300"], 300, DamageKind.ENTRY_EDITED),
    "the last entry edited": ([EDIT + " WHERE entry_index = 599"], 599, DamageKind.ENTRY_EDITED),
    "an entry dropped": ([DROP + " = 123"], 123, DamageKind.ENTRY_DROPPED),
    "an entry dropped, the rest moved up": (
        [DROP + " = 123", *shift(-1, 124)],
        123,
        DamageKind.ENTRY_DROPPED,
    ),
    "an entry inserted between others": ([*shift(1, 200), COPY.format(200)], 200, DamageKind.ENTRY_INSERTED),
    "an entry inserted at the end": ([COPY.format(600)], 600, DamageKind.ENTRY_INSERTED),
    "two entries reordered": ([*swap(50, 57)], 50, DamageKind.ENTRIES_REORDERED),
    "neighbours reordered": ([*swap(50, 51)], 50, DamageKind.ENTRIES_REORDERED),
    "the tail truncated": ([DROP + " >= 590"], 590, DamageKind.TAIL_TRUNCATED),
    "a search column edited": (
        ["UPDATE audit.entries SET consumer = 'kpp-mojokerto' WHERE entry_index = 77"],
        77,
        DamageKind.SEARCH_COLUMN_EDITED,
    ),
    "an entry backdated in its column": (
        ["UPDATE audit.entries SET occurred_at = occurred_at - interval '1 day' WHERE entry_index = 5"],
        5,
        DamageKind.SEARCH_COLUMN_EDITED,
    ),
    "sealed content edited": (
        [
            "UPDATE audit.sealed SET blob = set_byte(blob, 40, get_byte(blob, 40) # 1) WHERE entry_id = "
            + ID_OF.format(100)
        ],
        100,
        DamageKind.SEALED_EDITED,
    ),
    "sealed content dropped": (
        ["DELETE FROM audit.sealed WHERE entry_id = " + ID_OF.format(150)],
        150,
        DamageKind.SEALED_DROPPED,
    ),
    "sealed rows swapped": (
        [
            "UPDATE audit.sealed s SET blob = o.blob FROM audit.sealed o"
            f" WHERE s.entry_id = {ID_OF.format(100)} AND o.entry_id = {ID_OF.format(150)}"
            f" OR s.entry_id = {ID_OF.format(150)} AND o.entry_id = {ID_OF.format(100)}"
        ],
        100,
        DamageKind.SEALED_EDITED,
    ),
    "a sealed row beside an entry that names none": (
        [f"INSERT INTO audit.sealed VALUES ({ID_OF.format(33)}, 'more')"],
        33,
        DamageKind.SEALED_EDITED,
    ),
    "a search column filled that the entry leaves out": (
        ["UPDATE audit.entries SET purpose = '' WHERE entry_index = 9"],
        9,
        DamageKind.SEARCH_COLUMN_EDITED,
    ),
    "a value moved over the border between two columns": (
        [
            "UPDATE audit.entries SET consumer = consumer || E'\\x1f', purpose = NULL, outcome = '=denied'"
            " WHERE entry_index = 11"
        ],
        11,
        DamageKind.SEARCH_COLUMN_EDITED,
    ),
    "an id changed in its column": (
        ["UPDATE audit.entries SET entry_id = gen_random_uuid() WHERE entry_index = 50"],
        50,
        DamageKind.SEARCH_COLUMN_EDITED,
    ),
    "an entry replaced by something that is no entry": (
        ["UPDATE audit.entries SET entry = '[1]' WHERE entry_index = 300"],
        300,
        DamageKind.ENTRY_EDITED,
    ),
    "an entry replaced by bytes that are no text": (
        ["UPDATE audit.entries SET entry = '\\xff00' WHERE entry_index = 300"],
        300,
        DamageKind.ENTRY_EDITED,
    ),
    "an entry inserted far beyond the end": ([COPY.format(2**21 + 5)], 600, DamageKind.ENTRY_DROPPED),
    "a bit of a leaf tile flipped": (
        [FLIP.format(0, 64) + " AND tile_index = 1"],
        258,
        DamageKind.TILE_EDITED,
    ),
    "a bit of an upper tile flipped": ([FLIP.format(1, 3)], 0, DamageKind.TILE_EDITED),
    "a checkpoint changed": (
        ["UPDATE audit.checkpoints SET note = replace(note, '400', '401') WHERE tree_size = 400"],
        400,
        DamageKind.CHECKPOINT_FALSE,
    ),
    "the state row changed": (["UPDATE audit.log_state SET tree_size = 599"], 599, DamageKind.STATE_EDITED),
    "the frontier changed": (
        ["UPDATE audit.log_state SET frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)"],
        600,
        DamageKind.STATE_EDITED,
    ),
}


def test_an_untouched_log_is_intact_and_says_what_is_not_proven(log):
    report = verify_installation(log)
    assert report.intact, report.damages
    assert (report.entries, report.tree_size, report.signed_size, report.checkpoints) == (600, 600, 600, 2)
    assert "0 independent witnesses" in report.not_proven[0]


@pytest.mark.parametrize("case", CASES)
def test_tampering_is_named_with_its_entry(log, case):
    statements, index, kind = CASES[case]
    tamper(log, *statements)
    first = verify_installation(log).first
    assert first is not None
    assert (first.index, first.kind) == (index, kind), first


def test_a_history_rewritten_together_with_its_tiles_meets_the_signed_root(log):
    """Whoever rewrites entry, tiles and state row consistently still cannot sign."""
    from audit.tree.merkle import Frontier, leaf_hash
    from audit.tree.tiles import grow

    tamper(log, EDIT + ", outcome = 'agreed' WHERE entry_index = 450")
    with log.database.connect(Role.MIGRATOR) as connection:
        rows = connection.execute("SELECT entry FROM audit.entries ORDER BY entry_index").fetchall()
        leaves = [leaf_hash(bytes(row[0])) for row in rows]
        for (level, index), hashes in grow({}, 0, leaves).items():
            connection.execute(
                "UPDATE audit.tiles SET hashes = %s WHERE level = %s AND tile_index = %s",
                (hashes, level, index),
            )
        frontier = Frontier()
        frontier.extend(leaves)
        connection.execute("UPDATE audit.log_state SET frontier = %s", (frontier.to_bytes(),))
    first = verify_installation(log).first
    assert (first.index, first.kind) == (400, DamageKind.HISTORY_REWRITTEN)


def test_a_truncated_log_with_its_checkpoints_removed_meets_the_published_one(log):
    tamper(
        log,
        "DELETE FROM audit.entries WHERE entry_index >= 400",
        "DELETE FROM audit.checkpoints WHERE tree_size > 400",
    )
    report = verify_installation(log)
    assert (report.first.index, report.first.kind) == (400, DamageKind.TAIL_TRUNCATED)


def test_an_entry_that_was_logged_again_is_named_with_the_first_of_the_two():
    """A tree holds the same leaf twice as readily as any other, under roots that are truly signed."""
    leaves = [leaf_hash(b"entry %d" % number) for number in range(700)]
    leaves[650] = leaves[300]
    walk = TreeWalk({700: root_of(leaves)}, Findings())
    for start in range(0, 700, 256):
        part = leaves[start : start + 256]
        walk.take(range(start, start + len(part)), part, b"".join(part))
    walk.settle(lambda _: None)
    (damage,) = walk.findings.in_order()
    assert (damage.index, damage.kind) == (650, DamageKind.ENTRY_REPEATED)
    assert "entry 300" in damage.detail


@given(st.lists(st.binary(min_size=1, max_size=1), max_size=60), st.integers(0, 1000))
def test_a_leaf_is_repeated_exactly_when_it_stood_there_before(entries, start):
    leaves = [leaf_hash(entry) for entry in entries]
    seen = LeavesSeen()
    seen.add(start, leaves)
    again = [(i, leaves.index(leaf)) for i, leaf in enumerate(leaves) if leaf in leaves[:i]]
    found = seen.repeated()
    assert (found is None) == (not again)
    if found is not None:
        assert leaves[found[0] - start] == leaves[found[1] - start]
        assert start <= found[1] < found[0]


# --- going on -------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "_TILES_AT_ONCE", 1)
    return KeptProgress(tmp_path / "progress", b"k" * 32, "the log", seconds=0)


def killed_after_one_step(log, kept):
    """Verify in another process, and kill it (SIGKILL) after its first tile."""
    process = Path(__file__).with_name("verifying_process.py")
    root = Path(__file__).parents[2]
    environment = {**os.environ, **log.settings.as_environment(), "PYTHONPATH": str(root)}
    command = [sys.executable, str(process), str(kept.file)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        done = running.stdout.readline()
        running.send_signal(signal.SIGKILL)
    return int(done)


def test_a_walk_that_was_killed_goes_on_where_it_stopped(log, kept):
    assert killed_after_one_step(log, kept) == 256
    tamper(log, EDIT + " WHERE entry_index = 300")
    report = verify_installation(log, kept=kept)
    assert (report.first.index, report.taken.size, report.entries) == (300, 256, COUNT - 256)
    assert "not again now" in str(report.taken)
    again = verify_installation(log, kept=kept)
    assert again.first.index == 300, "what was wrong is met again"
    whole = verify_installation(log, kept=kept, begin=Begin.START)
    assert (whole.entries, whole.taken) == (COUNT, None)


def test_only_what_is_new_is_walked_when_asked(log, kept):
    assert verify_installation(log, kept=kept).entries == COUNT
    report = verify_installation(log, kept=kept, begin=Begin.LAST)
    assert (report.intact, report.taken.size, report.entries) == (True, 512, COUNT - 512)
    assert verify_installation(log, kept=kept).entries == COUNT, "without being asked, everything is"


def test_sealed_rows_are_counted_over_both_walks(log, kept):
    killed_after_one_step(log, kept)
    tamper(log, f"INSERT INTO audit.sealed VALUES ({ID_OF.format(333)}, 'more')")
    assert verify_installation(log, kept=kept).first.index == 333


def test_a_database_rolled_back_behind_what_was_walked_is_found(log, kept):
    verify_installation(log, kept=kept)
    tamper(
        log,
        "DELETE FROM audit.entries WHERE entry_index >= 400",
        "DELETE FROM audit.checkpoints WHERE tree_size > 400",
        "UPDATE audit.tiles SET hashes = substr(hashes, 1, 144 * 32) WHERE level = 0 AND tile_index = 1",
        "DELETE FROM audit.tiles WHERE level = 0 AND tile_index = 2",
        "UPDATE audit.tiles SET hashes = substr(hashes, 1, 32) WHERE level = 1",
    )
    (log.home / "log" / f"{log.settings.database_name}.checkpoint").unlink()
    for begin in Begin:
        first = verify_installation(log, kept=kept, begin=begin).first
        assert (first.index, first.kind) == (400, DamageKind.TAIL_TRUNCATED)


def test_a_changed_progress_hides_no_damage(log, kept):
    verify_installation(log, kept=kept)
    kept.file.write_text(kept.file.read_text().replace('"size": 512', '"size": 511'))
    tamper(log, EDIT + " WHERE entry_index = 300")
    damages = verify_installation(log, kept=kept, begin=Begin.LAST).damages
    assert [damage.kind for damage in damages][:2] == [DamageKind.PROGRESS_FALSE, DamageKind.ENTRY_EDITED]
