"""What runs now, and how fresh each dataset is."""

from typing import Any

from foundation.database import Role, translated
from foundation.settings import load_settings
from lintas.processes import bus_processes, practice_processes

__all__ = ["dataset_rows", "process_rows"]


def process_rows() -> list[dict[str, Any]]:
    """Each process of the group, asked as the supervisor asks it."""
    settings = load_settings()
    rows = []
    for spec in [*bus_processes(settings), *practice_processes(settings)]:
        if spec.once:
            continue
        try:
            well = spec.healthy()
        except (OSError, LookupError, TypeError, ValueError):
            well = False
        rows.append({"process": spec.name, "state": "healthy" if well else "not running"})
    return rows


def dataset_rows() -> list[dict[str, Any]]:
    """Each published dataset: when its last good reading was, and how its last batch ended."""
    from lintas.access import connected

    with translated(), connected(Role.STEWARD) as (_, connection):
        rows = connection.execute(
            "SELECT d.dataset_id, s.source_time, s.open_records, b.batch_id, b.status, b.started_at"
            " FROM records.dataset d LEFT JOIN records.dataset_state s USING (dataset_id)"
            " LEFT JOIN LATERAL (SELECT batch_id, status, started_at FROM records.batch"
            "  WHERE dataset_id = d.dataset_id ORDER BY started_at DESC LIMIT 1) b ON true"
            " ORDER BY d.dataset_id"
        ).fetchall()
    names = ("dataset", "fresh_as_of", "records", "last_batch", "state", "started_at")
    return [dict(zip(names, row, strict=True)) for row in rows]
