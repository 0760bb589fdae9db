"""When the log existed: tokens of outside authorities on its checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_rows, run_verifier

__all__ = ["add_to"]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `audit`."""
    group.command("timestamps")(timestamps)
    group.command("timestamp")(timestamp)
    group.command("verify-timestamps")(verify_timestamps)


def timestamps(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the timestamps (RFC 3161) on checkpoints, and what waits for an authority that is away."""
    from lintas.timestamp_view import stamps

    columns = ("entries", "authority", "stamped_at", "waiting", "asked_again_at", "trouble")
    print_rows(stamps(limit), columns, as_json=as_json, empty="no checkpoint is stamped")


def timestamp(as_json: AsJson = False) -> None:
    """Let every authority stamp the newest checkpoint now; ends with 75 when one of them does not."""
    from lintas.timestamp_view import stamp_now

    rows = stamp_now()
    columns = ("entries", "authority", "stamped_at", "trouble")
    print_rows(rows, columns, as_json=as_json, empty="there is no checkpoint yet")
    if any(each["trouble"] for each in rows):
        raise typer.Exit(75)


def verify_timestamps(
    path: Annotated[Path, typer.Argument(help="An exported log, a checkpoint, or a receipt.")],
    *,
    roots: Annotated[
        list[Path], typer.Option("--roots", help="Certificates (PEM) of an authority that you trust.")
    ],
    keys: Annotated[Path | None, typer.Option("--keys", help="Verifier keys (default: PATH/keys).")] = None,
    token: Annotated[
        Path | None, typer.Option("--token", help="The token, for a checkpoint or a receipt.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option("--within", help="Hours after its own time by which each entry must be stamped."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check since when an exported log, a checkpoint or a receipt existed. Needs no database.

    Ends with 1 when something is false or was stamped too late, with 2 when it could not be checked.
    """
    from audit.verifier import lintas_timestamps
    from lintas.timestamp_view import verifier_arguments

    arguments = verifier_arguments(path, roots, keys, token=token, within=within)
    if code := run_verifier(lintas_timestamps.main, arguments, as_json=as_json):
        raise typer.Exit(code)
