"""The options by which every command that searches the log is told what to look for."""

import functools
import inspect
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Auditor", "CaseFile", "NikFile", "Reason", "asks_for"]

Auditor = Annotated[
    str | None,
    typer.Option(
        "--auditor", help="Your pseudonym as an auditor; it stands in the log. Default: LINTAS_OFFICER."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why you look; it stands in the log.")]
NikFile = Annotated[
    Path | None,
    typer.Option("--nik-file", help="File whose first line is a NIK: only entries about them; `-` is input."),
]
CaseFile = Annotated[
    Path | None,
    typer.Option("--case-file", help="File whose first line is a case number; `-` is standard input."),
]

_TEXTS = {
    "kind": "A kind (`exchange.answered`) or a family (`exchange`).",
    "agency": "Provider or consumer.",
    "provider": "Agency that gave.",
    "consumer": "Agency that asked.",
    "dataset": "As `agency/dataset`.",
    "purpose": "Purpose.",
    "legal_basis": "Legal basis.",
    "decision": "Id of a decision.",
    "rule": "Id of a rule.",
    "outcome": "How it ended.",
    "system": "System that acted.",
    "actor": "Pseudonym of an officer, or a process.",
    "batch": "Id of a batch.",
}


def asks_for(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every filter option, and hand it what is set as `asked` (names and values)."""
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "asked"]
    facets = _parameters()
    names = {each.name for each in facets}

    @functools.wraps(command)
    def told(**values: Any) -> None:
        asked = {name: _value(values[name]) for name in names if values[name] is not None}
        command(asked=asked, **{name: value for name, value in values.items() if name not in names})

    required = [each for each in own if each.default is inspect.Parameter.empty]
    optional = [each for each in own if each.default is not inspect.Parameter.empty]
    parameters = [*required, *facets, *optional]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    told.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    told.__annotations__ = {each.name: each.annotation for each in parameters}
    return told


def _parameters() -> list[inspect.Parameter]:
    moments = {
        "since": "First moment, as `2026-01-31` or `2026-01-31T08:00:00` (in Mojokerto).",
        "until": "First moment that is too late.",
    }
    found = [_parameter(name, datetime | None, text) for name, text in moments.items()]
    return found + [_parameter(name, str | None, text) for name, text in _TEXTS.items()]


def _parameter(name: str, kind: Any, text: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel="What to look for")
    annotation = Annotated[kind, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _value(value: Any) -> Any:
    """A moment that was typed is meant in local time."""
    from zoneinfo import ZoneInfo

    from audit.search.counting import LOCAL_ZONE

    return value.replace(tzinfo=ZoneInfo(LOCAL_ZONE)) if isinstance(value, datetime) else value
