"""What the database itself counts about reading record tables, and who is in it now.

PostgreSQL counts reads by table, not by role or person, and remembers the moment of the last one only; the
counts can be reset by whoever owns the server. So they raise questions; they prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from foundation.database import Role

__all__ = ["ForeignSession", "TableReads", "foreign_sessions", "table_reads"]

_READS = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0),
       greatest(last_seq_scan, last_idx_scan)
  FROM pg_stat_user_tables
 WHERE schemaname = 'records'
   AND relname IN (SELECT table_name FROM records.dataset
                   UNION SELECT table_name || '_history' FROM records.dataset)
 ORDER BY relname
"""
_SESSIONS = """
SELECT usename, count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND usename IS NOT NULL AND NOT usename = ANY(%s)
 GROUP BY usename ORDER BY usename
"""


@dataclass(frozen=True, slots=True)
class TableReads:
    """How much was read of one record table since the counts were last reset, and when last."""

    table: str
    rows: int
    last_read: datetime | None


@dataclass(frozen=True, slots=True)
class ForeignSession:
    """A role that is connected and is none of the bus's."""

    role: str
    sessions: int


def table_reads(connection: psycopg.Connection[Any]) -> list[TableReads]:
    """Reads of every record table, in its present and its former versions."""
    return [TableReads(*row) for row in connection.execute(_READS).fetchall()]


def foreign_sessions(connection: psycopg.Connection[Any]) -> list[ForeignSession]:
    """Who is connected to this database under a role that is none of the bus's."""
    rows = connection.execute(_SESSIONS, [[str(role) for role in Role]])
    return [ForeignSession(*row) for row in rows.fetchall()]
