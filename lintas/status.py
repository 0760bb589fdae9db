"""Whether all is well: what runs, how fresh each dataset is, what waits for a person, how the log stands.

Every figure is a count or a moment; nothing personal is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from foundation import clock
from foundation.database import Role, translated
from lintas.processes import bus_processes, practice_processes
from lintas.sink_view import SinkState, sink_state
from lintas.timestamp_status import Timestamping, timestamping
from lintas.witness_status import Witnessing, witnessing

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.streaming.destination import StreamState
    from foundation.installation import Installation
    from foundation.settings import Settings

__all__ = [
    "Causes",
    "DatasetStatus",
    "LogStatus",
    "NoticeStatus",
    "Status",
    "Trouble",
    "gather",
    "process_rows",
]

_LATE_CHECKPOINT = timedelta(seconds=10)
"""The sequencer signs every second while entries wait; ten times that is a sequencer that does not work."""


@dataclass(frozen=True)
class DatasetStatus:
    """One published dataset against what its contract promises."""

    dataset: str
    records: int | None
    as_of: datetime | None
    """Moment of the source that was read last; None when it was never published."""
    freshness: timedelta
    """How old the reading may become (`slaProperties` of the contract)."""
    last_batch: str | None
    last_status: str | None
    started_at: datetime | None
    quarantined: int
    conflicts: int

    @property
    def due_in(self) -> timedelta | None:
        """Time left before the reading is stale; negative when it is."""
        return None if self.as_of is None else self.as_of + self.freshness - clock.now()

    @property
    def state(self) -> str:
        """In a word: fresh, overdue, never read, held or failed."""
        if self.last_status in {"held", "failed", "rejected"}:
            return self.last_status
        if self.due_in is None:
            return "never read"
        return "overdue" if self.due_in < timedelta(0) else "fresh"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the time left in seconds."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"due_in": self.due_in, "state": self.state}


@dataclass(frozen=True)
class Causes:
    """Open quarantined rows by dataset, field and rule."""

    dataset: str
    cause: str
    rows: int


@dataclass(frozen=True)
class LogStatus:
    """How the log stands."""

    entries: int
    checkpoint_size: int
    checkpoint_at: datetime | None
    waiting: int
    """Entries that are written and wait for their number."""
    refuses: bool = False
    """Whether exchanges are refused now, because nobody numbers entries or too many wait."""

    @property
    def is_late(self) -> bool:
        """Whether entries wait although no checkpoint was signed for a while."""
        behind = self.waiting > 0 or self.entries > self.checkpoint_size
        return behind and (self.checkpoint_at is None or clock.now() - self.checkpoint_at > _LATE_CHECKPOINT)


@dataclass(frozen=True)
class NoticeStatus:
    """Notices to portals: how many wait, and how many were given up and wait for a person."""

    waiting: int
    dead: int


@dataclass(frozen=True)
class Trouble:
    """Something that a person should look at, and the command that shows more."""

    what: str
    next: str


@dataclass(frozen=True)
class Status:
    """One look at the whole bus."""

    processes: Sequence[dict[str, str]]
    datasets: Sequence[DatasetStatus]
    quarantine: Sequence[Causes]
    log: LogStatus
    notices: NoticeStatus
    streams: Sequence["StreamState"] = ()
    unfinished_lookups: int = 0
    """Sources that were asked live in the last day, and nobody saw the end of it."""
    flags: int = 0
    """What the rules that watch access flagged and no auditor has judged."""
    set_aside: int = 0
    """Entries that the watch over access could not read."""
    sink: SinkState | None = None
    """The copy of the log in another failure domain, where one is kept."""
    witnessing: Witnessing = field(default_factory=Witnessing)
    timestamping: Timestamping = field(default_factory=Timestamping)

    @property
    def troubles(self) -> list[Trouble]:
        """What is not well, the most pressing first; empty when all is."""
        found = [
            Trouble(f"the process {each['process']} does not run", "lintas up")
            for each in self.processes
            if each["state"] != "healthy"
        ]
        if self.log.refuses:
            found.append(Trouble("the log does not keep up: exchanges are refused", "lintas up"))
        if self.log.is_late:
            found.append(
                Trouble(f"{self.log.waiting:,} entries wait for their number", "lintas audit verify")
            )
        if self.sink is not None and self.sink.problem is not None:
            found.append(Trouble(self.sink.problem, "lintas audit sink verify"))
        found += [Trouble(each, "lintas witness list") for each in self.witnessing.problems]
        found += [Trouble(each, "lintas audit timestamps") for each in self.timestamping.problems]
        for each in self.datasets:
            if trouble := _trouble_of(each):
                found.append(trouble)
        if self.notices.dead:
            found.append(Trouble(f"{self.notices.dead:,} notices were given up", "lintas notices list"))
        if self.flags:
            found.append(Trouble(f"{self.flags:,} flags wait for an auditor", "lintas audit attention list"))
        if self.set_aside:
            what = f"{self.set_aside:,} entries are damaged: nobody watches the access they tell of"
            found.append(Trouble(what, "lintas audit verify"))
        if self.unfinished_lookups:
            what = f"{self.unfinished_lookups:,} live look-ups have no completion in the log"
            found.append(Trouble(what, "lintas lookups unfinished"))
        found += [
            Trouble(
                f"the stream {each.name} fails ({each.problem}), {each.waiting:,} entries wait",
                "lintas audit streams status",
            )
            for each in self.streams
            if each.is_failing
        ]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data for programs."""
        return {
            "well": not self.troubles,
            "troubles": self.troubles,
            "processes": self.processes,
            "datasets": [each.as_dict() for each in self.datasets],
            "quarantine": self.quarantine,
            "log": self.log,
            "sink": self.sink,
            "notices": self.notices,
            "streams": self.streams,
            "unfinished_lookups": self.unfinished_lookups,
            "flags": self.flags,
            "set_aside": self.set_aside,
            "witnessing": self.witnessing,
            "timestamping": self.timestamping,
        }


def gather(installation: "Installation") -> Status:
    """Look at everything once.

    Raises:
        LintasError: When the database cannot be asked.
    """
    processes = process_rows(installation.settings)
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        return Status(
            processes=processes,
            datasets=_datasets(connection),
            quarantine=_causes(connection),
            log=_log(connection),
            sink=sink_state(connection),
            notices=_notices(connection),
            streams=_streams(connection),
            unfinished_lookups=_unfinished_lookups(connection),
            flags=_flags(connection),
            set_aside=_set_aside(connection),
            witnessing=witnessing(connection),
            timestamping=timestamping(connection, installation.settings),
        )


def process_rows(settings: "Settings") -> list[dict[str, str]]:
    """Each process of the group, asked as the supervisor asks it."""
    rows = []
    practice = practice_processes(settings) if (settings.home / "sandbox").exists() else []
    for spec in [*bus_processes(settings), *practice]:
        if spec.once:
            continue
        try:
            well = spec.healthy()
        except (OSError, LookupError, TypeError, ValueError):
            well = False
        rows.append({"process": spec.name, "state": "healthy" if well else "not running"})
    return rows


def _trouble_of(dataset: DatasetStatus) -> Trouble | None:
    what = {
        "held": f"a batch of {dataset.dataset} is held and waits for a steward",
        "failed": f"the last sync of {dataset.dataset} failed",
        "rejected": f"the last batch of {dataset.dataset} was rejected",
        "overdue": f"{dataset.dataset} is overdue: its answers are stale",
        "never read": f"{dataset.dataset} was never read",
    }.get(dataset.state)
    if what is None:
        return None
    command = "lintas batches list" if dataset.last_batch else f"lintas sync {dataset.dataset}"
    return Trouble(what, command)


def _datasets(connection: "Connection[Any]") -> list[DatasetStatus]:
    rows = connection.execute(
        "SELECT d.dataset_id, s.open_records, s.source_time, d.freshness, b.batch_id::text, b.status,"
        " b.started_at, coalesce(q.rows, 0), c.fields"
        " FROM records.dataset d LEFT JOIN records.dataset_state s USING (dataset_id)"
        " LEFT JOIN LATERAL (SELECT batch_id, status, started_at FROM records.batch"
        "  WHERE dataset_id = d.dataset_id ORDER BY started_at DESC LIMIT 1) b ON true"
        " LEFT JOIN (SELECT dataset_id, count(*) AS rows FROM quality.quarantine_row"
        "  WHERE state = 'open' GROUP BY 1) q USING (dataset_id)"
        " LEFT JOIN LATERAL (SELECT count(*) AS fields FROM quality.conflict"
        "  WHERE closed_at IS NULL AND d.dataset_id IN (dataset_id, other_dataset_id)) c ON true"
        " ORDER BY d.dataset_id"
    )
    return [DatasetStatus(*row) for row in rows]


def _causes(connection: "Connection[Any]") -> list[Causes]:
    rows = connection.execute(
        "SELECT dataset_id, coalesce(nullif(e ->> 'field', ''), '*') || ':' || (e ->> 'rule'),"
        " count(DISTINCT row_id) FROM quality.quarantine_row, jsonb_array_elements(errors) e"
        " WHERE state = 'open' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    )
    return [Causes(*row) for row in rows]


def _log(connection: "Connection[Any]") -> LogStatus:
    from audit.backlog import is_behind

    row = connection.execute(
        "SELECT (SELECT tree_size FROM audit.log_state),"
        " coalesce((SELECT max(tree_size) FROM audit.checkpoints), 0),"
        " (SELECT signed_at FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1),"
        " (SELECT count(id) FROM audit.outbox)"
    ).fetchone()
    assert row is not None
    return LogStatus(row[0], row[1], row[2], row[3], is_behind(connection))


def _notices(connection: "Connection[Any]") -> NoticeStatus:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'dead')"
        " FROM verification.notice"
    ).fetchone()
    assert row is not None
    return NoticeStatus(*row)


def _flags(connection: "Connection[Any]") -> int:
    row = connection.execute("SELECT count(*) FROM audit.attention_flag WHERE state = 'open'").fetchone()
    return row[0] if row else 0


def _set_aside(connection: "Connection[Any]") -> int:
    row = connection.execute("SELECT count(*) FROM audit.attention_set_aside").fetchone()
    return row[0] if row else 0


def _streams(connection: "Connection[Any]") -> "list[StreamState]":
    from audit.streaming.destination import states

    return states(connection)


def _unfinished_lookups(connection: "Connection[Any]") -> int:
    from verification.unfinished import count_unfinished

    return count_unfinished(connection)
