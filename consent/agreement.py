"""Agreements in force: signed by both sides, published as a hash chain of revisions, ended at once.

Invariant: every stored revision carries two signatures over its exact bytes, by keys that the provider
and the consumer had registered for agreements at that moment, and names the hash of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind, RevisionReference
from audit.log import append
from consent.errors import AgreementInvalid, RevisionBroken
from consent.locks import agreement_key, lock_exclusive
from consent.terms import AgreementRevision, AgreementTerms, payload_hash
from foundation import clock
from foundation.errors import Location
from foundation.keyring import KeyPair
from participants import keys
from participants.errors import KeyNotValid, SignatureWrong, UnknownKey

__all__ = [
    "AgreementRevision",
    "AgreementSignature",
    "AgreementTerms",
    "SignedAgreement",
    "agreements",
    "end_agreement",
    "payload_hash",
    "publish_revision",
    "revisions",
    "sign",
    "sign_by_both",
    "verify_stored",
]

KEY_USE = "agreement"


@dataclass(frozen=True, slots=True)
class AgreementSignature:
    """One side's signature over the exact bytes of a revision."""

    kid: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """A revision's exact bytes with the signatures of provider and consumer."""

    payload: bytes
    provider_signature: AgreementSignature
    consumer_signature: AgreementSignature

    @property
    def revision(self) -> AgreementRevision:
        """The parsed revision."""
        return AgreementRevision.parse(self.payload)

    @property
    def reference(self) -> RevisionReference:
        """What entries and decisions cite."""
        revision = self.revision
        return RevisionReference(revision.terms.agreement_id, revision.revision, payload_hash(self.payload))


@dataclass(frozen=True, slots=True)
class StoredAgreement:
    """A published revision, and whether and when the agreement was ended."""

    signed: SignedAgreement
    published_at: datetime
    ended_at: datetime | None = None

    @property
    def terms(self) -> AgreementTerms:
        """The terms of this revision."""
        return self.signed.revision.terms


def sign(payload: bytes, key: KeyPair) -> AgreementSignature:
    """Sign a revision's bytes; runs at the agency, which alone holds the private key.

    Raises:
        WrongKeyKind: If the key is not an Ed25519 key.
    """
    return AgreementSignature(kid=key.kid, signature=key.sign(payload))


def sign_by_both(
    revision: AgreementRevision, provider_key: KeyPair, consumer_key: KeyPair
) -> SignedAgreement:
    """Both signatures at once, where one place holds both keys (practice agencies, tests)."""
    payload = revision.payload()
    return SignedAgreement(payload, sign(payload, provider_key), sign(payload, consumer_key))


def publish_revision(
    connection: Connection[Any], signed: SignedAgreement, *, at: datetime | None = None
) -> RevisionReference:
    """Verify both signatures and the chain, store the exact bytes, and append `agreement.signed`.

    Publishing the same revision again changes nothing. Exchanges that are committing finish first;
    those that decided on the revision before and have not committed are refused.

    Raises:
        AgreementInvalid: If the bytes, the chain, a key or a signature does not hold.
    """
    moment = at or clock.now()
    revision, reference = signed.revision, signed.reference
    terms = revision.terms
    lock_exclusive(connection, agreement_key(terms.agreement_id))
    stored = _stored_hashes(connection, terms.agreement_id)
    if stored.get(revision.revision) == reference.hash:
        return reference
    _check_chain(connection, revision, stored)
    _check_signature(connection, signed.payload, signed.provider_signature, terms.provider, moment)
    _check_signature(connection, signed.payload, signed.consumer_signature, terms.consumer, moment)
    connection.execute(
        _INSERT,
        {
            "agreement_id": terms.agreement_id,
            "revision": revision.revision,
            "hash": bytes.fromhex(reference.hash),
            "predecessor": bytes.fromhex(revision.predecessor) if revision.predecessor else None,
            "payload": signed.payload,
            "provider": terms.provider,
            "consumer": terms.consumer,
            "valid_from": terms.valid_from,
            "valid_until": terms.valid_until,
            "provider_kid": signed.provider_signature.kid,
            "provider_signature": signed.provider_signature.signature,
            "consumer_kid": signed.consumer_signature.kid,
            "consumer_signature": signed.consumer_signature.signature,
            "published_at": moment,
        },
    )
    append(connection, _signed_entry(signed, reference, terms, moment))
    return reference


def end_agreement(
    connection: Connection[Any],
    agreement_id: str,
    *,
    ended_by: str,
    reason: str,
    at: datetime | None = None,
) -> RevisionReference:
    """End an agreement at once, whatever its term; append `agreement.ended`.

    Waits for exchanges that are committing; everything decided on it but not committed is refused.

    Args:
        connection: The caller's transaction.
        agreement_id: Which agreement.
        ended_by: The agency that ends it, one of its two sides.
        reason: A code such as `terminated-by-provider`.
        at: When it ends; now unless given.

    Raises:
        AgreementInvalid: If there is no such agreement, or `ended_by` is not one of its sides.
    """
    moment = at or clock.now()
    lock_exclusive(connection, agreement_key(agreement_id))
    history = revisions(connection, agreement_id)
    if not history:
        raise AgreementInvalid(
            f"There is no agreement {agreement_id}", location=Location(rule="agreement.none")
        )
    last = history[-1]
    if ended_by not in (last.terms.provider, last.terms.consumer):
        raise AgreementInvalid(
            f"{ended_by} is not a side of the agreement {agreement_id}",
            remedy="Only the provider or the consumer may end it.",
            location=Location(rule="agreement.foreign-side"),
        )
    ended = connection.execute(
        "INSERT INTO consent.agreement_end (agreement_id, ended_at, reason, ended_by, recorded_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [agreement_id, moment, reason, ended_by, clock.now()],
    )
    if ended.rowcount == 1:
        append(
            connection,
            EntryDraft(
                kind=EntryKind.AGREEMENT_ENDED,
                occurred_at=moment,
                provider=last.terms.provider,
                consumer=last.terms.consumer,
                agreements=(last.signed.reference,),
                outcome="ended",
                details={"reason": reason},
            ),
        )
    return last.signed.reference


def revisions(connection: Connection[Any], agreement_id: str) -> list[StoredAgreement]:
    """Every published revision of an agreement, oldest first."""
    rows = connection.execute(_SELECT + " WHERE r.agreement_id = %s ORDER BY revision", [agreement_id])
    return [_stored(row) for row in rows.fetchall()]


def agreements(connection: Connection[Any]) -> list[StoredAgreement]:
    """The latest revision of every agreement, ended and expired ones included, by id."""
    rows = connection.execute(
        _SELECT.replace("SELECT", "SELECT DISTINCT ON (r.agreement_id)", 1)
        + " ORDER BY r.agreement_id, revision DESC"
    )
    return [_stored(row) for row in rows.fetchall()]


def verify_stored(connection: Connection[Any], agreement_id: str) -> int:
    """Check the whole chain of an agreement again: bytes, hashes, both signatures; return its length.

    Raises:
        RevisionBroken: If anything stored does not hold.
    """
    before: str | None = None
    history = revisions(connection, agreement_id)
    for number, stored in enumerate(history, start=1):
        revision, payload = stored.signed.revision, stored.signed.payload
        if (revision.revision, revision.predecessor) != (number, before):
            raise RevisionBroken(
                f"Revision {number} of agreement {agreement_id} does not follow its predecessor"
            )
        try:
            for side, signature in (
                (revision.terms.provider, stored.signed.provider_signature),
                (revision.terms.consumer, stored.signed.consumer_signature),
            ):
                _check_signature(connection, payload, signature, side, stored.published_at)
        except AgreementInvalid as error:
            raise RevisionBroken(
                f"A signature of revision {number} of agreement {agreement_id} does not hold", why=error.what
            ) from error
        before = payload_hash(payload)
    return len(history)


_INSERT = """
INSERT INTO consent.agreement_revision (
    agreement_id, revision, hash, predecessor, payload, provider, consumer, valid_from, valid_until,
    provider_kid, provider_signature, consumer_kid, consumer_signature, published_at)
VALUES (
    %(agreement_id)s, %(revision)s, %(hash)s, %(predecessor)s, %(payload)s, %(provider)s, %(consumer)s,
    %(valid_from)s, %(valid_until)s, %(provider_kid)s, %(provider_signature)s, %(consumer_kid)s,
    %(consumer_signature)s, %(published_at)s)
"""

_SELECT = """
SELECT r.payload, r.provider_kid, r.provider_signature, r.consumer_kid, r.consumer_signature,
       r.published_at, e.ended_at
  FROM consent.agreement_revision r LEFT JOIN consent.agreement_end e USING (agreement_id)
"""


def _stored(row: tuple[Any, ...]) -> StoredAgreement:
    payload, provider_kid, provider_signature, consumer_kid, consumer_signature, published_at, ended_at = row
    signed = SignedAgreement(
        payload,
        AgreementSignature(provider_kid, provider_signature),
        AgreementSignature(consumer_kid, consumer_signature),
    )
    return StoredAgreement(signed, published_at, ended_at)


def _stored_hashes(connection: Connection[Any], agreement_id: str) -> dict[int, str]:
    rows = connection.execute(
        "SELECT revision, encode(hash, 'hex') FROM consent.agreement_revision WHERE agreement_id = %s",
        [agreement_id],
    )
    return dict(rows.fetchall())


def _check_chain(connection: Connection[Any], revision: AgreementRevision, stored: dict[int, str]) -> None:
    agreement_id = revision.terms.agreement_id
    last = max(stored, default=0)
    if revision.revision != last + 1 or revision.predecessor != stored.get(last):
        raise AgreementInvalid(
            f"Revision {revision.revision} of agreement {agreement_id} does not follow revision {last}",
            remedy="Make the next revision with `succeeded_by` of the latest one, and sign it.",
            location=Location(field="predecessor", rule="agreement.chain"),
        )
    if not last:
        return
    before = revisions(connection, agreement_id)[-1]
    if before.ended_at is not None:
        raise AgreementInvalid(
            f"The agreement {agreement_id} has been ended",
            remedy="Sign a new agreement under a new id.",
            location=Location(rule="agreement.ended"),
        )
    if (before.terms.provider, before.terms.consumer) != (revision.terms.provider, revision.terms.consumer):
        raise AgreementInvalid(
            f"The agreement {agreement_id} is between other agencies",
            remedy="Sign a new agreement under a new id.",
            location=Location(field="terms.provider", rule="agreement.other-sides"),
        )


def _check_signature(
    connection: Connection[Any], payload: bytes, signature: AgreementSignature, side: str, at: datetime
) -> None:
    try:
        key = keys.verify(connection, signature.kid, payload, signature.signature, at)
    except (UnknownKey, KeyNotValid, SignatureWrong) as error:
        raise AgreementInvalid(
            f"The signature of {side} does not hold",
            why=error.what,
            remedy="Sign the exact bytes again with the key that the agency registered for agreements.",
            location=Location(rule=f"agreement.{error.code}"),
            side=side,
        ) from error
    if (key.owner_kind, key.owner_id, key.use) != ("agency", side, KEY_USE):
        raise AgreementInvalid(
            f"The key that signed for {side} is not its key for agreements",
            remedy="Sign with the key that the agency registered with use `agreement`.",
            location=Location(rule="agreement.foreign-key"),
            side=side,
        )


def _signed_entry(
    signed: SignedAgreement, reference: RevisionReference, terms: AgreementTerms, moment: datetime
) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.AGREEMENT_SIGNED,
        occurred_at=moment,
        provider=terms.provider,
        consumer=terms.consumer,
        legal_basis=terms.legal_basis.value,
        agreements=(reference,),
        datasets=tuple(sorted(terms.datasets)),
        fields=tuple(
            f"{dataset}:{name}" for dataset, names in sorted(terms.datasets.items()) for name in names
        ),
        outcome="signed",
        details={
            "keys": [signed.provider_signature.kid, signed.consumer_signature.kid],
            "purposes": list(terms.purposes),
            "verbs": [verb.value for verb in terms.verbs],
            "modes": [mode.value for mode in terms.modes],
            "valid_until": terms.valid_until,
        },
    )
