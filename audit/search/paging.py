"""Searching page by page, newest first. Each page is a look, and each look an entry.

A cursor says how far one has read (an index, so pages stay right while the log grows) and belongs to one
filter. A page may hold fewer entries than asked for, even none, and still have a cursor: then the walk
stopped after a fixed amount of work, and goes on from there.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import psycopg

from audit.errors import CursorInvalid
from audit.search.filter import Hidden, LogFilter
from audit.search.readers import log_look, require_auditor
from audit.search.walking import Extent, Found, Walk
from audit.subject_view import Reader
from audit.subjects.subject_keys import SubjectKeys

__all__ = ["SearchPage", "search", "timeline"]

BLOCKS_PER_PAGE = 2_048
LARGEST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Some entries, newest first.

    Attributes:
        entries: what was found.
        cursor: where the next page begins; None at the end.
        searched_from: every entry from this index on, up to where the page began, was looked at.
        minimum_index: entries below it were pruned and cannot be found any more.
    """

    entries: tuple[Found, ...]
    cursor: str | None
    searched_from: int
    minimum_index: int


def search(
    connection: psycopg.Connection[Any],
    wanted: LogFilter,
    reader: Reader,
    *,
    hidden: Hidden | None = None,
    cursor: str | None = None,
    limit: int = 50,
    view: str = "search",
) -> SearchPage:
    """One page of the entries that a filter asks for; the look itself is logged.

    Args:
        connection: connection of a role that reads the log and may write entries (auditor), in a transaction.
        wanted: the filter.
        reader: who looks, and why; an auditor.
        hidden: whom and which case it must be about.
        cursor: of the page before.
        limit: how many entries at most (1 to 1,000).
        view: what the look is called in the log.

    Raises:
        NotAnAuditor: when the reader is none.
        CursorInvalid: when the cursor belongs to another search.
    """
    hidden = hidden or Hidden()
    require_auditor(connection, reader.actor)
    extent = Extent.of(connection)
    high = extent.tree_size if cursor is None else _read_cursor(cursor, wanted, hidden)
    walk = Walk(
        connection,
        wanted,
        hidden,
        low=extent.minimum_index,
        high=max(min(high, extent.tree_size), extent.minimum_index),
        newest_first=True,
        budget=BLOCKS_PER_PAGE,
    )
    found: list[Found] = []
    for each in walk:
        found.append(each)
        if len(found) >= min(max(limit, 1), LARGEST_PAGE):
            break
    details = {"view": view, "filter": [*wanted.names, *hidden.names], "entries": len(found)}
    log_look(connection, reader, details, subject=hidden.subject)
    following = None if walk.is_done else _cursor(walk.reached, wanted, hidden)
    return SearchPage(tuple(found), following, walk.reached, extent.minimum_index)


def timeline(
    connection: psycopg.Connection[Any],
    subject: SubjectKeys,
    reader: Reader,
    *,
    wanted: LogFilter | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> SearchPage:
    """A subject's entries, newest first, found by their keys and confirmed by the tags inside the entries."""
    return search(
        connection,
        wanted or LogFilter(),
        reader,
        hidden=Hidden(subject=subject),
        cursor=cursor,
        limit=limit,
        view="timeline",
    )


def _cursor(index: int, wanted: LogFilter, hidden: Hidden) -> str:
    text = f"1.{index}.{wanted.digest}.{'-'.join(hidden.names)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, wanted: LogFilter, hidden: Hidden) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        version, index, digest, names = text.split(".")
        place = int(index)
    except (binascii.Error, ValueError) as error:
        raise CursorInvalid("The cursor is malformed.", remedy="Begin the search anew.") from error
    if (version, digest, names) != ("1", wanted.digest, "-".join(hidden.names)) or place < 0:
        raise CursorInvalid(
            "The cursor belongs to another search.", remedy="Repeat the filters that gave it, or begin anew."
        )
    return place
