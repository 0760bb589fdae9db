"""The processes of the log's benchmark: bulk writers and a sequencer, each its own process."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier, Event
from uuid import UUID, uuid4

from audit import SubjectHandle, SubjectKeys
from audit.entry import EntryDraft, EntryKind, RevisionReference
from audit.log import append_many
from audit.publishing.sequencer import Sequencer
from audit.search import Indexer
from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import Settings

__all__ = ["BULK", "draft", "sequencing", "subjects", "writers"]

BULK = 5_000
_SPAWN = multiprocessing.get_context("spawn")
_AGREEMENT = RevisionReference("pks-dukcapil-diskopukm-2026", 3, "5f" * 32)
_FIELDS = tuple(f"dukcapil-mojokerto/persons:{name}" for name in ("nik", "region_code", "birth_date"))


def draft(subject: SubjectKeys | None = None, decision: UUID | None = None) -> EntryDraft:
    """An entry as a verification writes it: about 800 bytes. A decision that has no number yet gets one."""
    return EntryDraft(
        kind=EntryKind.EXCHANGE_REFUSED,
        provider="dukcapil-mojokerto",
        consumer="diskopukm-mojokerto",
        system="palapa-mojo",
        purpose="aid-micro-business",
        legal_basis="consent",
        agreements=(_AGREEMENT,),
        datasets=("dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths", "kpp-mojokerto/tax-standing"),
        fields=_FIELDS,
        decision_id=decision or uuid4(),
        rules=("agreement.purpose-not-covered",),
        outcome="deny",
        subject=subject,
    )


def subjects(count: int) -> list[SubjectKeys]:
    """Made-up persons, the same in every process."""
    return [
        SubjectKeys(SubjectHandle(UUID(int=number)), number.to_bytes(32), (number + count).to_bytes(32))
        for number in range(1, count + 1)
    ]


@contextmanager
def writers(settings: Settings, count: int, processes: int) -> Iterator[Barrier]:
    """Bulk writers that wait at the barrier before they append `count` entries together."""
    ready = _SPAWN.Barrier(processes + 1)
    started = [
        _SPAWN.Process(target=_write, args=(settings, count // processes, ready)) for _ in range(processes)
    ]
    with _running(started):
        yield ready
        for process in started:
            process.join()
            if process.exitcode:
                raise SystemExit("a writer of the benchmark failed")


@contextmanager
def sequencing(settings: Settings, *, indexing: bool = True) -> Iterator[None]:
    """A sequencer at work, with the search indexer beside it as `lintas sequencer` runs it."""
    ready, stop = _SPAWN.Event(), _SPAWN.Event()
    process = _SPAWN.Process(target=_sequence, args=(settings, indexing, ready, stop))
    with _running([process]):
        if not ready.wait(60):
            raise SystemExit("the sequencer of the benchmark did not start")
        yield
        stop.set()
        process.join(30)


@contextmanager
def _running(processes: list[multiprocessing.context.SpawnProcess]) -> Iterator[None]:
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()


def _write(settings: Settings, count: int, ready: Barrier) -> None:
    people = subjects(5_000)
    with Installation.open(settings).database.connect(Role.API) as connection:
        ready.wait()
        for start in range(0, count, BULK):
            drafts = (draft(people[n % len(people)]) for n in range(start, min(count, start + BULK)))
            with connection.transaction():
                append_many(connection, drafts)


def _sequence(settings: Settings, indexing: bool, ready: Event, stop: Event) -> None:
    installation = Installation.open(settings)
    ending = threading.Event()
    follower = threading.Thread(target=Indexer(installation).run, args=(ending,), daemon=True)
    worker = threading.Thread(target=Sequencer(installation).run, args=(ending,))
    if indexing:
        follower.start()
    worker.start()
    ready.set()
    stop.wait()
    ending.set()
    worker.join()
    if indexing:
        follower.join()
