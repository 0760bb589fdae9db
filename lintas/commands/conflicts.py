"""Where agencies contradict each other, and which records may be of one person."""

from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

Dataset = Annotated[str | None, typer.Argument(help="Only this dataset.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000)]


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module."""
    conflicts = typer.Typer(no_args_is_help=True, help="Where agencies contradict each other.")
    conflicts.command("list")(list_conflicts)
    conflicts.command("show")(show)
    conflicts.command("duplicates")(duplicates)
    app.add_typer(conflicts, name="conflicts", rich_help_panel=panel)
    identity = typer.Typer(no_args_is_help=True, help="Which records are about which confirmed subject.")
    identity.command("link")(link)
    app.add_typer(identity, name="identity", rich_help_panel=panel)


def list_conflicts(
    dataset: Dataset = None,
    closed: Annotated[bool, typer.Option("--closed", help="Those that ended, too.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Contradictions by field and dataset, the latest first; never what the registers say."""
    from lintas.conflict_view import conflict_rows

    columns = ("id", "field", "datasets", "authority", "found_at", "closed_at")
    print_rows(conflict_rows(dataset, closed=closed, limit=limit), columns, as_json=as_json, empty="none")


def show(
    conflict: Annotated[int, typer.Argument(help="The id from `lintas conflicts list`.")],
    officer: Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")],
    reason: Annotated[str, typer.Option(help="Why you need to see it; it stands in the log.")],
    as_json: AsJson = False,
) -> None:
    """What your own register says. Looking is logged with your pseudonym and reason."""
    from lintas.conflict_view import opened_conflict

    print_fields(opened_conflict(conflict, officer=officer, reason=reason), as_json=as_json)


def duplicates(dataset: Dataset = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Persons who may stand under two numbers, and quarantined rows that share one."""
    from lintas.conflict_view import duplicate_rows

    columns = ("dataset", "why", "records", "found_at")
    print_rows(duplicate_rows(dataset, limit=limit), columns, as_json=as_json, empty="none")


def link(as_json: AsJson = False) -> None:
    """Link confirmed subjects to records that name them only by another register's number."""
    from lintas.conflict_view import link_across

    print_fields(link_across(), as_json=as_json)
