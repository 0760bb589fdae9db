"""The URL of a PostgreSQL server that is not ours: readable, and over the network only under verified TLS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg import conninfo as libpq

from foundation.errors import FixInstallation

__all__ = ["DatabaseUrlInvalid", "DatabaseUrlUnprotected", "checked_url"]

_EXAMPLE = "postgresql://user:password@host:5432/postgres?sslmode=verify-full"


class DatabaseUrlInvalid(FixInstallation):
    """LINTAS_DATABASE_URL is not a PostgreSQL URL."""


class DatabaseUrlUnprotected(FixInstallation):
    """LINTAS_DATABASE_URL leads over the network without checking who answers."""


def checked_url(url: str) -> str:
    """Return the URL as libpq reads it; another machine's must say ``sslmode=verify-full``.

    Without it libpq prefers TLS, but takes any certificate, and plain text when TLS is refused.

    Raises:
        DatabaseUrlInvalid: When it is none; the text is not repeated, for it holds a password.
        DatabaseUrlUnprotected: When it names another machine without ``sslmode=verify-full``.
    """
    text = url.replace("postgresql+psycopg://", "postgresql://", 1)
    given: Mapping[str, Any] | None = None
    with suppress(psycopg.ProgrammingError):
        given = libpq.conninfo_to_dict(text)
    if given is None:
        raise DatabaseUrlInvalid(
            "LINTAS_DATABASE_URL is not a PostgreSQL URL", remedy=f"Write it as {_EXAMPLE}"
        )
    if given.get("sslmode") != "verify-full" and not _stays_here(given):
        raise DatabaseUrlUnprotected(
            "LINTAS_DATABASE_URL leads to another machine without sslmode=verify-full",
            why="Passwords and registers would travel to whoever answers, perhaps unencrypted",
            remedy=f"Write it as {_EXAMPLE}, with sslrootcert=FILE for an authority of your own;"
            " only a socket or a loopback address needs no TLS",
        )
    return text


def _stays_here(given: Mapping[str, Any]) -> bool:
    """Whether every host is a socket or a loopback address, as libpq will see it."""
    if given.get("service") or os.environ.get("PGSERVICE"):
        return False
    addresses = given.get("hostaddr") or os.environ.get("PGHOSTADDR")
    hosts = addresses or given.get("host") or os.environ.get("PGHOST") or "/"
    return all(_is_local(host) for host in str(hosts).split(","))


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
