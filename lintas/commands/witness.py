"""A witness of transparency logs: best run by somebody other than the operator of the log."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

Folder = Annotated[
    Path, typer.Argument(envvar="LINTAS_WITNESS_DIRECTORY", help="Folder of everything the witness keeps.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Run a witness (C2SP tlog-witness): it cosigns logs that never rewrite themselves.",
    )
    group.command("init")(init)
    group.command("trust")(trust)
    group.command("show")(show)
    group.command("run")(run)
    group.command("list")(list_witnesses)
    app.add_typer(group, name="witness", rich_help_panel="Trust")


def init(
    folder: Folder,
    *,
    name: Annotated[
        str, typer.Option("--name", help="Name in its cosignatures, such as `ombudsman.go.id/witness`.")
    ],
    algorithm: Annotated[
        str, typer.Option("--algorithm", help="ed25519, ml-dsa-44 (larger, safe from quantum computers).")
    ] = "ed25519",
    host: Annotated[str, typer.Option("--host", help="Address on which it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port.")] = 8830,
    tls_host: Annotated[
        list[str] | None,
        typer.Option("--tls-host", help="Name under which it is reached over TLS; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a witness: a folder with a signing key that exists nowhere else; never copy or restore it."""
    from lintas.witness_view import make_witness

    made = make_witness(folder, name, algorithm, host=host, port=port, tls_hosts=tls_host or ())
    print_fields(made, as_json=as_json)


def trust(
    folder: Folder,
    keys: Annotated[
        Path, typer.Option("--keys", help="File of verifier keys, one a line; `-` is standard input.")
    ],
    as_json: AsJson = False,
) -> None:
    """Watch a log, or add a new key of one that is watched; the running witness takes it up at once."""
    from lintas.witness_view import trust_logs

    print_rows(trust_logs(folder, keys), ("log", "key_id"), as_json=as_json, empty="the file has no key")


def show(folder: Folder, as_json: AsJson = False) -> None:
    """Show the witness's lines for a policy file, and what it saw last of each log."""
    from lintas.witness_view import shown

    print_fields(shown(folder), as_json=as_json)


def run(folder: Folder) -> None:
    """Serve the witness until asked to end; it needs its folder and nothing else."""
    from lintas.bodies import run_witness

    run_witness(folder)


def list_witnesses(as_json: AsJson = False) -> None:
    """List the witnesses of this installation's log: what each saw last, and what hinders it."""
    from lintas.witness_view import answered

    columns = ("witness", "entries", "cosigned_at", "trouble")
    print_rows(answered(), columns, as_json=as_json, empty="no policy names a witness (LINTAS_LOG_POLICY)")
