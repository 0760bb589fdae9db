"""What stands against signing the log: forks that witnesses have reported."""

from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["add_to"]


def add_to(group: typer.Typer) -> None:
    """Add the command of this module to `lintas audit`."""
    group.command("lift-fork")(lift_fork)


def lift_fork(
    *,
    witness: Annotated[
        str | None, typer.Option("--witness", help="Whose report to take off; without, what stands is shown.")
    ] = None,
    officer: Annotated[
        str | None, typer.Option("--officer", help="Your pseudonym as a steward of the operator.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it stands in the log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take off a witness's report of a fork, so that the log is signed again, and say so in the log.

    Only when it is certain that the witness is wrong: a log that signs a second history is worth nothing. A
    report is lifted by itself once the witness cosigns this log or leaves the policy; one that it repeats
    stands again at once.
    """
    from lintas.fork_view import lifted, standing

    if witness is None:
        columns = ("witness", "what", "why", "found_at")
        print_rows(standing(), columns, as_json=as_json, empty="no fork was reported")
    elif officer is None or reason is None:
        raise typer.BadParameter("lifting a report needs --officer and --reason")
    else:
        print_fields(lifted(witness, officer=officer, reason=reason), as_json=as_json)
