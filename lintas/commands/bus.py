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
    from foundation.installation import Installation

    installation = Installation.open()
    was_running = installation.database.server is None or installation.database.server.is_running
    try:
        installation.prepare()
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
    """Show the whole path in two minutes: sync, ask, verify, tamper, find out."""
    from lintas.demo import run_demo

    raise typer.Exit(run_demo(people=people))


def status(as_json: AsJson = False) -> None:
    """What runs, and how fresh each dataset is."""
    from lintas.status import dataset_rows, process_rows

    rows = process_rows()
    datasets = dataset_rows()
    if as_json:
        print_fields({"processes": rows, "datasets": datasets}, as_json=True)
        return
    print_rows(rows, ("process", "state"), as_json=False)
    console().print()
    print_rows(
        datasets,
        ("dataset", "fresh_as_of", "last_batch", "state"),
        as_json=False,
        empty="no dataset was synced yet",
    )


def settings(as_json: AsJson = False) -> None:
    """Every setting: its variable, its value now, its default and what it is for."""
    from foundation.settings import describe

    rows = [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in describe()]
    print_rows(rows, tuple(rows[0]), as_json=as_json)
