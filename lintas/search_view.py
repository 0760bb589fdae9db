"""Searching the log, as the command line shows it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from lintas.access import OPERATOR, connected
from lintas.acting import named_officer

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.search import Hidden
    from audit.subject_view import Reader
    from foundation.installation import Installation

__all__ = [
    "Look",
    "bars",
    "counted",
    "delete",
    "filter_of",
    "hidden_keys",
    "looking",
    "reader",
    "saved",
    "searched",
    "views",
]

BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is looked for, by whom and why."""

    asked: Mapping[str, Any]
    auditor: str | None
    reason: str
    nik_file: Path | None = None
    case_file: Path | None = None


def searched(look: Look, *, cursor: str | None, limit: int, view: str = "search") -> dict[str, Any]:
    """One page of what a search finds, newest first."""
    from audit.search import LogFilter, search

    wanted = LogFilter.from_dict(look.asked)
    with looking(look) as (connection, hidden):
        page = search(connection, wanted, reader(look), hidden=hidden, cursor=cursor, limit=limit, view=view)
    return {
        "entries": [{"number": each.index, **each.entry} for each in page.entries],
        "cursor": page.cursor,
        "searched_from": page.searched_from,
        "minimum_index": page.minimum_index,
    }


def counted(look: Look, *, per: str, by: str | None) -> list[dict[str, Any]]:
    """Counts over time, oldest first."""
    from audit.search import LogFilter, Per, counts

    wanted = LogFilter.from_dict(look.asked)
    with looking(look) as (connection, hidden):
        found = counts(connection, wanted, reader(look), per=Per(per), by=by, hidden=hidden)
    return [{"start": each.start, "group": each.group, "entries": each.entries} for each in found]


def saved(name: str, asked: Mapping[str, Any], auditor: str | None) -> dict[str, Any]:
    """Save a view."""
    from audit.search import LogFilter
    from audit.search.views import save_view

    with connected(Role.AUDITOR) as (_, connection):
        view = save_view(connection, name, LogFilter.from_dict(asked), named_officer(auditor))
    return {"name": view.name, "filter": view.filter.as_dict(), "saved_by": view.saved_by}


def views() -> list[dict[str, Any]]:
    """Every saved view."""
    from audit.search.views import saved_views

    with connected(Role.AUDITOR) as (_, connection):
        found = saved_views(connection)
    return [
        {
            "name": view.name,
            "filter": view.filter.as_dict(),
            "saved_by": view.saved_by,
            "saved_at": view.saved_at,
        }
        for view in found
    ]


def filter_of(name: str) -> dict[str, str]:
    """The filter of a saved view."""
    from audit.search.views import saved_view

    with connected(Role.AUDITOR) as (_, connection):
        return saved_view(connection, name).filter.as_dict()


def delete(name: str, auditor: str | None) -> None:
    """Forget a saved view."""
    from audit.search.views import delete_view

    with connected(Role.AUDITOR) as (_, connection):
        delete_view(connection, name, named_officer(auditor))


def reader(look: Look) -> "Reader":
    """Who looks, as the log names them."""
    from audit.subject_view import Reader

    return Reader(actor=named_officer(look.auditor), reason=look.reason, consumer=OPERATOR)


@contextmanager
def looking(look: Look) -> "Iterator[tuple[Connection[Any], Hidden]]":
    """A transaction of the auditor, and the keys of whom and which case one looks for."""
    with connected(Role.AUDITOR) as (installation, connection):
        yield connection, hidden_keys(installation, look)


def hidden_keys(installation: "Installation", look: Look) -> "Hidden":
    """The keys of whom and which case one looks for; the values themselves go no further."""
    from audit.errors import UnknownEntry
    from audit.search import Hidden, case_key
    from audit.subjects.vault import Vault
    from schemas.identifiers import Nik

    subject = None
    if look.nik_file is not None:
        with Vault(installation, Role.STEWARD) as vault:
            subject = vault.find("nik", Nik.parse(_first_line(look.nik_file)).value)
        if subject is None:
            raise UnknownEntry(
                "No entry is about this person.", why="The vault knows nobody of this NIK, or no longer."
            )
    key = None if look.case_file is None else case_key(installation.keyring, _first_line(look.case_file))
    return Hidden(subject=subject, case_key=key)


def bars(rows: list[dict[str, Any]], *, is_hourly: bool) -> Iterator[str]:
    """A line for each count: when, which group, how many, and a bar as long as it is large."""
    largest = max((row["entries"] for row in rows), default=1)
    names = max((len(row["group"] or "") for row in rows), default=0)
    before = None
    for row in rows:
        start = row["start"].strftime("%Y-%m-%d %H:%M" if is_hourly else "%Y-%m-%d")
        shown = start if start != before else " " * len(start)
        before = start
        number, group = row["entries"], row["group"] or ""
        yield f"{shown}  {group:<{names}}  {number:>10,}  {_bar(number, largest)}"


def _bar(number: int, largest: int) -> str:
    whole, eighths = divmod(round(8 * BAR_WIDTH * number / largest), 8)
    return ("█" * whole + _EIGHTHS[eighths]).rstrip() or "▏"


def _first_line(path: Path) -> str:
    text = sys.stdin.readline() if str(path) == "-" else path.read_text(encoding="utf-8")
    return (text.splitlines() or [""])[0].strip()
