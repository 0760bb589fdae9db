"""PostgreSQL's errors in our words: what happened and what to do, never ``Key (nik)=(…)``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from foundation.errors import FixInstallation, IntegrityBroken, LintasError, RetryLater

__all__ = [
    "ConstraintViolated",
    "DatabaseBusy",
    "DatabaseFailed",
    "DatabaseUnavailable",
    "PermissionMissing",
    "SchemaOutdated",
    "ValueNotStorable",
    "map_database_error",
    "translated",
]


class DatabaseUnavailable(RetryLater):
    """The database cannot be reached, or has no room for another connection."""


class DatabaseBusy(RetryLater):
    """Two transactions stood in each other's way; one of them has to be run again."""


class ConstraintViolated(IntegrityBroken):
    """A row breaks a rule of its table."""


class ValueNotStorable(IntegrityBroken):
    """A value does not fit its column's type."""


class PermissionMissing(FixInstallation):
    """A database role lacks a right that the code expects it to have."""


class SchemaOutdated(FixInstallation):
    """A table or column that the code expects is not there."""


class DatabaseFailed(IntegrityBroken):
    """The database refused a statement for a reason of its own."""


_RETRY = "Try again; the work was rolled back as a whole"
_REPORT = "Report this with the SQLSTATE; nothing was stored"

_BY_STATE: dict[str, tuple[type[LintasError], str, str]] = {
    "08": (DatabaseUnavailable, "The connection to the database was lost", _RETRY),
    "40": (DatabaseBusy, "Two transactions stood in each other's way", _RETRY),
    "53": (DatabaseUnavailable, "The database is out of a resource", "Free space or connections, then retry"),
    "57": (DatabaseUnavailable, "The database ended the statement or the connection", _RETRY),
    "55P03": (DatabaseBusy, "A lock was not given in time", _RETRY),
    "23": (ConstraintViolated, "A row breaks a rule of its table", _REPORT),
    "22": (ValueNotStorable, "A value does not fit its column", _REPORT),
    "28": (
        PermissionMissing,
        "The database refused the login",
        "Run `lintas init` to set the roles' passwords again",
    ),
    "42501": (
        PermissionMissing,
        "A database role lacks a right",
        "Run `lintas init` to migrate and grant again",
    ),
    "42P01": (SchemaOutdated, "A table is missing", "Run `lintas init` to migrate the database"),
    "42703": (SchemaOutdated, "A column is missing", "Run `lintas init` to migrate the database"),
    "3D000": (SchemaOutdated, "The database does not exist", "Run `lintas init` to create it"),
    "3F000": (SchemaOutdated, "A schema is missing", "Run `lintas init` to migrate the database"),
}


def map_database_error(error: psycopg.Error) -> LintasError:
    """Return our error for one of PostgreSQL's, without any value of a row."""
    state = error.sqlstate or ""
    cls, what, remedy = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _without_state(error)
    diagnostic = error.diag
    found = {
        "sqlstate": state or None,
        "schema": diagnostic.schema_name,
        "table": diagnostic.table_name,
        "column": diagnostic.column_name,
        "constraint": diagnostic.constraint_name,
    }
    known: dict[str, Any] = {name: value for name, value in found.items() if value}
    described = ", ".join(f"{name} {value}" for name, value in known.items())
    return cls(what, why=described, remedy=remedy, **known)


@contextmanager
def translated() -> Iterator[None]:
    """Let PostgreSQL's errors leave the block as ours; their text, which may hold values, is removed."""
    try:
        yield
    except psycopg.Error as error:
        mapped = map_database_error(error)
        error.args = (type(error).__name__,)  # it stays reachable as the context of ours
        raise mapped from None


def _without_state(error: psycopg.Error) -> tuple[type[LintasError], str, str]:
    """Judge an error that carries no SQLSTATE: mostly a login that failed (its text holds no rows)."""
    text = str(error)
    for sign, state in _LOGIN_SIGNS.items():
        if sign in text:
            return _BY_STATE[state]
    if isinstance(error, psycopg.OperationalError):
        return (DatabaseUnavailable, "The database cannot be reached", "Check that it runs: `lintas status`")
    return (DatabaseFailed, f"The database reported {type(error).__name__}", _REPORT)


_LOGIN_SIGNS = {
    "password authentication failed": "28",
    "no password supplied": "28",
    "permission denied for database": "42501",
    "does not exist": "3D000",
}
