"""The log held to account: what was never logged, what a person can find, dossiers, breaches."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lintas.output import AsJson, console, print_fields, print_json, run_verifier

if TYPE_CHECKING:
    from audit.reconciliation.discrepancies import Reconciliation

__all__ = ["add_to"]

Actor = Annotated[
    str | None,
    typer.Option("--actor", help="Your pseudonym; it stands in the log. Default: LINTAS_OFFICER."),
]
NikFile = Annotated[
    Path,
    typer.Option(
        "--nik-file", help="File whose first line is the NIK (not for a command line); `-` is standard input."
    ),
]

Since = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"], help="From when.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"], help="To when.")
]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `audit`."""
    group.command("reconcile")(reconcile)
    group.command("subject-key")(subject_key)
    group.command("manifests")(manifests)
    group.command("verify-subject")(verify_subject)
    group.command("follow")(follow)


def reconcile(
    *,
    receipts: Annotated[
        Path | None, typer.Option("--receipts", help="Folder of portals' .tlog-proof and .jws files.")
    ] = None,
    access_logs: Annotated[
        Path | None, typer.Option("--access-logs", help="Agencies' access logs: a file or a folder.")
    ] = None,
    complete_for: Annotated[
        list[str] | None,
        typer.Option("--complete-for", help="A system whose every answer lies in the folder of receipts."),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics/--no-statistics", help="Ask the database's own counts, too.")
    ] = True,
    since: Since = None,
    until: Until = None,
    tolerance: Annotated[int, typer.Option(min=0, help="Seconds by which clocks may differ.")] = 300,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with an error for open questions, too.")
    ] = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Compare the log with what others kept, because proofs cannot show what was never logged.

    Ends with 70 when something contradicts the log.
    """
    from lintas.reconcile_view import Comparison, told
    from lintas.reconcile_view import reconcile as compare

    result = compare(
        Comparison(
            receipts=receipts,
            access_logs=access_logs,
            statistics=statistics,
            complete_for=tuple(complete_for or ()),
            since=aware(since),
            until=aware(until),
            tolerance=timedelta(seconds=tolerance),
        ),
        actor=actor,
    )
    if as_json:
        print_json(told(result))
    else:
        _show(result)
    if result.contradictions or (strict and result.questions):
        raise typer.Exit(70)


def subject_key(
    to: Annotated[Path, typer.Argument(help="The key file to write, for the person and nobody else.")],
    nik_file: NikFile,
    actor: Actor = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, as it will stand in the log.")] = "asked",
    as_json: AsJson = False,
) -> None:
    """Give a person the key with which they find everything about themselves in an exported log."""
    from lintas.subject_key_view import give_subject_key

    print_fields(give_subject_key(nik_file, to, actor=actor, reason=reason), as_json=as_json)


def manifests(
    folder: Annotated[Path, typer.Argument(help="The folder that `lintas audit export` has written.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Write the leaves of every batch beside an exported log, in which persons look for their records."""
    from lintas.subject_key_view import export_manifests

    print_fields(export_manifests(folder, actor=actor), as_json=as_json)


def verify_subject(
    folder: Annotated[Path, typer.Argument(help="The exported log.")],
    subject_key: Annotated[Path, typer.Option("--subject-key", help="The person's key file.")],
    keys: Annotated[Path | None, typer.Option("--keys", help="Verifier keys (default: FOLDER/keys).")] = None,
    view: Annotated[Path | None, typer.Option("--view", help="What the person was shown, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find everything about a person in an exported log, and what they were not shown. Needs no database.

    Ends with 1 when something is false or was left out, with 2 when it could not be checked.
    """
    from audit.verifier import lintas_subject

    arguments = [str(folder), "--keys", str(keys or folder / "keys"), "--subject-key", str(subject_key)]
    arguments += ["--view", str(view)] if view else []
    if code := run_verifier(lintas_subject.main, arguments, as_json=as_json):
        raise typer.Exit(code)


def follow(
    url: Annotated[str, typer.Argument(help="Where the bus is, such as https://127.0.0.1:8800.")],
    keys: Annotated[Path, typer.Option("--keys", help="Verifier keys of the log, kept from before.")],
    ca: Annotated[Path, typer.Option("--ca", help="The authority of its certificate.")],
    seen: Annotated[Path, typer.Option("--seen", help="Where the last checkpoint seen is kept.")] = Path(
        "log.checkpoint"
    ),
    as_json: AsJson = False,
) -> None:
    """Look at a log from outside, without a database; refuse it when it contradicts what was seen before."""
    from lintas.followed_view import follow as look

    print_fields(look(url, keys_file=keys, seen=seen, ca_file=ca), as_json=as_json)


def aware(moment: datetime | None) -> datetime | None:
    """A day without a zone is one in Western Indonesian Time."""
    from zoneinfo import ZoneInfo

    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=ZoneInfo("Asia/Jakarta"))


def _show(result: "Reconciliation") -> None:
    from lintas.reconcile_view import NOT_SHOWN

    out = console()
    compared = ", ".join(f"{count} {name}" for name, count in result.compared.items()) or "nothing"
    verdict = (
        "[bold red]the log is contradicted[/bold red]"
        if result.contradictions
        else "[green]nothing contradicts the log[/green]"
    )
    out.print(f"{verdict}: compared {compared}", soft_wrap=True)
    if result.pending:
        out.print(f"  {result.pending} promises are not due yet: compare again in a minute", soft_wrap=True)
    if result.beyond:
        day = f"{result.pruned_until:%Y-%m-%d}"
        what = f"  {result.beyond} things are from before {day}: their entries may have been pruned"
        out.print(what, soft_wrap=True)
    for colour, found in (("red", result.contradictions), ("yellow", result.questions)):
        for each in found:
            out.print(f"[{colour}]{each.kind}[/{colour}]: {each.what}", soft_wrap=True)
            window = each.window.as_dict()
            if window["since"]:
                out.print(f"  [dim]when[/dim]  {window['since']} to {window['until']}", soft_wrap=True)
            out.print(f"  [dim]seen[/dim]  {each.seen_in}", soft_wrap=True)
            out.print(f"  [dim]next[/dim]  {each.remedy}", soft_wrap=True)
    for line in NOT_SHOWN:
        out.print(f"  [dim]not shown: {line}[/dim]", soft_wrap=True)
