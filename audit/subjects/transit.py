"""The KEK in the Transit engine of a HashiCorp Vault (or OpenBao): wrapped there, over TLS, never taken out.

The context goes along as associated data, so the key must be of an AEAD type without derivation. Vault
names the version in every ciphertext (`vault:v3:…`), and rotates by itself when asked.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from audit.errors import KeyEncryptionMisconfigured
from audit.subjects.key_encryption import TRANSIT, KekVersion, Secret, Wrapped, broken

if TYPE_CHECKING:
    from foundation.http import HttpClient
    from foundation.settings import Settings

__all__ = ["TransitKek"]

_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]+")
_AEAD = frozenset({"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"})
_CONTEXT = b"lintas/vault/v1\x00"
_BATCH = 250
_ANSWERED = frozenset({200, 400})


class TransitKek:
    """The KEK as a named key of a Transit engine.

    Args:
        client: calls the Vault, with its token.
        url: where the engine is mounted, such as `https://vault.example.go.id:8200/v1/transit`.
        key: name of the key.
    """

    provider = TRANSIT

    def __init__(self, client: HttpClient, url: str, key: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._key = key

    @classmethod
    def of(cls, settings: Settings) -> TransitKek:
        """The key that the settings name.

        Raises:
            KeyEncryptionMisconfigured: When the token is missing.
        """
        from foundation.files import read_private
        from foundation.http import AddressPolicy, HeaderCredentials, HttpClient, TlsPolicy

        if settings.transit_url is None or settings.transit_token_file is None:
            raise KeyEncryptionMisconfigured(
                "The Vault of the key-encryption key is not fully named",
                remedy="Set LINTAS_TRANSIT_URL and LINTAS_TRANSIT_TOKEN_FILE",
            )
        url = urlsplit(settings.transit_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        token = SecretStr(read_private(settings.transit_token_file).decode().strip())
        client = HttpClient(
            AddressPolicy([f"{url.hostname}:{port}"]),
            system="the Vault of the key-encryption key",
            tls=TlsPolicy(ca_file=settings.transit_ca_file),
            credentials=HeaderCredentials("X-Vault-Token", token),
        )
        return cls(client, settings.transit_url, settings.transit_key)

    def current_version(self) -> int:
        """The newest version in the Vault.

        Raises:
            KeyEncryptionMisconfigured: When the key is of a kind that cannot bind a context.
        """
        found = self._client.get_json(f"{self._url}/keys/{self._key}").get("data", {})
        if found.get("type") not in _AEAD or found.get("derived"):
            raise KeyEncryptionMisconfigured(
                f"The Transit key {self._key} cannot bind what it wraps to a subject",
                remedy=f"Make a key of one of the types {', '.join(sorted(_AEAD))}, without derivation",
            )
        return int(found["latest_version"])

    def wrap(self, given: Sequence[Secret]) -> list[Wrapped]:
        """Let the Vault wrap; a batch goes in one request, so all of it is under one version."""
        items = [{"plaintext": _encoded(each.plain), **_bound(each.context)} for each in given]
        return [
            _wrapped(str(found.get("ciphertext", "")), each.context)
            for each, found in zip(given, self._batches("encrypt", items), strict=True)
        ]

    def unwrap(self, given: Sequence[Wrapped]) -> list[bytes]:
        """Let the Vault unwrap, whatever version it wrapped with."""
        items = [{"ciphertext": each.blob.decode("ascii"), **_bound(each.context)} for each in given]
        return [_decoded(found.get("plaintext")) for found in self._batches("decrypt", items)]

    def rotate_to(self, version: int) -> None:
        """Let the Vault rotate; not repeated by itself, for each repetition would make a version more."""
        if self.current_version() < version:
            rotating = f"{self._url}/keys/{self._key}/rotate"
            self._client.request("POST", rotating, json={}, accept=range(200, 300), idempotent=False)

    def destroy(self, version: int) -> None:
        """Let the Vault decrypt with later versions only, and trim away this one and all before it."""
        key = f"{self._url}/keys/{self._key}"
        oldest = {"min_decryption_version": version + 1, "min_encryption_version": version + 1}
        self._client.request("POST", f"{key}/config", json=oldest, idempotent=True)
        trimmed = {"min_available_version": version + 1}
        self._client.request("POST", f"{key}/trim", json=trimmed, idempotent=True)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _batches(self, operation: str, items: list[dict[str, str]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(items), _BATCH):
            found += self._batch(operation, items[start : start + _BATCH])
        return found

    def _batch(self, operation: str, items: list[dict[str, str]]) -> list[dict[str, Any]]:
        """The Vault answers 400 when items of a batch fail, with the results beside the error."""
        url = f"{self._url}/{operation}/{self._key}"
        reply = self._client.request(
            "POST", url, json={"batch_input": items}, accept=_ANSWERED, idempotent=True, as_json=True
        )
        results = (reply.json().get("data") or {}).get("batch_results")
        if not isinstance(results, list) or len(results) != len(items):
            raise KeyEncryptionMisconfigured(
                f"The Vault does not {operation} with the key {self._key}",
                why="it refused the whole request",
                remedy="Check that the key exists and that the token's policy allows it",
            )
        if any(each.get("error") for each in results):
            raise broken()
        return results


def _bound(context: bytes) -> dict[str, str]:
    return {"associated_data": _encoded(_CONTEXT + context)}


def _wrapped(ciphertext: str, context: bytes) -> Wrapped:
    found = _CIPHERTEXT.fullmatch(ciphertext)
    if found is None:
        raise broken()
    return Wrapped(KekVersion(TRANSIT, int(found[1])), ciphertext.encode("ascii"), context)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, TypeError):
        raise broken() from None
