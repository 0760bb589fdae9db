"""From what a database says to what one can do about it.

The database's own text may hold values, and stays out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from connectors.errors import (
    ColumnsMissing,
    DatasetMissing,
    PageUnreadable,
    SourceBusy,
    SourceInterrupted,
)
from foundation.errors import LintasError
from foundation.http_errors import AccessRefused, LoginRefused

_BUSY_AT_LOGIN = re.compile(r"too many|starting up|shutting down|recovery|remaining connection slots")
_NO_DATABASE = re.compile(r'database ".*" does not exist')


@contextmanager
def reading(dataset: str) -> Iterator[None]:
    """Name every error of the database that passes."""
    try:
        yield
    except NoSuchTableError:
        raise table_missing(dataset) from None
    except PoolTimeoutError:
        raise _busy("No connection to the source became free in time") from None
    except DBAPIError as error:
        raise named(error.orig, dataset) from None
    except psycopg.Error as error:
        raise named(error, dataset) from None


def table_missing(dataset: str) -> LintasError:
    """The table is not there, or the account does not see it."""
    return DatasetMissing(
        f"There is no table or view {dataset}",
        remedy="Check the name, with its schema, in the contract; ask the agency whether it was renamed",
        dataset=dataset,
    )


def named(error: BaseException | None, dataset: str) -> LintasError:
    """Name an error by its SQLSTATE."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return _without_state(error, dataset)
    exact = {
        "42P01": lambda: table_missing(dataset),
        "42703": lambda: ColumnsMissing(dataset, ["of the contract, or one behind the view,"], []),
        "42501": lambda: _not_allowed(dataset),
        "57014": lambda: _busy("A page took longer than the source may be asked to work"),
        "28P01": login_refused,
        "28000": login_refused,
        "3D000": _database_missing,
    }
    if state in exact:
        return exact[state]()
    by_class = {
        "08": lambda: _interrupted(state),
        "57": lambda: _interrupted(state),
        "53": lambda: _busy("The source has no room for another reader"),
        "40": lambda: _busy("The source asks to try again"),
        "55": lambda: _busy("The source holds a lock on what is to be read"),
    }
    found = by_class.get(state[:2])
    return found() if found else _refused(state, dataset)


def refused_at_login(error: BaseException | None) -> LintasError:
    """Name a refusal that came after TLS was up: libpq gives no SQLSTATE here, only text."""
    text = str(error)
    if _BUSY_AT_LOGIN.search(text):
        return _busy("The source takes no more connections now")
    if _NO_DATABASE.search(text):
        return _database_missing()
    return login_refused()


def login_refused() -> LintasError:
    """Name or password is not accepted."""
    return LoginRefused(
        "The source refuses the account's name or password",
        remedy="Ask the agency for the present password and put it where the contract's reference points",
    )


def _without_state(error: BaseException | None, dataset: str) -> LintasError:
    if isinstance(error, psycopg.OperationalError):
        return _interrupted("none")
    if isinstance(error, psycopg.Error):
        return _refused("none", dataset)
    return _refused(type(error).__name__, dataset)


def _database_missing() -> LintasError:
    return DatasetMissing(
        "The server has no database of the registered name",
        remedy="Check the database in the system's address with the agency",
    )


def _not_allowed(dataset: str) -> LintasError:
    return AccessRefused(
        f"The account may not read {dataset}, or not all columns of the contract",
        remedy=f"Ask the agency for: GRANT SELECT on the contract's columns of {dataset}",
        dataset=dataset,
    )


def _busy(what: str) -> LintasError:
    return SourceBusy(
        what,
        remedy="It is tried again; if it lasts, read at night, or make page_rows smaller in the contract",
    )


def _interrupted(state: str) -> LintasError:
    return SourceInterrupted(
        "The line to the source was cut",
        remedy="It is tried again and goes on after the last page that was landed",
        sqlstate=state,
    )


def _refused(state: str, dataset: str) -> LintasError:
    return PageUnreadable(
        f"The source could not give rows of {dataset}",
        why=f"It answered with SQLSTATE {state}; its text may hold values and is not repeated",
        remedy="Read the same table with the agency's own tools; the code tells what is wrong there",
        dataset=dataset,
        sqlstate=state,
    )
