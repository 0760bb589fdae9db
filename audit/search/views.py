"""Saved views: filters by name. Whom and which case one looks for is never saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from audit.errors import FilterInvalid, ViewUnknown
from audit.search.filter import LogFilter
from audit.search.readers import require_auditor
from foundation import clock
from foundation.errors import Location

__all__ = ["SavedView", "delete_view", "save_view", "saved_view", "saved_views"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class SavedView:
    """A filter that somebody saved under a name."""

    name: str
    filter: LogFilter
    saved_by: str
    saved_at: datetime


def save_view(connection: psycopg.Connection[Any], name: str, wanted: LogFilter, saved_by: str) -> SavedView:
    """Save a filter; one of the same name is replaced.

    Raises:
        FilterInvalid: when the name is not of lower-case words and hyphens, or the filter is empty.
        NotAnAuditor: when `saved_by` is none.
    """
    require_auditor(connection, saved_by)
    if not _NAME.fullmatch(name) or not wanted.names:
        raise FilterInvalid(
            "A view needs a name of lower-case words and hyphens, and at least one filter.",
            location=Location(field="name"),
        )
    view = SavedView(name, wanted, saved_by, clock.now())
    connection.execute("DELETE FROM audit.saved_views WHERE name = %s", (name,))
    connection.execute(
        "INSERT INTO audit.saved_views (name, filter, saved_by, saved_at) VALUES (%s, %s, %s, %s)",
        (name, Jsonb(wanted.as_dict()), saved_by, view.saved_at),
    )
    return view


def saved_views(connection: psycopg.Connection[Any]) -> list[SavedView]:
    """Every saved view, by name."""
    rows = connection.execute("SELECT name, filter, saved_by, saved_at FROM audit.saved_views ORDER BY name")
    return [SavedView(name, LogFilter.from_dict(data), who, when) for name, data, who, when in rows]


def saved_view(connection: psycopg.Connection[Any], name: str) -> SavedView:
    """One saved view.

    Raises:
        ViewUnknown: when there is none of that name.
    """
    found = next((view for view in saved_views(connection) if view.name == name), None)
    return found or _unknown(name)


def delete_view(connection: psycopg.Connection[Any], name: str, deleted_by: str) -> None:
    """Forget a saved view.

    Raises:
        NotAnAuditor: when `deleted_by` is none.
        ViewUnknown: when there is none of that name.
    """
    require_auditor(connection, deleted_by)
    if connection.execute("DELETE FROM audit.saved_views WHERE name = %s", (name,)).rowcount == 0:
        _unknown(name)


def _unknown(name: str) -> Any:
    raise ViewUnknown(
        "There is no saved view of this name.", remedy="`lintas audit views list` shows them.", view=name
    )
