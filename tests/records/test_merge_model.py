"""Whatever snapshots follow each other, the tables hold what a simple model of them holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records import batches
from records.batches import BatchStatus
from records.sync import land, open_batch, publish
from records.tables import publish_contracts
from schemas.contract import Snapshot as Reading
from schemas.contract import Validity

from .world import DEATHS, World, death, nik_of
from .worlds import AnotherWorld, copies_of

Snapshot = dict[int, tuple[int, str]]  # person -> day of death, deed
SNAPSHOTS = st.lists(
    st.dictionaries(st.integers(1, 6), st.tuples(st.integers(1, 4), st.sampled_from("ab")), max_size=6),
    max_size=5,
)


@pytest.fixture
def world_in_periods(another_world: AnotherWorld, session_directory: Path) -> Iterator[AnotherWorld]:
    with another_world() as prepared:
        in_periods(prepared)
        yield copies_of(prepared, session_directory)


@given(SNAPSHOTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_tables_hold_what_the_snapshots_said(
    world_in_periods: AnotherWorld, snapshots: list[Snapshot]
) -> None:
    with world_in_periods() as world:
        said: Snapshot = {}
        for snapshot in snapshots:
            published = publish_without_assessment(world, snapshot)
            changed = {key for key in snapshot if said.get(key) != snapshot[key]}
            assert published.unchanged == len(snapshot) - len(changed)
            said = snapshot
            assert open_records(world) == said
            assert no_two_periods_of_a_record_overlap(world)


FEEDS = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=5, unique=True),
    max_size=4,
)


@given(FEEDS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_of_a_feed_the_tables_hold_the_latest_event_of_each_deed(
    another_world: AnotherWorld, feeds: list[list[tuple[int, int]]]
) -> None:
    with another_world() as world:
        latest: dict[int, tuple[int, int]] = {}
        for events in feeds:
            rows = [
                death(who, nomor=number, tgl_mati=date(2024, 1, 1 + (who + number) % 7))
                for who, number in events
            ]
            publish_rows(world, rows)
            for who, number in events:
                latest[who] = max(latest.get(who, (0, 0)), (number, 1 + (who + number) % 7))
            found = world.rows("SELECT nik, event_number, death_date FROM records.death_v1")
            assert {row["nik"]: (row["event_number"], row["death_date"].day) for row in found} == {
                nik_of(who): told for who, told in latest.items()
            }


def in_periods(world: World) -> None:
    """Let deaths be complete snapshots that tell since when a record holds, as no register of the city is."""
    contract = replace(
        world.contracts[DEATHS], source_key=("nik",), snapshot=Reading.COMPLETE, latest_by=None,
        validity=Validity("death_date"), hash="0" * 64,
    )  # fmt: skip
    world.contracts[DEATHS] = contract
    publish_contracts(world.installation, [contract])


def publish_without_assessment(world: World, snapshot: Snapshot) -> Any:
    deeds = {"a": "3576-KM-03052024-0001", "b": "3576-KM-03052024-0002"}
    return publish_rows(
        world,
        [
            death(who, tgl_mati=date(2024, 1, day), no_akta=deeds[deed])
            for who, (day, deed) in snapshot.items()
        ],
    )


def publish_rows(world: World, rows: list[dict[str, Any]]) -> Any:
    world.give(DEATHS, rows, page_rows=2)
    batch = open_batch(world.context, world.contracts[DEATHS])
    land(world.context, batch, batch.slices[0])
    with world.context.transaction() as connection:
        batches.mark(connection, batch, BatchStatus.ASSESSED, {})
    return publish(world.context, batch)


def open_records(world: World) -> Snapshot:
    rows = world.rows("SELECT nik, death_date, deed_number FROM records.death_v1 WHERE valid_to IS NULL")
    numbers = {nik_of(number): number for number in range(1, 7)}
    assert len({row["nik"] for row in rows}) == len(rows)
    letter = {"0001": "a", "0002": "b"}
    return {numbers[row["nik"]]: (row["death_date"].day, letter[row["deed_number"][-4:]]) for row in rows}


def no_two_periods_of_a_record_overlap(world: World) -> bool:
    """No two versions of one record were known at the same time."""
    overlapping = world.value(
        "SELECT count(*) FROM records.death_v1_versions a JOIN records.death_v1_versions b USING (record_id)"
        " WHERE a.recorded_from < b.recorded_from AND a.recorded_to > b.recorded_from"
    )
    return overlapping == 0
