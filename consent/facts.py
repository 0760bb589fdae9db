"""Gathering what a decision may look at: one question to the database, on the hot path of every exchange.

Nothing that can change is cached. Terms are kept in memory by the hash of their bytes, which never change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from psycopg import Connection

from audit.entry import RevisionReference
from consent.errors import RevisionBroken
from consent.exchange import AgreementFact, ConsentFact, ExchangeRequest, Facts, SystemFact
from consent.quota import QuotaLeases, quota_day
from consent.revision import ConsentRevision
from consent.terms import AgreementRevision, AgreementTerms
from foundation.canonical import sha256_hex

__all__ = ["ask_together", "gather", "gather_together", "governing_agreements"]

# Of each agreement: the revision that governs at the moment, or, when none has begun, the first one, so
# that a denial can say "not yet in force".
_GOVERNING = """
SELECT DISTINCT ON (r.agreement_id)
       r.agreement_id, r.revision, encode(r.hash, 'hex'), e.ended_at, coalesce(q.leased, 0)
  FROM consent.agreement_revision r
  LEFT JOIN consent.agreement_end e ON e.agreement_id = r.agreement_id
  LEFT JOIN consent.quota_day q ON q.agreement_id = r.agreement_id AND q.day = %(day)s
{between}
 ORDER BY r.agreement_id, r.valid_from <= %(at)s DESC,
          CASE WHEN r.valid_from <= %(at)s THEN r.revision ELSE -r.revision END DESC
"""
_BETWEEN = _GOVERNING.format(
    between=" WHERE r.consumer = ANY(%(consumers)s) AND r.provider = ANY(%(providers)s)"
)
_EVERYWHERE = _GOVERNING.format(between="")

_FACTS = f"""
SELECT 'agency' AS what, agency_id AS id, 0 AS revision, '' AS hash, NULL::timestamptz AS ended_at,
       0::bigint AS leased, agency_id AS owner, status = 'active' AS active, NULL::bytea AS payload,
       0::bigint AS place
  FROM participants.agency WHERE agency_id = ANY(%(agencies)s)
UNION ALL
SELECT 'system', system_id, 0, '', NULL, 0, agency_id, status = 'active', NULL, 0
  FROM participants.system WHERE system_id = ANY(%(systems)s)
UNION ALL
SELECT 'agreement', g.*, NULL, NULL, NULL, 0 FROM ({_BETWEEN}) AS g
UNION ALL
SELECT 'consent', '', l.revision, encode(l.hash, 'hex'), NULL, 0, NULL, NULL, l.payload, w.place
  FROM unnest(%(subjects)s::uuid[], %(consumers)s::text[], %(purposes)s::text[])
       WITH ORDINALITY AS w (subject, consumer, purpose, place)
 CROSS JOIN LATERAL (
       SELECT r.revision, r.hash, r.payload FROM consent.consent c
         JOIN consent.consent_revision r USING (consent_id)
        WHERE c.subject = w.subject AND c.consumer = w.consumer AND c.purpose = w.purpose
        ORDER BY r.revision DESC LIMIT 1) AS l
"""  # noqa: S608


def gather(connection: Connection[Any], request: ExchangeRequest, leases: QuotaLeases | None = None) -> Facts:
    """Everything stored that bears on a request.

    Args:
        connection: Any connection of a role that takes part in exchanges.
        request: What is asked.
        leases: This process's quota blocks, whose unused units count as left.
    """
    return gather_together(connection, [request], leases)[0]


def gather_together(
    connection: Connection[Any], requests: Sequence[ExchangeRequest], leases: QuotaLeases | None = None
) -> list[Facts]:
    """Everything stored that bears on each of several requests of one moment, in one question.

    Raises:
        ValueError: When the requests are not of one moment, at which one agreement governs them all.
    """
    return ask_together(connection, requests, leases)()


def ask_together(
    connection: Connection[Any], requests: Sequence[ExchangeRequest], leases: QuotaLeases | None = None
) -> Callable[[], list[Facts]]:
    """Ask for everything stored that bears on each of several requests of one moment.

    Returns:
        What gives it; calling it waits for the statement, and for those that travel with it.

    Raises:
        ValueError: When the requests are not of one moment, at which one agreement governs them all.
    """
    at = requests[0].at
    if any(request.at != at for request in requests):
        raise ValueError("facts are gathered together for one moment only")
    day = quota_day(at)
    providers = sorted({provider for request in requests for provider in request.providers})
    asked = {
        "agencies": sorted({*providers, *(request.consumer for request in requests)}),
        "systems": sorted({request.system for request in requests}),
        "day": day,
        "at": at,
        "providers": providers,
        "subjects": [request.subject for request in requests],
        "consumers": [request.consumer for request in requests],
        "purposes": [request.purpose for request in requests],
    }
    rows = connection.execute(_FACTS, asked)

    def told() -> list[Facts]:
        found: dict[str, list[tuple[Any, ...]]] = {"agency": [], "system": [], "agreement": [], "consent": []}
        for what, *row in rows.fetchall():
            found[what].append(tuple(row))
        agreements = _facts(connection, [row[:5] for row in found["agreement"]], day, leases)
        consents = {row[8]: _consent_fact(row[7], row[2]) for row in found["consent"]}
        agencies = {row[0]: row[6] for row in found["agency"]}
        systems = {row[0]: SystemFact(row[5], row[6]) for row in found["system"]}
        return [
            Facts(
                agreements=_between(request, agreements),
                consent=consents.get(place),
                agencies={name: agencies[name] for name in _parties(request) if name in agencies},
                systems={request.system: systems[request.system]} if request.system in systems else {},
            )
            for place, request in enumerate(requests, start=1)
        ]

    return told


def _between(request: ExchangeRequest, agreements: tuple[AgreementFact, ...]) -> tuple[AgreementFact, ...]:
    providers = request.providers
    return tuple(
        fact
        for fact in agreements
        if fact.terms.consumer == request.consumer and fact.terms.provider in providers
    )


def _parties(request: ExchangeRequest) -> frozenset[str]:
    return request.providers | {request.consumer}


def governing_agreements(connection: Connection[Any], at: datetime) -> tuple[AgreementFact, ...]:
    """Every agreement between any two agencies, in the revision that governs at a moment."""
    rows = connection.execute(_EVERYWHERE, {"day": quota_day(at), "at": at}).fetchall()
    return _facts(connection, rows, quota_day(at), None)


def _facts(
    connection: Connection[Any], rows: list[tuple[Any, ...]], day: date, leases: QuotaLeases | None
) -> tuple[AgreementFact, ...]:
    terms = _TERMS.load(connection, [row[2] for row in rows])
    facts = []
    for agreement_id, revision, digest, ended_at, leased in rows:
        agreed = terms[digest]
        left = None
        if agreed.quota_per_day is not None:
            held = leases.available(agreement_id, day) if leases is not None else 0
            left = max(0, agreed.quota_per_day - leased) + held
        reference = RevisionReference(agreement_id, revision, digest)
        facts.append(AgreementFact(reference, agreed, ended_at=ended_at, quota_left=left))
    return tuple(facts)


def _consent_fact(payload: bytes, digest: str) -> ConsentFact:
    if sha256_hex(payload) != digest:
        raise RevisionBroken("The bytes of a stored consent do not match their hash")
    return _parsed_consent(digest, payload)


@lru_cache(maxsize=4096)
def _parsed_consent(digest: str, payload: bytes) -> ConsentFact:
    """Bytes of one hash mean one thing for ever; which revision is the latest is asked each time."""
    return ConsentRevision.model_validate_json(payload).as_fact(digest)


class _TermsCache:
    """Parsed terms by the hash of their exact bytes; least recently used ones go first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._terms: OrderedDict[str, AgreementTerms] = OrderedDict()

    def load(self, connection: Connection[Any], hashes: list[str]) -> dict[str, AgreementTerms]:
        """The terms of every hash, read from the database where they are not in memory."""
        with self._lock:
            found = {digest: self._terms[digest] for digest in hashes if digest in self._terms}
            for digest in found:
                self._terms.move_to_end(digest)
        missing = [digest for digest in hashes if digest not in found]
        if missing:
            found |= self._read(connection, missing)
        return found

    def _read(self, connection: Connection[Any], hashes: list[str]) -> dict[str, AgreementTerms]:
        rows = connection.execute(
            "SELECT encode(hash, 'hex'), payload FROM consent.agreement_revision WHERE hash = ANY(%s)",
            [[bytes.fromhex(digest) for digest in hashes]],
        )
        read = {}
        for digest, payload in rows.fetchall():
            if sha256_hex(payload) != digest:
                raise RevisionBroken("The bytes of a stored agreement do not match their hash")
            read[digest] = AgreementRevision.parse(payload).terms
        with self._lock:
            self._terms |= read
            while len(self._terms) > self._size:
                self._terms.popitem(last=False)
        return read


_TERMS = _TermsCache(size=4096)
