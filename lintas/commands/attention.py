"""Watching access: what the rules flagged, verdicts, and what was learned from them."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["add_to"]

Officer = Annotated[str, typer.Option(help="Your pseudonym as an auditor; it stands in the log.")]
Flag = Annotated[str, typer.Argument(help="The flag's id.")]
Pseudonym = Annotated[str, typer.Argument(help="Pseudonym of the officer concerned.")]
Agency = Annotated[str, typer.Option(help="Agency of that officer.")]


def add_to(audit: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    group = typer.Typer(no_args_is_help=True, help="Watch who looks: what was flagged, and verdicts on it.")
    group.command("list")(list_flags)
    group.command("show")(show)
    group.command("judge")(judge)
    group.command("rules")(rules)
    group.command("relate")(relate)
    group.command("unrelate")(unrelate)
    audit.add_typer(group, name="attention")


def list_flags(
    officer: Officer,
    *,
    state: Annotated[
        str, typer.Option(help="`open`, `suppressed` (held back by a lesson), `judged` or `all`.")
    ] = "open",
    rule: Annotated[str | None, typer.Option(help="Only of this rule, such as `no-case`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits for a verdict, the newest first. Looking is itself logged."""
    from lintas.attention_view import flag_rows

    columns = ("flag", "rule", "who", "purpose", "says", "entries", "flagged_at")
    print_rows(
        flag_rows(officer, state, rule, limit), columns, as_json=as_json, empty="nothing wants attention"
    )


def show(flag: Flag, officer: Officer, as_json: AsJson = False) -> None:
    """One flag with the numbers of the entries that it rests on. Looking is itself logged."""
    from lintas.attention_view import flag_fields

    print_fields(flag_fields(officer, flag), as_json=as_json)


def judge(
    flag: Flag,
    *,
    verdict: Annotated[str, typer.Argument(help="`justified`, `misuse` or `unclear`.")],
    officer: Officer,
    reason: Annotated[str, typer.Option(help="Why, without values; it stands in the log.")],
    as_json: AsJson = False,
) -> None:
    """Judge a flag: the rule learns from it for this officer and purpose, for 60 days."""
    from lintas.attention_view import judge_flag

    print_fields(judge_flag(officer, flag, verdict, reason), as_json=as_json)


def rules(as_json: AsJson = False) -> None:
    """Every rule: what it flags, from which score on, and how often it was right."""
    from lintas.attention_view import rule_rows

    columns = ("rule", "flags", "from", "measures", "open", "suppressed", "misuse", "justified", "precision")
    print_rows(rule_rows(), columns, as_json=as_json)


def relate(
    pseudonym: Pseudonym,
    *,
    agency: Agency,
    relation: Annotated[str, typer.Option(help="`self` or `family`.")],
    nik_file: Annotated[
        Path, typer.Option("--nik-file", help="File whose only line is the NIK (not for a command line).")
    ],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Note whose record an officer should not look up; the database keeps a key, and no name or number."""
    from lintas.attention_view import note_related

    print_fields(note_related(pseudonym, agency, relation, nik_file, officer=officer), as_json=as_json)


def unrelate(pseudonym: Pseudonym, agency: Agency, officer: Officer, as_json: AsJson = False) -> None:
    """Take back everything that was noted about an officer."""
    from lintas.attention_view import take_back_related

    print_fields(take_back_related(pseudonym, agency, officer=officer), as_json=as_json)
