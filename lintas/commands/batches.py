"""Held batches and quarantined rows: what a steward decides, by name and with a reason."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from lintas.commands import repairs
from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

Officer = Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")]
Reason = Annotated[str, typer.Option(help="Why, without personal values; it stands in the log.")]
BatchId = Annotated[UUID, typer.Argument(help="The batch's id, from `lintas batches list`.")]
Rows = Annotated[list[int], typer.Argument(help="Row ids from `lintas quarantine list`.")]


def register(app: typer.Typer, quarantine: typer.Typer, panel: str) -> None:
    """Add the commands of this module, and what a steward may do to the rows of `lintas quarantine`."""
    batches = typer.Typer(no_args_is_help=True, help="Batches of syncs: which are held, and what to do.")
    batches.command("list")(list_batches)
    batches.command("release")(release)
    batches.command("reject")(reject)
    batches.command("report")(report)
    app.add_typer(batches, name="batches", rich_help_panel=panel)
    quarantine.command("replay")(replay)
    quarantine.command("discard")(discard)
    repairs.register(quarantine)


def list_batches(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this state, such as `held`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """The latest batches, newest first."""
    from lintas.steward_view import batch_rows

    columns = ("batch", "dataset", "status", "started_at", "broken_rules", "reason")
    print_rows(batch_rows(dataset, status, limit), columns, as_json=as_json, empty="no batch yet")


def release(batch: BatchId, officer: Officer, reason: Reason, as_json: AsJson = False) -> None:
    """Publish a held batch after all. The release is logged before anything changes."""
    from lintas.steward_view import release_batch

    print_fields(release_batch(batch, officer=officer, reason=reason), as_json=as_json)


def reject(batch: BatchId, officer: Officer, reason: Reason, as_json: AsJson = False) -> None:
    """Reject a held batch for good; what was true before stays true."""
    from lintas.steward_view import reject_batch

    print_fields(reject_batch(batch, officer=officer, reason=reason), as_json=as_json)


def report(batch: BatchId, as_json: AsJson = False) -> None:
    """What was checked of a batch and how it came out, with its page in the Data Docs: counts, no values."""
    from lintas.steward_view import batch_report

    found = batch_report(batch)
    if as_json:
        print_fields(found, as_json=True)
        return
    rules = found.pop("findings")
    print_fields({name: value for name, value in found.items() if value not in ({}, None)}, as_json=False)
    columns = ("rule", "outcome", "checked", "failed", "severity", "dimension")
    print_rows(rules, columns, as_json=False, empty="the batch was not assessed")


def replay(  # noqa: PLR0917 - an option each
    dataset: Annotated[str, typer.Argument(help="The dataset, as `agency/dataset`.")],
    rows: Rows,
    officer: Officer,
    reason: Reason,
    corrections: Annotated[
        Path | None,
        typer.Option(help='JSON file of cells to replace, as {"17": {"alamat": "…"}}: row, source column.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send rows through the same pipeline again, as a batch of its own."""
    from lintas.steward_view import replay_rows

    done = replay_rows(dataset, rows, _corrections(corrections), officer=officer, reason=reason)
    print_fields(done, as_json=as_json)


def discard(rows: Rows, officer: Officer, reason: Reason, as_json: AsJson = False) -> None:
    """Set rows aside for good: they no longer make the people they name uncertain."""
    from lintas.steward_view import discard_rows

    print_fields(discard_rows(rows, officer=officer, reason=reason), as_json=as_json)


def _corrections(file: Path | None) -> dict[int, dict[str, Any]]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {int(row): dict(cells) for row, cells in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        # The file holds personal values: say what it should be, not what it is.
        raise typer.BadParameter(
            f"{file} is not a JSON object of row ids to cells ({type(error).__name__})",
            param_hint="--corrections",
        ) from None
