"""Pruning the log by the rules of retention, as the command line does it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from lintas.access import connected

if TYPE_CHECKING:
    from audit.retention import Proposal, PruningPreview

__all__ = ["approved", "previewed", "proposed", "waiting"]


def previewed(before: datetime | None) -> dict[str, Any]:
    """What could be removed now."""
    from audit.retention import RetentionPolicy, preview

    with connected(Role.STEWARD) as (installation, connection):
        return _shown(preview(connection, RetentionPolicy.of(installation.settings), _local(before)))


def proposed(before: datetime | None, *, officer: str, reason: str) -> dict[str, Any]:
    """Propose to remove it."""
    from audit.retention import RetentionPolicy, propose

    with connected(Role.STEWARD) as (installation, connection):
        policy = RetentionPolicy.of(installation.settings)
        proposal = propose(connection, policy, _local(before), officer=officer, reason=reason)
    return _told(proposal)


def waiting() -> list[dict[str, Any]]:
    """Proposals that wait for a second steward."""
    from audit.retention import open_proposals

    with connected(Role.STEWARD) as (_, connection):
        return [_told(each) for each in open_proposals(connection)]


def approved(proposal: UUID, *, officer: str) -> dict[str, Any]:
    """Approve a proposal, and remove its entries."""
    from audit.retention import RetentionPolicy, approve, minimum_index

    with connected(Role.STEWARD) as (installation, connection):
        policy = RetentionPolicy.of(installation.settings)
        count = approve(connection, policy, proposal, officer=officer)
        return {"pruned": count, "minimum_index": minimum_index(connection)}


def _shown(found: "PruningPreview") -> dict[str, Any]:
    return {
        "entries": found.entries,
        "minimum_index": found.minimum_index,
        "would_begin_at": found.would_begin_at,
        "oldest": found.oldest,
        "newest": found.newest,
        "kinds": dict(found.kinds),
        "kept_by": found.kept_by,
    }


def _told(proposal: "Proposal") -> dict[str, Any]:
    return {
        "proposal": str(proposal.pruning_id),
        "minimum_index": proposal.minimum_index,
        "before": proposal.before,
        "reason": proposal.reason,
        "proposed_by": proposal.proposed_by,
    }


def _local(before: datetime | None) -> datetime:
    from zoneinfo import ZoneInfo

    from audit.search.counting import LOCAL_ZONE
    from foundation import clock

    if before is None:
        return clock.now()
    return before.replace(tzinfo=ZoneInfo(LOCAL_ZONE))
