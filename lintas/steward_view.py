"""What a steward does with batches and quarantined rows, by name and with a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from lintas.access import connected, opened

if TYPE_CHECKING:
    from foundation.installation import Installation
    from participants.stewards import Steward
    from records.repair import Repair
    from schemas.contract import Contract

__all__ = [
    "acting_steward",
    "batch_report",
    "batch_rows",
    "datasets_of_rows",
    "discard_rows",
    "reject_batch",
    "release_batch",
    "repair_rows",
    "replay_rows",
    "return_rows",
]


def batch_rows(dataset: str | None, status: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest batches."""
    from records.batch_list import recent_batches

    with connected(Role.STEWARD) as (_, connection):
        found = recent_batches(connection, dataset_id=dataset, status=status, limit=limit)
    return [
        {
            "batch": each.batch_id,
            "dataset": each.dataset_id,
            "status": each.status,
            "started_at": each.started_at,
            "broken_rules": each.broken_rules,
            "reason": each.reason,
            "released_by": each.released_by,
        }
        for each in found
    ]


def release_batch(batch: UUID, *, officer: str, reason: str) -> dict[str, Any]:
    """Release a held batch and publish it."""
    from records.endings import release
    from records.sync import SyncContext, publish, take_over

    with opened() as installation:
        contract = _contract_of_batch(installation, batch, officer)
        release(installation, batch, actor=officer, reason=reason)
        context = SyncContext(installation)
        published = publish(context, take_over(context, contract, batch))
    return {
        "batch": batch,
        "dataset": contract.id,
        "status": "published",
        "inserted": published.inserted,
        "updated": published.updated,
        "closed": published.closed,
        "unchanged": published.unchanged,
    }


def reject_batch(batch: UUID, *, officer: str, reason: str) -> dict[str, Any]:
    """Reject a held batch for good; what was true before stays."""
    from records.endings import reject_held

    with opened() as installation:
        acting_steward(installation, officer).for_each([_dataset_of_batch(installation, batch)])
        reject_held(installation, batch, actor=officer, reason=reason)
    return {"batch": batch, "status": "rejected"}


def replay_rows(
    dataset: str,
    rows: Sequence[int],
    corrections: Mapping[int, Mapping[str, Any]],
    *,
    officer: str,
    reason: str,
) -> dict[str, Any]:
    """Send quarantined rows through the pipeline again."""
    from records.replay import replay
    from records.sync import SyncContext

    with opened() as installation:
        contract = _own_contract(installation, dataset, officer)
        done = replay(
            SyncContext(installation), contract, rows, actor=officer, reason=reason, corrections=corrections
        )
    return {
        "rows": done.rows,
        "accepted": done.accepted,
        "quarantined": done.quarantined,
        "assessment": str(done.assessment.verdict),
        "published": done.published is not None,
    }


def discard_rows(rows: Sequence[int], *, officer: str, reason: str) -> dict[str, Any]:
    """Set rows aside for good."""
    from records.quarantine import discard

    with opened() as installation:
        acting_steward(installation, officer).for_each(datasets_of_rows(installation, rows))
        return {"discarded": discard(installation, rows, actor=officer, reason=reason)}


def batch_report(batch: UUID) -> dict[str, Any]:
    """What was checked of a batch; its page is made anew."""
    from records import data_docs

    with connected(Role.STEWARD) as (installation, connection):
        docs = data_docs.read(connection, batch)
        page = data_docs.write(installation.home, docs)
    found = docs.as_dict()
    found["findings"] = [
        {**each, "outcome": each["skipped"] or ("holds" if each["passed"] else "broken")}
        for each in found["findings"]
    ]
    return {**found, "page": str(page)}


def repair_rows(
    dataset: str, repair: "Repair", rows: Sequence[int] | None, *, officer: str, reason: str, preview: bool
) -> dict[str, Any]:
    """Repair quarantined rows by rule, or say what that would do."""
    from records import repair as repairing
    from records.sync import SyncContext

    with opened() as installation:
        contract = _own_contract(installation, dataset, officer)
        if preview:
            plan, done = (
                repairing.plan(installation, contract, repair, rows, actor=officer, reason=reason),
                None,
            )
        else:
            plan, done = repairing.repair(
                SyncContext(installation), contract, repair, rows, actor=officer, reason=reason
            )
    told = {
        "rule": str(repair),
        "looked_at": plan.looked_at,
        "changed": plan.changed,
        "mended": plan.mended,
        "still_rejected": dict(plan.left),
        "only_the_producer": plan.left_out,
    }
    if done is not None:
        told |= {
            "published": done.published is not None,
            "accepted": done.accepted,
            "quarantined": done.quarantined,
        }
    return told


def return_rows(
    dataset: str, rows: Sequence[int] | None, path: Path, *, officer: str, reason: str
) -> dict[str, Any]:
    """Hand open rows back to their producer as a file."""
    from records import returning

    with opened() as installation:
        acting_steward(installation, officer).for_each([dataset])
        done = returning.return_rows(installation, dataset, path, rows, actor=officer, reason=reason)
    return {"dataset": dataset, "rows": done.rows, "file": str(done.path)}


def acting_steward(installation: "Installation", pseudonym: str) -> "Steward":
    """Who acts; ask the result whether they may do so for the agency concerned.

    Raises:
        NotASteward: When the pseudonym is no steward's.
    """
    from participants.stewards import steward

    with installation.database.connect(Role.STEWARD) as connection:
        return steward(connection, pseudonym)


def datasets_of_rows(installation: "Installation", rows: Sequence[int]) -> list[str]:
    """The datasets of some quarantined rows."""
    from records.quarantine import datasets_of

    with installation.database.connect(Role.STEWARD) as connection:
        return datasets_of(connection, rows)


def _contract_of_batch(installation: "Installation", batch: UUID, officer: str) -> "Contract":
    acting = acting_steward(installation, officer)
    dataset = _dataset_of_batch(installation, batch)
    acting.for_each([dataset])
    return _contract(installation, dataset)


def _dataset_of_batch(installation: "Installation", batch: UUID) -> str:
    from records.batch_list import find_batch

    with installation.database.connect(Role.STEWARD) as connection:
        return find_batch(connection, batch).dataset_id


def _own_contract(installation: "Installation", dataset: str, officer: str) -> "Contract":
    acting_steward(installation, officer).for_each([dataset])
    return _contract(installation, dataset)


def _contract(installation: "Installation", dataset: str) -> "Contract":
    from schemas.contracts import load_contracts

    return load_contracts(installation.settings.contracts, collect=True).get(dataset)
