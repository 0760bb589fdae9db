"""The copy of the log in another failure domain: does it hold what the log holds."""

import typer

from lintas.output import AsJson, console, print_json

__all__ = ["add_to"]


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    sink = typer.Typer(no_args_is_help=True, help="The copy of the log that LINTAS_LOG_SINK asks for.")
    sink.command("verify")(verify)
    group.add_typer(sink, name="sink")


def verify(as_json: AsJson = False) -> None:
    """Read the whole copy, and compare every entry and checkpoint in it with the log; 70 when they differ."""
    from lintas.sink_view import described, verified

    report = verified()
    if as_json:
        print_json(report.as_dict())
    else:
        for line in described(report):
            console().print(line, soft_wrap=True)
    if not report.intact:
        raise typer.Exit(70)
