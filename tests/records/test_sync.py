"""A sync from an agency's rows to records, and everything that can come in between."""

from __future__ import annotations

from .world import PERSONS, World, person


def test_a_first_sync_publishes_every_good_row_and_says_so_in_the_log(world: World) -> None:
    report = world.sync(PERSONS, [person(number) for number in range(1, 251)])
    assert (report.read, report.accepted, report.inserted, report.published) == (250, 250, 250, True)
    assert world.value("SELECT count(*) FROM records.person_v1") == 250
    assert world.kinds() == ["sync.started", "sync.completed"]
