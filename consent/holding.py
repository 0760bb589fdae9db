"""The last look before several exchanges leave in one transaction: each is held to what it alone rests on.

Invariant: as that of `consent.commitment`, for each of them: the locks of all are taken at once and in one
order, everything is re-read after, and what changed under one exchange refuses that one and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.pq import TransactionStatus

from audit.erasure.suppression import lock_key
from consent.commitment import Current, keys_of, require_unchanged, unsuitable
from consent.decision import Decision
from consent.locks import lock_shared
from foundation.errors import Refused
from foundation.pipelines import Transaction

__all__ = ["Held", "hold_together"]

_REREAD = """
SELECT 'agreement' AS what, r.agreement_id AS id, r.revision, encode(r.hash, 'hex') AS hash,
       %(at)s < r.valid_until AND (e.ended_at IS NULL OR %(at)s < e.ended_at) AS in_force,
       current_setting('transaction_isolation') AS isolation
  FROM unnest(%(agreements)s::text[]) AS wanted (agreement_id)
 CROSS JOIN LATERAL (
       SELECT * FROM consent.agreement_revision
        WHERE agreement_id = wanted.agreement_id AND valid_from <= %(at)s
        ORDER BY revision DESC LIMIT 1) AS r
  LEFT JOIN consent.agreement_end AS e ON e.agreement_id = r.agreement_id
UNION ALL
SELECT 'consent', r.consent_id::text, r.revision, encode(r.hash, 'hex'),
       r.state = 'granted' AND (r.valid_until IS NULL OR %(at)s < r.valid_until),
       current_setting('transaction_isolation')
  FROM unnest(%(consents)s::uuid[]) AS wanted (consent_id)
 CROSS JOIN LATERAL (
       SELECT * FROM consent.consent_revision WHERE consent_id = wanted.consent_id
        ORDER BY revision DESC LIMIT 1) AS r
UNION ALL
SELECT 'suspended', agency_id, 0, '', false, current_setting('transaction_isolation')
  FROM participants.agency WHERE agency_id = ANY(%(agencies)s) AND status <> 'active'
UNION ALL
SELECT 'suspended', system_id, 0, '', false, current_setting('transaction_isolation')
  FROM participants.system WHERE system_id = ANY(%(systems)s) AND status <> 'active'
UNION ALL
SELECT 'erased', encode(tag, 'hex'), 0, '', false, current_setting('transaction_isolation')
  FROM audit.suppression WHERE tag = ANY(%(persons)s::bytea[])
"""


@dataclass(frozen=True, slots=True)
class Held:
    """One exchange: its decisions (on the applicant, and on whom else it concerns), and everybody's tags."""

    decisions: tuple[Decision, ...]
    persons: tuple[bytes, ...] = field(repr=False)


def hold_together(
    connection: Connection[Any], exchanges: Sequence[Held], at: datetime, transaction: Transaction
) -> list[Refused | None]:
    """Lock and re-read everything that several exchanges rest on; for each, why it may not be committed.

    Args:
        connection: The connection whose transaction commits the exchanges.
        exchanges: What was decided; no emergencies, which are committed alone.
        at: The moment at which everything must be in force.
        transaction: The transaction: locks and re-reading are sent together.

    Returns:
        For each exchange None, or the refusal that `consent.commitment.hold` would raise.

    Raises:
        UnsuitableTransaction: If the connection runs no transaction at READ COMMITTED.
    """
    decisions = [decision for each in exchanges for decision in each.decisions]
    if any(decision.is_emergency for decision in decisions):
        raise ValueError("an emergency access is committed alone")
    persons = sorted({tag for each in exchanges for tag in each.persons})
    keys = [key for decision in decisions for key in keys_of(decision)]
    lock_shared(connection, [*keys, *map(lock_key, persons)])
    requests = [decision.request for decision in decisions]
    reread = connection.execute(
        _REREAD,
        {
            "at": at,
            "agreements": sorted({each.id for decision in decisions for each in decision.agreements}),
            "consents": sorted({decision.consent.id for decision in decisions if decision.consent}),
            "agencies": sorted({each for one in requests for each in (one.consumer, *one.providers)}),
            "systems": sorted({one.system for one in requests}),
            "persons": persons,
        },
    )
    transaction.settle()
    if connection.info.transaction_status is not TransactionStatus.INTRANS:
        raise unsuitable("the connection commits every statement by itself")
    current: Current = {}
    for what, name, revision, digest, in_force, isolation in reread.fetchall():
        if isolation != "read committed":
            raise unsuitable("its snapshot is older than the locks")
        current[what, name] = (revision, digest, in_force)
    return [_refusal(each, current) for each in exchanges]


def _refusal(exchange: Held, current: Current) -> Refused | None:
    try:
        for decision in exchange.decisions:
            decision.require_allowed()
            require_unchanged(decision, _of(exchange, decision, current))
    except Refused as refusal:
        return refusal
    return None


def _of(exchange: Held, decision: Decision, current: Current) -> Current:
    """What of all that was read concerns this exchange; another one's suspended party does not."""
    request = decision.request
    parties = {request.consumer, request.system, *request.providers}
    found = {
        (what, name): state
        for (what, name), state in current.items()
        if what in ("agreement", "consent") or (what == "suspended" and name in parties)
    }
    if any(("erased", tag.hex()) in current for tag in exchange.persons):
        found["erased", ""] = (0, "", False)
    return found
