"""Remove old entries of the log by the rules of retention: one steward proposes, another approves."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["add_to"]


def add_to(group: typer.Typer) -> None:
    """Add the command of this module to `lintas audit`."""
    group.command("prune")(prune)


def prune(
    *,
    before: Annotated[
        datetime | None, typer.Option("--before", help="Only what happened before (in Mojokerto).")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what could go.")] = False,
    waiting: Annotated[bool, typer.Option("--list", help="Show what waits for a second steward.")] = False,
    approve: Annotated[
        UUID | None, typer.Option("--approve", help="Approve this proposal of another steward.")
    ] = None,
    officer: Annotated[
        str | None, typer.Option("--officer", help="Your pseudonym as a steward of the operator.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it stands in the log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose to remove old entries, or approve it. Hashes stay, so every proof given out still holds."""
    from lintas.prune_view import approved, previewed, proposed
    from lintas.prune_view import waiting as waiting_proposals

    if waiting:
        columns = ("proposal", "minimum_index", "before", "proposed_by", "reason")
        print_rows(waiting_proposals(), columns, as_json=as_json, empty="no proposal waits")
    elif preview:
        print_fields(previewed(before), as_json=as_json)
    elif officer is None:
        raise typer.BadParameter("needs --officer, or --preview to see what could go")
    elif approve is not None:
        print_fields(approved(approve, officer=officer), as_json=as_json)
    elif before is None or reason is None:
        raise typer.BadParameter("a proposal needs --before and --reason")
    else:
        print_fields(proposed(before, officer=officer, reason=reason), as_json=as_json)
