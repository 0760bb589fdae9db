"""What changed meets what is watched, in whatever order transactions begin, read and commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from records.tags import TagKey
from verification import watches
from verification.matching import match
from verification.watches import Watch

DATASET, OTHER = "dukcapil-mojokerto/deaths", "kpp-mojokerto/tax-standing"
SOMEBODY, ANYBODY = bytes(32), bytes([1]) * 32


class Ground:
    """An installation whose watches and changes are made by hand."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.tags = TagKey.of(installation.keyring)
        self.open = ExitStack()
        self.matcher = self.connect(Role.DISPATCHER)
        self.reader = self.connect(Role.API)
        self.idle: list[psycopg.Connection[Any]] = []

    def connect(self, role: Role) -> psycopg.Connection[Any]:
        return self.open.enter_context(self.installation.database.connect(role, autocommit=True))

    def change(self, thing: bytes = SOMEBODY, dataset: str = DATASET) -> psycopg.Connection[Any]:
        """A transaction that changed something and is still open."""
        connection = self.idle.pop() if self.idle else self.connect(Role.MIGRATOR)
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO verification.signal (dataset_id, thing) VALUES (%s, %s)", (dataset, thing)
        )
        return connection

    def changed(self, thing: bytes = SOMEBODY, dataset: str = DATASET) -> None:
        self.end(self.change(thing, dataset), "COMMIT")

    def end(self, change: psycopg.Connection[Any], how: str) -> None:
        change.execute(how)
        self.idle.append(change)

    def looked(self) -> int:
        """The evidence of an answer is read now."""
        row = self.reader.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
        return int(row[0])

    def watch(
        self, seen_from: int, thing: bytes = SOMEBODY, until: dt.timedelta = dt.timedelta(days=1)
    ) -> UUID:
        answer_id = uuid4()
        watches.store(self.reader, answer_id, Watch({thing: (DATASET,)}, seen_from, clock.now() + until))
        return answer_id

    def match(self) -> int | None:
        return match(self.matcher, self.tags)

    def queued(self) -> set[UUID]:
        rows = self.matcher.execute("SELECT answer_id FROM verification.review").fetchall()
        return {row[0] for row in rows}

    def forget(self) -> None:
        for table in ("watch", "review"):
            self.matcher.execute(f"DELETE FROM verification.{table}")


@pytest.fixture
def ground(installation: Installation) -> Iterator[Ground]:
    made = Ground(installation)
    made.match()
    yield made
    made.open.close()


def test_a_change_of_what_was_relied_on_queues_the_answer_once(ground: Ground) -> None:
    answer = ground.watch(ground.looked())
    ground.changed()
    assert ground.match() == 1
    assert ground.queued() == {answer}
    assert ground.match() == 0


def test_other_people_and_other_datasets_concern_nobody(ground: Ground) -> None:
    ground.watch(ground.looked())
    ground.changed(thing=ANYBODY)
    ground.changed(dataset=OTHER)
    assert ground.match() == 0
    assert ground.queued() == set()


def test_a_watch_whose_time_is_over_watches_no_more(ground: Ground) -> None:
    ground.watch(ground.looked(), until=-dt.timedelta(seconds=1))
    ground.changed()
    assert ground.match() == 0
    assert watches.expire(ground.matcher, clock.now()) == 1


def test_a_change_that_began_earlier_and_commits_later_is_not_lost(ground: Ground) -> None:
    answer = ground.watch(ground.looked())
    slow = ground.change()
    ground.changed(thing=ANYBODY)
    assert ground.match() == 0
    slow.execute("COMMIT")
    assert ground.match() == 1
    assert ground.queued() == {answer}


def test_a_long_transaction_holds_nobody_else_back(ground: Ground) -> None:
    answer = ground.watch(ground.looked())
    ground.change(thing=ANYBODY)  # stays open
    ground.changed()
    assert ground.match() == 1
    assert ground.queued() == {answer}
    assert ground.match() == 0


def test_a_change_that_is_rolled_back_never_was(ground: Ground) -> None:
    ground.watch(ground.looked())
    ground.change().execute("ROLLBACK")
    assert ground.match() == 0


def test_an_answer_on_evidence_that_missed_a_change_is_found_although_the_change_was_matched_before(
    ground: Ground,
) -> None:
    seen_from = ground.looked()
    ground.changed()
    assert ground.match() == 0
    answer = ground.watch(seen_from)
    assert ground.match() == 1
    assert ground.queued() == {answer}
    assert ground.match() == 0


def test_two_matchers_never_work_at_once(ground: Ground) -> None:
    another = ground.connect(Role.DISPATCHER)
    another.execute("SELECT pg_advisory_lock(%s)", (0x6C696E7461730008,))
    assert ground.match() is None
    another.execute("SELECT pg_advisory_unlock_all()")
    assert ground.match() == 0


def test_a_server_that_counts_its_transactions_anew_has_everything_reviewed(ground: Ground) -> None:
    answer = ground.watch(ground.looked())
    far = 2**40 + 5
    ground.matcher.execute(f"UPDATE verification.matching SET position = '{far}:{far}:'")
    assert ground.match() == 1
    assert ground.queued() == {answer}
    ground.changed()
    assert ground.match() == 1


_STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "commit", "look", "answer", "match"]), st.integers(0, 3)),
    min_size=3,
    max_size=18,
)


def test_every_change_that_evidence_missed_is_matched_at_least_once(ground: Ground) -> None:
    """The invariant of `verification.matching`, over any interleaving of changes, answers and passes."""

    @settings(max_examples=50)
    @given(_STEPS)
    def holds(steps: list[tuple[str, int]]) -> None:
        ground.forget()
        ground.match()
        changes: dict[int, psycopg.Connection[Any]] = {}
        looks: dict[int, tuple[int, set[int]]] = {}
        committed: set[int] = set()
        owed: list[tuple[UUID, set[int]]] = []
        number = 0
        for what, which in steps:
            if what == "begin" and which not in changes:
                changes[which] = ground.change()
            elif what == "commit" and which in changes:
                ground.end(changes.pop(which), "COMMIT")
                number += 1
                committed.add(number)
            elif what == "look":
                looks[which] = (ground.looked(), set(committed))
            elif what == "answer" and which in looks:
                seen_from, saw = looks.pop(which)
                owed.append((ground.watch(seen_from), saw))
            elif what == "match":
                ground.match()
        for each in changes.values():
            ground.end(each, "ROLLBACK")
        ground.match()
        queued = ground.queued()
        missing = [answer for answer, saw in owed if committed - saw and answer not in queued]
        assert not missing

    holds()
