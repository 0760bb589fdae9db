"""Whatever snapshots follow each other, the tables hold what a simple model of them holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.installation import Installation
from records import batches
from records.batches import BatchStatus
from records.sync import land, open_batch, publish

from .world import DEATHS, World, death, introduce, nik_of

Snapshot = dict[int, tuple[int, str]]  # person -> day of death, deed
SNAPSHOTS = st.lists(
    st.dictionaries(st.integers(1, 6), st.tuples(st.integers(1, 4), st.sampled_from("ab")), max_size=6),
    max_size=5,
)


@given(SNAPSHOTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_tables_hold_what_the_snapshots_said(
    make_installation: Callable[[], Installation], snapshots: list[Snapshot]
) -> None:
    world = introduce(make_installation())
    said: Snapshot = {}
    for snapshot in snapshots:
        published = publish_without_assessment(world, snapshot)
        changed = {key for key in snapshot if said.get(key) != snapshot[key]}
        assert published.unchanged == len(snapshot) - len(changed)
        said = snapshot
        assert open_records(world) == said
        assert no_two_periods_of_a_record_overlap(world)


def publish_without_assessment(world: World, snapshot: Snapshot) -> Any:
    rows = [death(who, tgl_mati=date(2024, 1, day), no_akta=deed) for who, (day, deed) in snapshot.items()]
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
    return {numbers[row["nik"]]: (row["death_date"].day, row["deed_number"]) for row in rows}


def no_two_periods_of_a_record_overlap(world: World) -> bool:
    """No two versions of one record were known at the same time."""
    overlapping = world.value(
        "SELECT count(*) FROM records.death_v1_versions a JOIN records.death_v1_versions b USING (record_id)"
        " WHERE a.recorded_from < b.recorded_from AND a.recorded_to > b.recorded_from"
    )
    return overlapping == 0
