"""Personal data beside the log: erasing a person, legal holds, and the key that wraps everybody's keys."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from lintas.commands import lifting
from lintas.output import AsJson, console, print_fields, print_rows

__all__ = ["add_to"]

Officer = Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")]
NikFile = Annotated[
    Path,
    typer.Option(
        "--nik-file",
        help="File whose first line is the NIK (not for a command line); `-` is standard input.",
    ),
]
Request = Annotated[UUID, typer.Argument(help="The request, from `lintas audit erase list`.")]


class Ground(StrEnum):
    """Grounds of `audit.erasure.grounds`, named here so that `--help` needs no heavy import."""

    NO_LONGER_NEEDED = "no-longer-needed"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    SUBJECT_REQUEST = "subject-request"
    UNLAWFUL_PROCESSING = "unlawful-processing"
    RETENTION_ENDED = "retention-ended"


class Reason(StrEnum):
    """Grounds of a legal hold."""

    COURT_CASE = "court-case"
    LAW_ENFORCEMENT = "law-enforcement"
    PUBLIC_INTEREST = "public-interest"
    FINANCIAL_SUPERVISION = "financial-supervision"


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    erase = typer.Typer(no_args_is_help=True, help="Erase a person: two officers, a ground, no hold.")
    erase.command("request")(request)
    erase.command("approve")(approve)
    erase.command("reject")(reject)
    erase.command("run")(run)
    erase.command("list")(list_requests)
    erase.command("hold")(hold)
    erase.command("release")(release)
    erase.command("holds")(list_holds)
    lifting.add_to(erase)
    group.add_typer(erase, name="erase")
    keys = typer.Typer(no_args_is_help=True, help="The key that wraps every subject's keys.")
    keys.command("list")(list_keys)
    keys.command("rotate")(rotate)
    keys.command("retire")(retire)
    group.add_typer(keys, name="keys")


def request(
    nik_file: NikFile,
    ground: Annotated[Ground, typer.Option(help="Why the law asks for it (UU 27/2022 Art. 43 and 44).")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Ask that a person be erased. Nothing is erased before a second officer approves."""
    from lintas.erasure_view import start_erasure

    print_fields(start_erasure(nik_file, ground, officer=officer), as_json=as_json)


def approve(request: Request, officer: Officer, as_json: AsJson = False) -> None:
    """Approve an erasure that another officer asked for."""
    from lintas.erasure_view import approve_erasure

    print_fields(approve_erasure(request, officer=officer), as_json=as_json)


def reject(request: Request, officer: Officer, as_json: AsJson = False) -> None:
    """Reject an erasure, or withdraw your own request."""
    from lintas.erasure_view import reject_erasure

    print_fields(reject_erasure(request, officer=officer), as_json=as_json)


def run(
    officer: Officer,
    request: Annotated[
        UUID | None, typer.Argument(help="Only this request; without, every approved one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Carry out approved erasures, for good; a run that was cut short is continued."""
    from lintas.erasure_view import carry_out_erasures

    columns = ("request", "state", "ground", "requested_by", "decided_by", "records")
    done = carry_out_erasures(request, officer=officer)
    print_rows(done, columns, as_json=as_json, empty="no approved erasure waits")


def list_requests(as_json: AsJson = False) -> None:
    """Every request and where it stands; those that ended say no longer whom they were about."""
    from lintas.erasure_view import request_rows

    columns = ("request", "state", "ground", "requested_by", "requested_at", "decided_by", "ended_at")
    print_rows(request_rows(), columns, as_json=as_json, empty="nobody asked for an erasure")


def hold(
    nik_file: NikFile,
    ground: Annotated[Reason, typer.Option(help="Why the data must be kept (UU 27/2022 Art. 15 and 44).")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Place a legal hold: while it stands, the person cannot be erased."""
    from lintas.erasure_view import hold_subject

    print_fields(hold_subject(nik_file, ground, officer=officer), as_json=as_json)


def release(
    hold: Annotated[UUID, typer.Argument(help="The hold, from `lintas audit erase holds`.")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Release a legal hold of your agency; who does so has no part in an erasure of the person."""
    from lintas.erasure_view import release_subject

    print_fields(release_subject(hold, officer=officer), as_json=as_json)


def list_holds(as_json: AsJson = False) -> None:
    """Every legal hold."""
    from lintas.erasure_view import hold_rows

    columns = ("hold", "ground", "placed_by", "placed_at", "released_by", "released_at")
    print_rows(hold_rows(), columns, as_json=as_json, empty="nobody placed a hold")


def list_keys(as_json: AsJson = False) -> None:
    """By which version of the key-encryption key subjects' keys are wrapped."""
    from lintas.erasure_view import key_rows

    print_rows(key_rows(), ("provider", "version", "subjects", "wraps_now"), as_json=as_json)


def rotate(officer: Officer, as_json: AsJson = False) -> None:
    """Make a new key-encryption key and wrap every subject's keys under it; continues what was cut short."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from lintas.erasure_view import rotate_keys

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), disable=as_json, transient=True) as bar:
        task = bar.add_task("rewrapping", total=None)
        done = rotate_keys(officer, lambda done, left: bar.update(task, completed=done, total=done + left))
    fields = {name: getattr(done, name) for name in ("provider", "version", "rewrapped", "continued")}
    print_fields(fields, as_json=as_json)


def retire(
    version: Annotated[int, typer.Argument(min=1, help="The version, from `lintas audit keys list`.")],
    officer: Officer,
    provider: Annotated[str, typer.Option(help="`keyring`, `transit` or `pkcs11`.")] = "keyring",
    as_json: AsJson = False,
) -> None:
    """Destroy an older key-encryption key, for good: backups of the vault from its time open no more."""
    from lintas.erasure_view import retire_key

    print_fields(retire_key(provider, version, officer=officer), as_json=as_json)
