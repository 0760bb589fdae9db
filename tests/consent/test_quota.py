import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from consent import quota
from consent.decision import decide
from consent.errors import QuotaExhausted
from consent.quota import QuotaLeases, quota_day, take_quota
from foundation.database import Role

from .facts import NOW, facts, request

DAY = date(2026, 11, 21)


@pytest.fixture
def pool(installation):
    with installation.database.pool(Role.API, min_size=2, max_size=6) as pool:
        yield pool


def leased(pool, agreement_id="pks") -> int:
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT leased FROM consent.quota_day WHERE agreement_id = %s", [agreement_id]
        ).fetchone()
    return row[0] if row else 0


def test_many_threads_and_processes_never_take_more_than_the_quota_and_can_take_all_of_it(pool):
    quota, takers = 500, [QuotaLeases(pool.connection, block=block) for block in (1, 7, 64, 1000)]
    taken, lock = [0], threading.Lock()

    def work(leases: QuotaLeases) -> None:
        while leases.take("pks", DAY, quota):
            with lock:
                taken[0] += 1

    with ThreadPoolExecutor(16) as executor:
        list(executor.map(work, takers * 4))
    assert taken[0] == quota
    assert leased(pool) == quota


def test_unused_units_come_back_when_a_process_ends(pool):
    with QuotaLeases(pool.connection, block=10) as leases:
        assert leases.take("pks", DAY, 100)
        assert leases.available("pks", DAY) == 9
        assert leased(pool) == 10
    assert leased(pool) == 1


def test_a_killed_process_loses_its_block_but_lets_nothing_extra_through(pool):
    killed = QuotaLeases(pool.connection, block=8)
    assert killed.take("pks", DAY, 64)
    survivor, taken = QuotaLeases(pool.connection), 0
    while survivor.take("pks", DAY, 64):
        taken += 1
    assert taken == 64 - 8


def test_blocks_shrink_as_the_day_runs_low(pool):
    first, second = QuotaLeases(pool.connection), QuotaLeases(pool.connection)
    assert first.take("pks", DAY, 16)
    assert leased(pool) == 2
    assert second.take("pks", DAY, 16)
    assert leased(pool) == 3


def test_a_forked_child_does_not_use_its_parents_units(pool):
    leases = QuotaLeases(pool.connection, block=10)
    assert leases.take("pks", DAY, 100)
    leases._process = os.getpid() + 1
    assert leases.available("pks", DAY) == 0


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    seconds = [0.0]
    monkeypatch.setattr(quota, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


def test_blocks_grow_while_they_do_not_last_and_shrink_when_they_last_long(pool, clock):
    leases, grown = QuotaLeases(pool.connection, block=2), []

    def use_up():
        before = leased(pool)
        assert leases.take("pks", DAY, 10**6)
        while leases.available("pks", DAY):
            leases.take("pks", DAY, 10**6)
        grown.append(leased(pool) - before)

    for seconds in (0, 9, 9, 11, 41, 41, 41):
        clock[0] += seconds
        use_up()
    assert grown == [2, 4, 8, 8, 4, 2, 2]


def test_no_block_is_larger_than_may_be(pool, clock):
    leases = QuotaLeases(pool.connection, block=quota.MOST_BLOCK)
    for _ in range(quota.MOST_BLOCK + 1):
        assert leases.take("pks", DAY, 10**6)
    assert leased(pool) == 2 * quota.MOST_BLOCK


def test_a_lowered_quota_counts_what_was_already_taken(pool, clock):
    leases = QuotaLeases(pool.connection, block=1)
    for _ in range(10):
        clock[0] += 20
        assert leases.take("pks", DAY, 100)
    assert not leases.take("pks", DAY, 10)
    assert leases.take("pks", DAY, 11)


def test_each_day_has_its_own_quota(pool):
    leases = QuotaLeases(pool.connection)
    assert leases.take("pks", DAY, 1)
    assert not leases.take("pks", DAY, 1)
    assert leases.take("pks", date(2026, 11, 22), 1)


def test_the_day_is_that_of_western_indonesia():
    assert quota_day(datetime(2026, 11, 20, 16, 59, tzinfo=UTC)) == date(2026, 11, 20)
    assert quota_day(datetime(2026, 11, 20, 17, 0, tzinfo=UTC)) == date(2026, 11, 21)


@pytest.fixture
def decision():
    return replace(decide(request(), facts()), quotas={"pks-a": 8, "pks-b": 1})


def test_all_quotas_of_a_decision_are_taken_or_none(pool, decision):
    leases = QuotaLeases(pool.connection, block=1)
    with pool.connection() as connection:
        take_quota(connection, decision, leases, at=NOW)
        with pytest.raises(QuotaExhausted) as caught:
            take_quota(connection, decision, leases, at=NOW)
    assert caught.value.attributes["agreement_id"] == "pks-b"
    assert leases.available("pks-a", DAY) == 1


def test_units_of_an_exchange_that_did_not_happen_are_given_back(pool, decision):
    leases = QuotaLeases(pool.connection, block=1)
    with pool.connection() as connection:
        taken = take_quota(connection, decision, leases, at=NOW)
        taken.give_back()
        take_quota(connection, decision, leases, at=NOW)


def test_without_leases_the_unit_lives_and_dies_with_the_transaction(pool, decision):
    with pool.connection() as connection:
        take_quota(connection, decision, at=NOW)
        connection.rollback()
        assert leased(pool, "pks-b") == 0
        take_quota(connection, decision, at=NOW)
        connection.commit()
    assert leased(pool, "pks-b") == 1
