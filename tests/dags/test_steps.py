"""What becomes of a batch whose contract breaks while its run is on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dags import steps
from foundation.errors import RetryLater
from foundation.installation import Installation
from records import shapes, sync
from schemas.contracts import load_contracts
from schemas.errors import ContractInvalid
from tests.records.world import PERSONS, World, introduce, person

RUN = "scheduled-1"


@pytest.fixture
def world(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    shapes.forget()
    world = introduce(installation)
    world.give(PERSONS, [person(1)])
    monkeypatch.setattr(Installation, "open", lambda: installation)
    yield world
    shapes.forget()


def broken(monkeypatch: pytest.MonkeyPatch, folder: Path) -> ContractInvalid:
    """Break the contract's file, and give the error that a task meets then."""
    file = folder / f"{PERSONS}.odcs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("apiVersion: v3.2.0\nkind: DataContract\nid: [", encoding="utf-8")
    found = load_contracts(folder, collect=True)
    monkeypatch.setattr("schemas.contracts.load_contracts", lambda *_, **__: found)
    with pytest.raises(ContractInvalid) as caught:
        found.get(PERSONS)
    return caught.value


def test_a_batch_whose_contract_breaks_between_two_tasks_ends_with_one_entry(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batch = sync.open_batch(world.context, world.contracts[PERSONS], run_id=RUN)
    error = broken(monkeypatch, tmp_path)
    with pytest.raises(ContractInvalid):
        steps.land(PERSONS, str(batch.batch_id))
    steps.fail(PERSONS, run_id=RUN, error=error, batch_id=str(batch.batch_id))
    steps.fail(PERSONS, run_id=RUN, error=RetryLater("the run failed"))
    assert world.kinds() == ["sync.started", "sync.failed"]
    entry = world.entries()[-1]
    assert (entry["run"], entry["batch"]["batch_id"]) == (RUN, str(batch.batch_id))
    assert entry["details"] == {"error": error.code, "step": "contract"}
    assert world.value("SELECT status FROM records.batch") == "failed"


def test_a_run_that_cannot_begin_for_its_contract_has_one_entry(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = broken(monkeypatch, tmp_path)
    steps.fail(PERSONS, run_id=RUN, error=error)
    steps.fail(PERSONS, run_id=RUN, error=RetryLater("the run failed"))
    assert world.kinds() == ["sync.failed"]


def test_a_sync_after_the_contract_was_mended_clears_what_the_broken_one_staged(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batch = sync.open_batch(world.context, world.contracts[PERSONS], run_id=RUN)
    steps.fail(PERSONS, run_id=RUN, error=broken(monkeypatch, tmp_path), batch_id=str(batch.batch_id))
    assert world.sync(PERSONS).published == 1
    assert world.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == 0
