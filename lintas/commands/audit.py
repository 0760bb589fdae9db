"""The log: is it whole, what does an entry say, who used somebody's data."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.commands import (
    accounting,
    answering,
    attention,
    erasing,
    extracting,
    forks,
    proving,
    pruning,
    searching,
    sink,
    streams,
    timestamps,
    verifying,
)
from lintas.commands.accounting import Actor
from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Verify, prove and read the transparency log.")
    verifying.add_to(group)
    group.command("show")(show)
    group.command("subject")(subject)
    group.command("export")(export)
    searching.add_to(group)
    extracting.add_to(group)
    pruning.add_to(group)
    sink.add_to(group)
    proving.add_to(group)
    accounting.add_to(group)
    answering.add_to(group)
    streams.add_to(group)
    attention.add_to(group)
    erasing.add_to(group)
    forks.add_to(group)
    timestamps.add_to(group)
    app.add_typer(group, name="audit", rich_help_panel="Trust")


def show(
    entry: Annotated[
        str | None, typer.Argument(help="An entry's id or its number; the latest ones without.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the latest.")] = 20,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry, or the latest ones. Reading the log is itself logged."""
    from lintas.log_view import latest_entries, one_entry

    if entry is not None:
        print_fields(one_entry(entry, actor), as_json=as_json)
        return
    columns = ("number", "occurred_at", "kind", "provider", "consumer", "purpose", "outcome")
    print_rows(latest_entries(limit, actor), columns, as_json=as_json, empty="the log is empty")


def subject(
    nik_file: Annotated[
        Path,
        typer.Option(
            "--nik-file",
            help="File whose first line is the NIK (not for a command line); `-` is standard input.",
        ),
    ],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Who used somebody's data: every exchange about one person. Asking is itself logged."""
    from lintas.log_view import exchanges_about

    columns = ("occurred_at", "consumer", "purpose", "fields", "outcome", "entry_id")
    found = exchanges_about(nik_file, actor)
    print_rows(found, columns, as_json=as_json, empty="nobody used this person's data")


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Write the public part of the log (checkpoint, tiles, key) for auditors to check elsewhere."""
    from lintas.log_view import export_log

    print_fields(export_log(folder, actor), as_json=as_json)
