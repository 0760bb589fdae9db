"""The installation and the group of processes as a whole."""

from typing import Annotated

import typer

from lintas.output import AsJson, console, print_fields, print_rows

__all__ = ["register"]

PANEL = "The bus"

People = Annotated[
    int | None, typer.Option("--people", min=1000, help="How many people the practice city has.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init", rich_help_panel=PANEL)(init)
    app.command("up", rich_help_panel=PANEL)(up)
    app.command("demo", rich_help_panel=PANEL)(demo)
    app.command("status", rich_help_panel=PANEL)(status)
    app.command("settings", rich_help_panel=PANEL)(settings)


def init(as_json: AsJson = False) -> None:
    """Make folders, keys, certificates, roles, databases and tables; safe to repeat."""
    from audit.retention import write_rules
    from foundation.installation import Installation

    installation = Installation.open()
    was_running = installation.database.server is None or installation.database.server.is_running
    try:
        installation.prepare()
        write_rules(installation)
    finally:
        if not was_running:
            installation.database.stop()
    print_fields({"home": installation.home, "state": "prepared"}, as_json=as_json)


def up(
    practice: Annotated[bool, typer.Option(help="Also serve the practice agencies.")] = True,
    people: People = None,
) -> None:
    """Start everything as one group and keep it running until Ctrl-C."""
    from lintas.up import run_group

    raise typer.Exit(run_group(with_practice=practice, people=people))


def demo(people: People = None) -> None:
    """Show the whole bus in three minutes: sync, ask, be told of a death, verify, tamper, find out."""
    from lintas.demo import run_demo

    raise typer.Exit(run_demo(people=people))


def status(
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 1 unless all is well, for monitoring.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Whether all is well: processes, freshness, held batches, quarantine, notices and the log."""
    from lintas.access import opened
    from lintas.status import gather
    from lintas.status_view import print_status

    with opened() as installation:
        found = gather(installation)
    if as_json:
        print_fields(found.as_dict(), as_json=True)
    else:
        print_status(console(), found)
    if check and found.troubles:
        raise typer.Exit(1)


def settings(as_json: AsJson = False) -> None:
    """Every setting: its variable, its value now, its default and what it is for."""
    from foundation.settings import describe

    rows = [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in describe()]
    print_rows(rows, tuple(rows[0]), as_json=as_json)
