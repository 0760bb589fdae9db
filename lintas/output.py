"""How the command speaks: tables for people, JSON for programs, errors that end with the next step."""

import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from foundation.errors import LintasError

__all__ = [
    "HELD",
    "AsJson",
    "console",
    "exit_code",
    "print_error",
    "print_fields",
    "print_json",
    "print_rows",
    "run_verifier",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]

EXIT_CODES: Mapping[str, int] = {
    "RetryLater": 75,
    "FixContract": 65,
    "FixSource": 69,
    "Refused": 77,
    "IntegrityBroken": 70,
    "FixInstallation": 78,
}
"""By branch of the error tree, after sysexits.h; 2 is a wrong command line, 1 an error nobody foresaw."""


HELD = EXIT_CODES["Refused"]
"""A sync whose batch is held: nothing failed, but nothing was published either, and a steward must decide."""


def console(*, stderr: bool = False) -> "Console":
    """A rich console that reads well without a terminal, too."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 110)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2) + "\n")


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    empty: str = "nothing to show",
) -> None:
    """A list of like things: a table with the named columns, or JSON with all of their fields."""
    found = list(rows)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print(f"[dim]{empty}[/dim]")
        return
    from rich.table import Column, Table

    # What is shown can be copied: long values are folded, never cut.
    headings = (Column(column.replace("_", " "), overflow="fold") for column in columns)
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in found:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console().print(table)


def print_fields(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: a field a line, or JSON."""
    if as_json:
        print_json(fields)
        return
    width = max((len(name) for name in fields), default=0)
    out = console()
    for name, value in fields.items():
        out.print(f"[dim]{name.replace('_', ' '):<{width}}[/dim]  {_cell(value)}", markup=True)


def run_verifier(main: Callable[[list[str]], int], arguments: list[str], *, as_json: bool) -> int:
    """Run a stand-alone verifier, which prints its findings itself; as JSON they are its lines.

    Returns:
        Its exit code.
    """
    if not as_json:
        return main(arguments)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(arguments)
    print_json({"whole": code == 0, "exit_code": code, "lines": said.getvalue().splitlines()})
    return code


def print_error(error: "LintasError", *, as_json: bool) -> None:
    """What happened, where, why, and what to do next, on standard error."""
    if as_json:
        sys.stderr.write(json.dumps(_plain(error.as_dict()), ensure_ascii=False) + "\n")
        return
    from rich.markup import escape

    out = console(stderr=True)
    out.print(f"[bold red]error[/bold red] [dim]{error.code}[/dim]: {escape(error.what)}", soft_wrap=True)
    if error.location is not None and str(error.location):
        out.print(f"  [dim]where[/dim]  {escape(str(error.location))}", soft_wrap=True)
    if error.why:
        out.print(f"  [dim]why[/dim]    {escape(error.why)}", soft_wrap=True)
    if error.remedy:
        out.print(f"  [dim]next[/dim]   {escape(error.remedy)}", soft_wrap=True)


def exit_code(error: BaseException) -> int:
    """The exit code of an error, by its branch of the tree."""
    for kind in type(error).__mro__:
        if kind.__name__ in EXIT_CODES:
            return EXIT_CODES[kind.__name__]
    return 1


def _cell(value: Any) -> str:
    from rich.markup import escape

    plain = _plain(value)
    if plain is None:
        return "-"
    if isinstance(plain, list):
        return escape(", ".join(str(item) for item in plain))
    if isinstance(plain, dict):
        return escape(", ".join(f"{key} {item}" for key, item in plain.items()))
    return escape(str(plain))


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(value)
