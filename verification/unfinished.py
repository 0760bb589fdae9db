"""Live questions that nobody saw the end of: an entry `lookup.requested` without its `lookup.completed`.

A process that dies between the two leaves this behind. What the source sent, if anything, was used by nobody;
that it was asked stays on record, and somebody should know why there is no more to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from foundation import clock

__all__ = ["UnfinishedLookup", "count_unfinished", "unfinished"]

GRACE = timedelta(seconds=60)
"""How long after its budget the completion of a look-up may take to reach the log."""
LOOKED_BACK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UnfinishedLookup:
    """A question to a source whose end is not on record; the fields are those of its first entry."""

    number: int
    entry_id: str
    requested_at: datetime
    provider: str
    consumer: str
    purpose: str
    dataset: str
    service: str
    lookup: str


_READ = """
SELECT entry_index, entry_id::text AS entry_id, occurred_at, provider, consumer, purpose,
       convert_from(entry, 'UTF8')::jsonb AS told
  FROM audit.entries WHERE kind = %(kind)s AND occurred_at >= %(since)s AND occurred_at <= %(until)s
"""
_UNFINISHED = f"""
WITH horizon AS (
    SELECT CASE WHEN EXISTS (SELECT id FROM audit.outbox) THEN coalesce(
        (SELECT signed_at FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1), '-infinity')
        ELSE %(now)s END AS seen_to
), requested AS ({_READ.replace("%(kind)s", "'lookup.requested'").replace("%(until)s", "%(now)s")}
), completed AS (
    SELECT told -> 'details' ->> 'lookup' AS lookup
      FROM ({_READ.replace("%(kind)s", "'lookup.completed'").replace("%(until)s", "'infinity'")}) c
), open AS (
    SELECT r.* FROM requested r, horizon
     WHERE r.occurred_at + %(grace)s
           + coalesce((told -> 'details' ->> 'budget_milliseconds')::int, 0) * interval '1 millisecond'
           < horizon.seen_to
       AND NOT EXISTS (SELECT FROM completed c WHERE c.lookup = r.told -> 'details' ->> 'lookup')
)
"""  # noqa: S608 - composed of constants


def unfinished(
    connection: psycopg.Connection[Any], *, back: timedelta = LOOKED_BACK, limit: int = 100
) -> list[UnfinishedLookup]:
    """The look-ups of some time past that should have ended and did not, the latest first.

    While entries wait for their number, only what was asked well before the last checkpoint is judged: the
    completion of anything later may be among those that wait.
    """
    rows = connection.execute(
        _UNFINISHED + "SELECT entry_index, entry_id, occurred_at, provider, consumer, purpose,"  # noqa: S608
        " told -> 'datasets' ->> 0, told -> 'details' ->> 'service', told -> 'details' ->> 'lookup'"
        " FROM open ORDER BY entry_index DESC LIMIT %(limit)s",
        {**_window(back), "limit": limit},
    ).fetchall()
    return [UnfinishedLookup(*row) for row in rows]


def count_unfinished(connection: psycopg.Connection[Any], *, back: timedelta = LOOKED_BACK) -> int:
    """How many there are."""
    query = _UNFINISHED + "SELECT count(*) FROM open"  # noqa: S608
    row = connection.execute(query, _window(back)).fetchone()
    assert row is not None
    return int(row[0])


def _window(back: timedelta) -> dict[str, Any]:
    now = clock.now()
    return {"now": now, "since": now - back, "grace": GRACE}
