"""Contradictions, possible duplicates and links across registers, as the command line shows them."""

from typing import Any

from foundation.database import Role
from lintas.access import connected, opened
from lintas.steward_view import acting_steward

__all__ = ["conflict_rows", "duplicate_rows", "link_across", "opened_conflict"]


def conflict_rows(dataset: str | None, *, closed: bool, limit: int) -> list[dict[str, Any]]:
    """Contradictions by field and dataset; never values."""
    from records.conflict_list import conflicts

    with connected(Role.STEWARD) as (_, connection):
        found = conflicts(connection, dataset_id=dataset, closed=closed, limit=limit)
    return [
        {
            "id": each.conflict_id,
            "field": each.field,
            "datasets": [each.dataset_id, each.other_dataset_id],
            "records": [each.record_id, each.other_record_id],
            "authority": each.authority,
            "found_at": each.found_at,
            "closed_at": each.closed_at,
        }
        for each in found
    ]


def opened_conflict(conflict: int, *, officer: str, reason: str) -> dict[str, Any]:
    """What the steward's own register says; that somebody looked is committed first."""
    from records.conflict_list import show

    with opened() as installation:
        acting = acting_steward(installation, officer)
        found = show(installation, conflict, agency=acting.agency_id, actor=officer, reason=reason)
    return {
        "id": found.conflict.conflict_id,
        "field": found.conflict.field,
        "authority": found.conflict.authority,
        "datasets": [found.conflict.dataset_id, found.conflict.other_dataset_id],
        **{side.dataset_id: side.value for side in found.sides},
    }


def duplicate_rows(dataset: str | None, *, limit: int) -> list[dict[str, Any]]:
    """Possible duplicates by the ids of records or quarantined rows."""
    from records.conflict_list import duplicates

    with connected(Role.STEWARD) as (_, connection):
        found = duplicates(connection, dataset_id=dataset, limit=limit)
    return [
        {"dataset": each.dataset_id, "why": each.why, "records": each.records, "found_at": each.found_at}
        for each in found
    ]


def link_across() -> dict[str, Any]:
    """Link confirmed subjects over the identifiers of other registers."""
    from records import registers

    with connected(Role.STEWARD) as (_, connection):
        return {"linked": registers.link_across(connection)}
