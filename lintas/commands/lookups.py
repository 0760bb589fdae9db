"""Sources that are asked live: what was begun and never ended."""

from typing import Annotated

import typer

from lintas.output import AsJson, print_rows

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    lookups = typer.Typer(no_args_is_help=True, help="Questions that were put to sources live.")
    lookups.command("unfinished")(list_unfinished)
    lookups.callback()(_lookups)
    app.add_typer(lookups, name="lookups", rich_help_panel="Portals")


def _lookups() -> None:
    """Questions that were put to sources live."""


def list_unfinished(
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How far to look back.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Look-ups with an entry `lookup.requested` and, after their budget, none `lookup.completed`."""
    from lintas.lookups_view import unfinished_rows

    columns = ("number", "requested_at", "dataset", "consumer", "purpose", "service", "lookup")
    print_rows(
        unfinished_rows(days, limit), columns, as_json=as_json, empty="every look-up has its completion"
    )
