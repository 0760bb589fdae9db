"""Search the log, follow a person through it, count, and keep filters by name."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from lintas.commands.filters import Auditor, CaseFile, NikFile, Reason, asks_for
from lintas.output import AsJson, console, print_fields, print_json, print_rows

__all__ = ["add_to"]

_COLUMNS = ("number", "time", "kind", "provider", "consumer", "purpose", "outcome")
_WHY = "command line"

Cursor = Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many entries.")]
Name = Annotated[str, typer.Argument(help="Name of the view.")]


class Step(StrEnum):
    """How long one step of the chart is."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Group(StrEnum):
    """What else is counted apart."""

    KIND = "kind"
    PROVIDER = "provider"
    CONSUMER = "consumer"
    PURPOSE = "purpose"
    OUTCOME = "outcome"


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    group.command("search")(search)
    group.command("timeline")(timeline)
    group.command("counts")(counts)
    views = typer.Typer(no_args_is_help=True, help="Filters by name.")
    views.command("save")(save_view)
    views.command("list")(list_views)
    views.command("run")(run_view)
    views.command("delete")(delete_view)
    group.add_typer(views, name="views")


@asks_for
def search(
    asked: dict[str, Any],
    *,
    auditor: Auditor = None,
    nik_file: NikFile = None,
    case_file: CaseFile = None,
    reason: Reason = _WHY,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Find entries by any combination of filters, newest first. Looking is itself logged."""
    from lintas.search_view import Look, searched

    look = Look(asked=asked, auditor=auditor, reason=reason, nik_file=nik_file, case_file=case_file)
    _show(searched(look, cursor=cursor, limit=limit), as_json=as_json)


@asks_for
def timeline(
    asked: dict[str, Any],
    *,
    auditor: Auditor = None,
    nik_file: NikFile = None,
    reason: Reason = _WHY,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Everything the log says about one person, newest first. Looking is itself logged."""
    from lintas.search_view import Look, searched

    if nik_file is None:
        raise typer.BadParameter("a timeline needs --nik-file")
    look = Look(asked=asked, auditor=auditor, reason=reason, nik_file=nik_file)
    _show(searched(look, cursor=cursor, limit=limit, view="timeline"), as_json=as_json)


@asks_for
def counts(
    asked: dict[str, Any],
    *,
    auditor: Auditor = None,
    per: Annotated[Step, typer.Option("--per", help="How long one step is.")] = Step.DAY,
    by: Annotated[Group | None, typer.Option("--by", help="Count these apart.")] = None,
    nik_file: NikFile = None,
    case_file: CaseFile = None,
    reason: Reason = _WHY,
    as_json: AsJson = False,
) -> None:
    """Count entries over time, with a bar for each step. Looking is itself logged."""
    from lintas.search_view import Look, bars, counted

    look = Look(asked=asked, auditor=auditor, reason=reason, nik_file=nik_file, case_file=case_file)
    found = counted(look, per=per.value, by=by.value if by else None)
    if as_json:
        print_json(found)
        return
    out = console()
    for line in bars(found, is_hourly=per is Step.HOUR):
        out.print(line, markup=False, soft_wrap=True)
    if not found:
        out.print("[dim]nothing was found[/dim]")


@asks_for
def save_view(asked: dict[str, Any], name: Name, auditor: Auditor = None, as_json: AsJson = False) -> None:
    """Keep a filter under a name; a person or a case is never kept."""
    from lintas.search_view import saved

    print_fields(saved(name, asked, auditor), as_json=as_json)


def list_views(as_json: AsJson = False) -> None:
    """Every saved view."""
    from lintas.search_view import views

    print_rows(views(), ("name", "filter", "saved_by", "saved_at"), as_json=as_json, empty="no view is saved")


def run_view(
    name: Name,
    *,
    auditor: Auditor = None,
    reason: Reason = _WHY,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Search with a saved view. Looking is itself logged."""
    from lintas.search_view import Look, filter_of, searched

    look = Look(asked=filter_of(name), auditor=auditor, reason=reason)
    _show(searched(look, cursor=cursor, limit=limit, view=f"view {name}"), as_json=as_json)


def delete_view(name: Name, auditor: Auditor = None, as_json: AsJson = False) -> None:
    """Forget a saved view."""
    from lintas.search_view import delete

    delete(name, auditor)
    print_fields({"view": name, "state": "forgotten"}, as_json=as_json)


def _show(page: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    print_rows(page["entries"], _COLUMNS, as_json=False, empty="nothing was found")
    out = console()
    if page["cursor"] is not None:
        out.print(
            f"[dim]looked down to entry {page['searched_from']}; go on with[/dim] --cursor {page['cursor']}",
            soft_wrap=True,
        )
    elif page["minimum_index"]:
        out.print(f"[dim]entries below {page['minimum_index']} were pruned[/dim]")
