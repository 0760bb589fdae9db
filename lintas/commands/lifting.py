"""Let somebody who was erased be taken in again: two officers, a ground, and the log says so."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["LiftReason", "add_to"]

Officer = Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")]
LiftId = Annotated[UUID, typer.Argument(help="The request, from `lintas audit erase lifts`.")]


class LiftReason(StrEnum):
    """Grounds of `audit.erasure.grounds.LiftGround`, named here so that `--help` needs no heavy import."""

    NEW_CONSENT = "new-consent"
    LEGAL_OBLIGATION = "legal-obligation"
    PUBLIC_TASK = "public-task"
    ERASED_IN_ERROR = "erased-in-error"


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit erase`."""
    group.command("lift")(lift)
    group.command("lift-approve")(lift_approve)
    group.command("lift-reject")(lift_reject)
    group.command("lifts")(list_lifts)


def lift(
    nik_file: Annotated[
        Path,
        typer.Option(
            "--nik-file",
            help="File whose first line is the NIK (not for a command line); `-` is standard input.",
        ),
    ],
    ground: Annotated[LiftReason, typer.Option(help="Why they may be processed again (UU 27/2022 Art. 20).")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Ask that somebody who was erased may be taken in again. A second officer must approve.

    Nothing of what was erased comes back: the next sync takes the person in as a stranger.
    """
    from lintas.lift_view import asked

    print_fields(asked(nik_file, ground, officer=officer), as_json=as_json)


def lift_approve(request: LiftId, officer: Officer, as_json: AsJson = False) -> None:
    """Approve it as a second officer; one of the two is a steward of the operator."""
    from lintas.lift_view import approved

    print_fields(approved(request, officer=officer), as_json=as_json)


def lift_reject(request: LiftId, officer: Officer, as_json: AsJson = False) -> None:
    """Reject it, or withdraw your own request; the person stays left out."""
    from lintas.lift_view import rejected

    print_fields(rejected(request, officer=officer), as_json=as_json)


def list_lifts(as_json: AsJson = False) -> None:
    """Every request and where it stands; those that were decided say no longer whom they were about."""
    from lintas.lift_view import lift_rows

    columns = ("lift", "state", "ground", "requested_by", "requested_at", "decided_by", "decided_at")
    print_rows(lift_rows(), columns, as_json=as_json, empty="nobody asked to lift a suppression")
