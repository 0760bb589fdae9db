"""Whole syncs of the practice agencies, over their real servers; what was injected is what is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from audit.publishing.sequencer import Sequencer
from audit.reconciliation.access_log import read_access_logs
from audit.reconciliation.accesses import compare_accesses, logged_questions
from audit.reconciliation.discrepancies import DiscrepancyKind, Reconciliation, Window
from foundation import clock
from foundation.database import Role
from foundation.errors import FixSource, RetryLater
from participants.registry import Agency, System, register_agency, register_system
from records.errors import BatchRejected
from records.findings import Verdict
from records.sync import SyncContext, SyncReport, run_sync
from sandbox.agencies import PracticeAgencies, start
from sandbox.faults import FaultKind
from sandbox.mutations import RegistryMutations, TaxSwitches

from .world import DEATHS, PERSONS, TAX, World


@pytest.fixture(scope="module")
def agencies(session_directory: Path) -> Iterator[PracticeAgencies]:
    """Two agencies with 1,200 people, and errors injected into their books."""
    running = start(session_directory / "agencies", people=1_200, seed=7)
    yield running
    running.stop()


@pytest.fixture
def practice(world: World, agencies: PracticeAgencies) -> World:
    """A world whose sources are the practice agencies."""
    agencies.refill()
    installation = world.installation
    agencies.install_secrets(installation.home / "secrets")
    with installation.database.connect(Role.STEWARD) as connection:
        for system_id, agency in (("siak", "dukcapil-mojokerto"), ("kswp", "kpp-mojokerto")):
            register_agency(connection, Agency(agency, agency))
            url = agencies.endpoints[system_id]
            register_system(connection, System(system_id, agency, system_id, "source", url, agencies.ca_pem))
    return world


def sync(world: World, dataset: str) -> SyncReport:
    return run_sync(SyncContext(world.installation), world.contracts[dataset])


def test_what_was_injected_is_what_is_quarantined_and_a_second_run_changes_nothing(
    practice: World, agencies: PracticeAgencies
) -> None:
    population = agencies.population
    sizes = {PERSONS: population.persons.height, DEATHS: population.deaths.height, TAX: population.tax.height}
    for dataset, size in sizes.items():
        report = sync(practice, dataset)
        bad = {error.row for error in population.errors if error.dataset == dataset and error.rejected}
        assert (report.read, report.quarantined) == (size, len(bad)), (dataset, report.reasons)
        assert report.published, report.broken_rules
        assert report.inserted == size - len(bad)
    again = {dataset: sync(practice, dataset) for dataset in sizes}
    assert {report.changed for report in again.values()} == {0}
    assert practice.kinds() == ["sync.started", "sync.completed"] * 6


def test_a_new_death_and_a_death_of_an_unknown_person_reach_the_records(
    practice: World, agencies: PracticeAgencies
) -> None:
    sync(practice, PERSONS)
    sync(practice, DEATHS)
    alive = practice.value(
        "SELECT nik FROM records.person_v1 p"
        " WHERE NOT EXISTS (SELECT FROM records.death_v1 d WHERE d.nik = p.nik) LIMIT 1"
    )
    change = RegistryMutations(agencies.registry)
    change.new_death(alive)
    change.death_of_unknown_person()
    report = sync(practice, DEATHS)
    assert (report.read, report.inserted, report.unchanged) == (2, 2, 0)  # a feed tells what is new
    assert (report.verdict, "person-known" in report.broken_rules) == (Verdict.WARN, True)


def test_a_truncated_snapshot_is_held_and_garbage_is_rejected(
    practice: World, agencies: PracticeAgencies
) -> None:
    known = sync(practice, PERSONS).inserted
    change = RegistryMutations(agencies.registry)
    change.truncate_snapshot()
    assert sync(practice, PERSONS).held
    agencies.refill()
    change.garbage()
    with pytest.raises(BatchRejected):
        sync(practice, PERSONS)
    assert practice.value("SELECT count(*) FROM records.person_v1") == known
    assert practice.kinds()[-3:] == ["sync.held", "sync.started", "sync.rejected"]


@pytest.mark.parametrize(
    "fault", [FaultKind.HTML, FaultKind.CUT, FaultKind.REPEATED_CURSOR, FaultKind.RENAMED_COLUMN]
)
def test_a_fault_of_the_tax_office_ends_the_batch_with_its_entry(
    practice: World, agencies: PracticeAgencies, fault: FaultKind
) -> None:
    switches = TaxSwitches(agencies.endpoints["kswp"], agencies.ca_pem, agencies.tax.practice_key)
    try:
        switches.switch_on(fault)
        with pytest.raises((FixSource, RetryLater)) as raised:
            sync(practice, TAX)
    finally:
        switches.clear()
        switches.close()
    assert raised.value.remedy
    assert practice.kinds() == ["sync.started", "sync.failed"]
    assert practice.entries()[-1]["details"]["error"] == raised.value.code


def test_what_the_agencies_served_is_what_the_log_tells_until_entries_are_suppressed(
    practice: World, agencies: PracticeAgencies
) -> None:
    window = Window(since=clock.now())

    def compared() -> Reconciliation:
        with Sequencer(practice.installation) as sequencer:
            sequencer.settle()
        result = Reconciliation(window)
        with practice.installation.database.connect(Role.AUDITOR) as connection:
            syncs, lookups = logged_questions(connection, window)
        served = read_access_logs(agencies.directory)
        compare_accesses(served, syncs, lookups, result, tolerance=timedelta(milliseconds=20))
        return result

    for dataset in (PERSONS, TAX):
        sync(practice, dataset)
    agreed = compared()
    assert (agreed.found, agreed.compared["accesses"] > 2) == ([], True)
    before_suppression = clock.now()
    sync(practice, TAX)
    with practice.installation.database.admin(practice.installation.settings.database_name) as connection:
        connection.execute("DELETE FROM audit.outbox")
    (found,) = compared().found
    assert found.kind is DiscrepancyKind.ACCESS_UNLOGGED
    assert found.window.since is not None
    assert found.window.since >= before_suppression - timedelta(seconds=1)
    assert TAX in found.what
