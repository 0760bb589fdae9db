"""A process that runs a sync and is killed where it is told to be: `python killed_worker.py ROWS WHERE`."""

from __future__ import annotations

import os
import signal
import sys

from foundation.installation import Installation
from foundation.settings import load_settings
from records.context import Progress
from records.sync import SyncContext, run_sync
from schemas.contracts import load_contracts
from tests.records.world import PERSONS, FrameSource, person


def main(rows: int, where: str) -> None:
    """Run a sync of that many persons; die without a word at `land:N`, `merged` or `committing`."""

    def watch(progress: Progress) -> None:
        if where in (f"{progress.step}:{progress.read}", progress.detail):
            os.kill(os.getpid(), signal.SIGKILL)

    source = FrameSource(PERSONS, [person(number) for number in range(1, rows + 1)], page_rows=50)
    if where.startswith("inside:"):  # between the COPY of a page and its commit
        _die_while_writing(int(where.partition(":")[2]))
    context = SyncContext(Installation.open(load_settings()), source_of=lambda *_: source)
    run_sync(context, load_contracts().get(PERSONS), watch)


def _die_while_writing(page: int) -> None:
    from records import ledger

    note = ledger.note

    def dying(connection, batch, slice_id, page_no, *rest, **options):
        note(connection, batch, slice_id, page_no, *rest, **options)
        if page_no == page:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.note = dying


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
