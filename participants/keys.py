"""Public keys of those who take part: who vouches for them, and in which time they were good.

Invariants kept here:
    * A key's id is the RFC 7638 thumbprint of its bytes; one key never belongs to two owners.
    * Validity is half open, ``valid_from <= at < valid_to``; it can be ended, never widened.
    * A signature made inside its key's validity stays verifiable after the key was rolled; one made
      after is refused. ``at`` is when it was signed, by a source the caller trusts (the log).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation import clock
from foundation.database_errors import translated
from foundation.keyring import jwk_of, public_key_of, thumbprint
from participants.errors import KeyConflict, KeyNotValid, SignatureWrong, UnknownKey

__all__ = [
    "OwnerKind",
    "PublicKeyRecord",
    "add_key",
    "end_key",
    "fingerprint",
    "key_by_kid",
    "keys_of",
    "roll_key",
    "verify",
]

OwnerKind = Literal["agency", "system", "officer", "log", "bus"]


@dataclass(frozen=True, slots=True)
class PublicKeyRecord:
    """One registered public key.

    Attributes:
        kid: RFC 7638 thumbprint.
        owner_kind: Whose key it is.
        owner_id: Id of the owner.
        use: What it signs: ``sign``, ``agreement``, ``auth``, ``log`` …
        algorithm: ``ed25519`` (signs) or ``x25519`` (is sealed to).
        public_jwk: The key.
        fingerprint: The thumbprint as people compare it on paper.
        valid_from: From when on.
        valid_to: Until when (exclusive); ``None`` while it is in use.
        ended_because: Why it ended.
        vouched_by: Who says that it is theirs, such as a paper agreement's number.
    """

    kid: str
    owner_kind: OwnerKind
    owner_id: str
    use: str
    algorithm: Literal["ed25519", "x25519"]
    public_jwk: Mapping[str, str]
    fingerprint: str
    valid_from: datetime
    valid_to: datetime | None = None
    ended_because: str | None = None
    vouched_by: str = "operator"

    def valid_at(self, at: datetime) -> bool:
        """Whether the key was good at a moment."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)

    def check(self, payload: bytes, signature: bytes, at: datetime) -> None:
        """Accept a signature that this key made over a payload at a moment.

        Raises:
            KeyNotValid: When the key was not good at that moment.
            SignatureWrong: When the signature does not belong to key and payload.
        """
        if not self.valid_at(at):
            raise KeyNotValid(
                f"The key {self.kid} of {self.owner_id} was not valid when it signed",
                why=self.ended_because or "the signature was made outside the key's validity",
                remedy="Sign again with the key that is valid now",
                kid=self.kid,
                owner=self.owner_id,
            )
        key = public_key_of(dict(self.public_jwk))
        try:
            if not isinstance(key, Ed25519PublicKey):
                raise InvalidSignature
            key.verify(signature, payload)
        except InvalidSignature:
            raise SignatureWrong(
                f"The signature does not belong to the key {self.kid} of {self.owner_id} and this payload",
                remedy="Check that exactly the signed bytes were sent",
                kid=self.kid,
                owner=self.owner_id,
            ) from None


def add_key(
    connection: Connection[Any],
    *,
    owner_kind: OwnerKind,
    owner_id: str,
    use: str,
    public_jwk: Mapping[str, str],
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    vouched_by: str = "operator",
) -> PublicKeyRecord:
    """Register a public key; registering the same key for the same owner and use again changes nothing.

    Raises:
        WrongKeyKind: When the JWK is no Ed25519 or X25519 public key.
        KeyConflict: When the key is registered for another owner or use.
    """
    key = public_key_of(dict(public_jwk))
    plain = jwk_of(key)
    kid = thumbprint(plain)
    with translated(), connection.cursor(row_factory=class_row(PublicKeyRecord)) as cursor:
        cursor.execute(
            """
            INSERT INTO participants.public_key (kid, owner_kind, owner_id, use, algorithm, public_jwk,
                fingerprint, valid_from, valid_to, vouched_by)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (kid) DO NOTHING
            """,
            [
                kid,
                owner_kind,
                owner_id,
                use,
                "ed25519" if isinstance(key, Ed25519PublicKey) else "x25519",
                Jsonb({**plain, "kid": kid}),
                fingerprint(plain),
                valid_from or clock.now(),
                valid_to,
                vouched_by,
            ],
        )
    stored = key_by_kid(connection, kid)
    if (stored.owner_kind, stored.owner_id, stored.use) != (owner_kind, owner_id, use):
        raise KeyConflict(
            f"The key {kid} is registered for {stored.owner_kind} {stored.owner_id} ({stored.use}) already",
            remedy="Make a key of its own for each owner and use",
            kid=kid,
        )
    return stored


def roll_key(
    connection: Connection[Any],
    old_kid: str,
    public_jwk: Mapping[str, str],
    *,
    at: datetime | None = None,
    vouched_by: str = "operator",
) -> PublicKeyRecord:
    """Let a new key take over from an old one at a moment; the old one keeps what it signed before.

    Raises:
        UnknownKey: When there is no old key.
        KeyConflict: When the old key has ended already, or the new one is not new.
    """
    moment = at or clock.now()
    old = end_key(connection, old_kid, at=moment, because="rolled")
    new = add_key(
        connection,
        owner_kind=old.owner_kind,
        owner_id=old.owner_id,
        use=old.use,
        public_jwk=public_jwk,
        valid_from=moment,
        vouched_by=vouched_by,
    )
    if new.kid == old.kid or new.valid_from != moment:
        raise KeyConflict(
            f"The key {new.kid} cannot take over: it is not new", remedy="Make a new key", kid=new.kid
        )
    return new


def end_key(
    connection: Connection[Any], kid: str, *, at: datetime | None = None, because: str
) -> PublicKeyRecord:
    """End a key: what it signed before ``at`` stays verifiable, what it signs from then on is refused.

    For a key that was stolen, ``at`` is the theft, not its discovery.

    Raises:
        UnknownKey: When there is none.
        KeyConflict: When it has ended before that moment already, or begins after it.
    """
    moment = at or clock.now()
    known = key_by_kid(connection, kid)
    if moment < known.valid_from or (known.valid_to is not None and known.valid_to <= moment):
        raise KeyConflict(
            f"The key {kid} of {known.owner_id} is not valid at the moment at which it should end",
            remedy="Look at its validity with `lintas keys`",
            kid=kid,
        )
    with translated():
        connection.execute(
            "UPDATE participants.public_key SET valid_to = %s, ended_because = %s WHERE kid = %s",
            [moment, because, kid],
        )
    return key_by_kid(connection, kid)


def key_by_kid(connection: Connection[Any], kid: str) -> PublicKeyRecord:
    """Return a key by its id, valid or ended.

    Raises:
        UnknownKey: When there is none.
    """
    with translated(), connection.cursor(row_factory=class_row(PublicKeyRecord)) as cursor:
        found = cursor.execute(f"{_KEYS} WHERE kid = %s", [kid]).fetchone()
    if found is None:
        raise UnknownKey(
            "The key that signed is not registered", remedy="Register the public key with the operator"
        )
    return found


def keys_of(
    connection: Connection[Any],
    owner_id: str,
    at: datetime | None = None,
    *,
    owner_kind: OwnerKind | None = None,
    use: str | None = None,
) -> list[PublicKeyRecord]:
    """Return the keys of an owner that are valid at a moment (default: now), newest first."""
    with translated(), connection.cursor(row_factory=class_row(PublicKeyRecord)) as cursor:
        return cursor.execute(
            f"""
            {_KEYS}
            WHERE owner_id = %(owner)s AND valid_from <= %(at)s AND (valid_to IS NULL OR %(at)s < valid_to)
              AND (%(kind)s::text IS NULL OR owner_kind = %(kind)s)
              AND (%(use)s::text IS NULL OR use = %(use)s)
            ORDER BY valid_from DESC, kid
            """,
            {"owner": owner_id, "at": at or clock.now(), "kind": owner_kind, "use": use},
        ).fetchall()


def verify(
    connection: Connection[Any], kid: str, payload: bytes, signature: bytes, at: datetime | None = None
) -> PublicKeyRecord:
    """Return the key that made a signature over a payload at a moment (default: now).

    The caller still checks that the owner and use are the ones it expects.

    Raises:
        UnknownKey: When no such key is registered.
        KeyNotValid: When it was not good at that moment.
        SignatureWrong: When the signature is not its own.
    """
    key = key_by_kid(connection, kid)
    key.check(payload, signature, at or clock.now())
    return key


def fingerprint(jwk: Mapping[str, str]) -> str:
    """Return the thumbprint in groups of four hex digits, as it stands in a paper agreement."""
    text = thumbprint(dict(jwk))
    digits = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


_KEYS = """
    SELECT kid, owner_kind, owner_id, use, algorithm, public_jwk, fingerprint, valid_from, valid_to,
           ended_because, vouched_by
    FROM participants.public_key
"""
