"""Answers about the log that are handed to people: dossiers, and whom a breach concerns."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lintas.commands.accounting import Actor, Since, Until, aware
from lintas.output import AsJson, print_fields, run_verifier

__all__ = ["add_to"]

Language = Annotated[str, typer.Option("--language", help="id (Bahasa Indonesia) or en (English).")]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `audit`."""
    group.command("dossier")(dossier)
    group.command("check-dossier")(check_dossier)
    group.command("breach")(breach)


def dossier(
    *,
    to: Annotated[Path, typer.Argument(help="A folder for dossier.pdf and dossier.zip.")],
    nik_file: Annotated[
        Path | None, typer.Option("--nik-file", help="About the person whose NIK stands in this file.")
    ] = None,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="About one exchange: the id of its entry.")
    ] = None,
    case_file: Annotated[
        Path | None, typer.Option("--case-file", help="About the case whose number stands in this file.")
    ] = None,
    since: Since = None,
    until: Until = None,
    asker: Annotated[
        str, typer.Option("--for", help="citizen (shows what is sealed about them) or auditor.")
    ] = "auditor",
    language: Language = "id",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Write the answer to who, what, when and by which right: a PDF, and a signed bundle with all proofs."""
    from lintas.dossier_view import Asked, write

    asked = Asked(
        nik_file=nik_file,
        exchange=exchange,
        case_file=case_file,
        since=aware(since),
        until=aware(until),
        asker=asker,
        language=language,
    )
    print_fields(write(asked, to, actor=actor), as_json=as_json)


def check_dossier(
    bundle: Annotated[Path, typer.Argument(help="dossier.zip, or the folder it was unpacked to.")],
    log_keys: Annotated[Path, typer.Option("--log-keys", help="Verifier keys of the log.")],
    bus_keys: Annotated[Path, typer.Option("--bus-keys", help="The bus's public keys, as a JWK set.")],
    as_json: AsJson = False,
) -> None:
    """Check a dossier offline.

    Ends with 1 when something is false, with 2 when it could not be checked or an entry in it has no proof.
    """
    from audit.verifier import lintas_dossier

    arguments = [str(bundle), "--log-keys", str(log_keys), "--bus-keys", str(bus_keys)]
    if code := run_verifier(lintas_dossier.main, arguments, as_json=as_json):
        raise typer.Exit(code)


def breach(
    *,
    since: Since = None,
    until: Until = None,
    system: Annotated[str | None, typer.Option("--system", help="System whose credential it was.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Id of a public key: all that its owner did while it was valid."),
    ] = None,
    officer: Annotated[str | None, typer.Option("--officer", help="Pseudonym of the officer.")] = None,
    agency: Annotated[str | None, typer.Option("--agency", help="Agency that gave or received.")] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Dataset, or dataset:field; may be repeated.")
    ] = None,
    discovered_at: Annotated[
        datetime | None,
        typer.Option(
            "--discovered-at",
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
            help="When it was discovered; the clock of 3 x 24 hours runs from then. Default: now.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", help="A folder for the drafts of the notice.")] = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Say whom a breach concerns: how many persons, which fields, which receivers; draft the notice."""
    from audit.breach import BreachQuestion
    from lintas.breach_view import ask

    question = BreachQuestion(
        since=aware(since),
        until=aware(until),
        system=system,
        key=key,
        officer=officer,
        agency=agency,
        datasets=tuple(field or ()),
    )
    print_fields(ask(question, discovered_at=aware(discovered_at), to=to, actor=actor), as_json=as_json)
