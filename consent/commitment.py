"""The last look before data leaves: what was decided must still hold in the transaction that commits it.

Invariant: between `hold` and the end of the transaction no agreement or consent relied on can change,
because whoever changes one waits for the shared locks taken here; and what changed before is seen,
because the revisions are re-read after the locks were taken. So it is with the erasure of a person concerned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus

from audit.entry import RevisionReference
from audit.erasure.suppression import lock_key
from consent.decision import Decision
from consent.errors import (
    AgreementChanged,
    ConsentChanged,
    ExchangeDenied,
    PersonErased,
    UnsuitableTransaction,
)
from consent.locks import agreement_key, consent_key, lock_shared
from consent.quota import QuotaLeases, QuotaTaken, quota_day, take_quota
from foundation import clock
from foundation.pipelines import Transaction

__all__ = ["QuotaLeases", "QuotaTaken", "hold", "quota_day", "take_quota"]

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

_REVIEW = """
INSERT INTO consent.emergency_review (decision_id, consumer, officer, reason, accessed_at, due_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""


def hold(
    connection: Connection[Any],
    decision: Decision,
    at: datetime | None = None,
    transaction: Transaction | None = None,
    persons: Sequence[bytes] = (),
) -> None:
    """Lock and re-read everything the decision rests on; call it in the transaction that commits.

    Waits for a withdrawal that is being committed, and is then refused by it.
    For an emergency access the review that is now due is written in the same transaction.

    Args:
        connection: The connection whose transaction commits the exchange.
        decision: What was decided.
        at: The moment at which everything must be in force; now by default.
        transaction: The transaction, where it is pipelined: locks and re-reading are sent together.
        persons: Suppression tags of whom the exchange concerns; an erasure of one of them waits, too.

    Raises:
        PersonErased: If one of the persons was erased since.
        ExchangeDenied: If the decision was no allowance in the first place, or a party was suspended since.
        AgreementChanged: If an agreement was revised, ended or ran out since.
        ConsentChanged: If the consent was withdrawn, changed or ran out since.
        UnsuitableTransaction: If the connection runs no transaction at READ COMMITTED.
    """
    decision.require_allowed()
    current = look_again(connection, [decision], persons, at or clock.now(), transaction)
    require_unchanged(decision, persons, current())
    _note_review(connection, decision)


Current = dict[tuple[str, str], tuple[int, str, bool]]
"""What stands now, by what it is and its id: revision, hash, and whether it is in force."""


def look_again(
    connection: Connection[Any],
    decisions: Sequence[Decision],
    persons: Sequence[bytes],
    at: datetime,
    transaction: Transaction | None,
) -> Callable[[], Current]:
    """Take the locks of everything that decisions rest on, all in one order, and read it again after.

    Returns:
        What gives what was read; calling it waits for everything sent so far in the transaction.

    Raises, when called:
        UnsuitableTransaction: If the connection runs no transaction at READ COMMITTED.
    """
    keys = [key for decision in decisions for key in _keys(decision)]
    lock_shared(connection, [*keys, *map(lock_key, persons)])
    reread = _reread(connection, decisions, persons, at)

    def current() -> Current:
        if transaction is not None:
            transaction.settle()
        if connection.info.transaction_status is not TransactionStatus.INTRANS:
            raise _unsuitable("the connection commits every statement by itself")
        return _read(reread)

    return current


def require_unchanged(decision: Decision, persons: Sequence[bytes], current: Current) -> None:
    """Refuse what does not stand any more as it was decided.

    Raises:
        PersonErased, ExchangeDenied, AgreementChanged, ConsentChanged: As `hold` says.
    """
    if any(("erased", tag.hex()) in current for tag in persons):
        raise PersonErased("A person whom the exchange concerns was erased, or is being erased")
    _require_standing(decision, current)
    for reference in decision.agreements:
        if not _same(reference, current.get(("agreement", reference.id))):
            raise AgreementChanged(
                f"The agreement {reference.id} changed before the exchange was committed",
                remedy="Ask again: the exchange will be decided on the agreement now in force.",
                decision_id=decision.decision_id,
                rules=["agreement.changed"],
            )
    consent = decision.consent
    if consent is not None and not _same(consent, current.get(("consent", consent.id))):
        raise ConsentChanged(
            "The consent was withdrawn or changed before the exchange was committed",
            remedy="Ask the data subject before asking again.",
            decision_id=decision.decision_id,
            rules=["consent.changed"],
        )


def _keys(decision: Decision) -> list[int]:
    keys = [agreement_key(reference.id) for reference in decision.agreements]
    request = decision.request
    if decision.consent is not None and request.subject is not None:
        keys.append(consent_key(request.subject, request.consumer, request.purpose))
    return keys


def _reread(
    connection: Connection[Any], decisions: Sequence[Decision], persons: Sequence[bytes], at: datetime
) -> Cursor[Any]:
    requests = [decision.request for decision in decisions]
    return connection.execute(
        _REREAD,
        {
            "at": at,
            "agreements": sorted({each.id for decision in decisions for each in decision.agreements}),
            "consents": sorted({decision.consent.id for decision in decisions if decision.consent}),
            "agencies": sorted({each for one in requests for each in (one.consumer, *one.providers)}),
            "systems": sorted({one.system for one in requests}),
            "persons": list(persons),
        },
    )


def _read(reread: Cursor[Any]) -> Current:
    rows = reread.fetchall()
    if any(row[5] != "read committed" for row in rows):
        raise _unsuitable("its snapshot is older than the locks")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


def _require_standing(decision: Decision, current: Current) -> None:
    request = decision.request
    parties = {request.consumer, request.system, *request.providers}
    suspended = {identity for what, identity in current if what == "suspended" and identity in parties}
    if not suspended:
        return
    sides = {request.system: "system", request.consumer: "consumer"}
    raise ExchangeDenied(
        "A party was suspended before the exchange was committed",
        remedy="Ask the operator why; exchanges are possible again once the party is reinstated.",
        decision_id=decision.decision_id,
        rules=sorted({f"{sides.get(identity, 'provider')}.suspended" for identity in suspended}),
    )


def _same(reference: RevisionReference, current: tuple[int, str, bool] | None) -> bool:
    return current == (reference.revision, reference.hash, True)


def _note_review(connection: Connection[Any], decision: Decision) -> None:
    claim = decision.request.emergency
    if claim is None:
        return
    request = decision.request
    connection.execute(
        _REVIEW,
        [
            decision.decision_id,
            request.consumer,
            claim.officer,
            claim.reason,
            request.at,
            decision.review_due,
        ],
    )


def _unsuitable(why: str) -> UnsuitableTransaction:
    return UnsuitableTransaction(
        "The exchange cannot be committed on this connection",
        why=why,
        remedy="Call hold inside a transaction at the isolation level READ COMMITTED.",
    )
