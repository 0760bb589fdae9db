"""What the bus signs for others: answers and access tokens, as compact JWS (RFC 7515, RFC 9864)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from foundation.errors import Refused
from foundation.keyring import KeyPair, Keyring
from foundation.signatures import ALGORITHM, compact_jws

ANSWER_TYPE = "lintas-answer+jws"
_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])
_LOOK_FOR_NEWER_KEY_AFTER = 30.0


class SignatureInvalid(Refused):
    """A token was not signed by the key it names, or is of another type."""


@dataclass(frozen=True)
class SigningKey:
    """One version of the bus key, ready for JWS."""

    pair: KeyPair
    key: OKPKey

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.pair.kid


class BusSigner:
    """Signs with the current version of the bus key; verifies what any version signed."""

    def __init__(self, keyring: Keyring, name: str = "bus") -> None:
        self._keyring = keyring
        self._name = name
        self._keys: dict[str, SigningKey] = {}
        self._current: SigningKey | None = None
        self._looked_at = 0.0

    def sign(self, content: Mapping[str, Any], token_type: str = ANSWER_TYPE) -> str:
        """Sign content as compact JWS; its payload is the content as JSON with sorted keys."""
        payload = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        return compact_jws(self.current().pair, token_type, payload)

    def verify(self, token: str, token_type: str = ANSWER_TYPE) -> bytes:
        """The payload of a token that the bus signed.

        Raises:
            SignatureInvalid: When it did not, or signed something of another type.
        """
        try:
            unverified = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
            if unverified.get("typ") == token_type and (signing := self._find(str(unverified.get("kid")))):
                found = jws.deserialize_compact(token, signing.key, registry=_REGISTRY)
                return found.payload
        except (JoseError, ValueError):
            pass
        raise SignatureInvalid("The token is not one that this bus signed", remedy="Ask for a new one")

    def current(self) -> SigningKey:
        """The key that signs now; a rolled key is noticed within half a minute."""
        if self._current is None or time.monotonic() - self._looked_at > _LOOK_FOR_NEWER_KEY_AFTER:
            self._current = self._ready(self._keyring.ensure(self._name, "ed25519"))
            self._looked_at = time.monotonic()
        return self._current

    @property
    def pair(self) -> KeyPair:
        """The key pair that signs now."""
        return self.current().pair

    def public_keys(self) -> list[dict[str, str]]:
        """Every version of the key as public JWK, newest first."""
        versions = sorted(self._keyring.versions(self._name), reverse=True)
        return [
            {**self._keyring.get(self._name, version).public_jwk, "use": "sig", "alg": ALGORITHM}
            for version in versions
        ]

    def _find(self, kid: str) -> SigningKey | None:
        if kid not in self._keys:
            for version in self._keyring.versions(self._name):
                self._ready(self._keyring.get(self._name, version))
        return self._keys.get(kid)

    def _ready(self, pair: KeyPair) -> SigningKey:
        if pair.kid not in self._keys:
            self._keys[pair.kid] = SigningKey(pair, OKPKey.import_key(pair.private_key))
        return self._keys[pair.kid]
