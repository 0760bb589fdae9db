"""A practice portal: it proves who it is, asks, and believes nothing it has not verified.

It knows the bus only by its URL, its certificate authority and its public keys, as a real portal would.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from foundation import clock
from foundation.errors import IntegrityBroken, Refused
from foundation.http import AddressPolicy, HttpClient, HttpResponse, Limits, RetryPolicy, TlsPolicy
from foundation.keyring import KeyPair
from sandbox.receipt_book import ReceiptBook
from sandbox.receipts import LogKey, ProvenEntry, ReceiptInvalid, verify_receipt
from sandbox.seen_checkpoint import SeenCheckpoint

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REGISTRY = JWSRegistry(algorithms=["Ed25519"])
_ANY_STATUS = range(200, 600)
_REPLY_BYTES = 1024 * 1024


class PortalRefused(Refused):
    """The bus said no; `problem` is its problem document."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(
            str(problem.get("title", "The bus refused")),
            why=str(problem.get("detail", "")),
            remedy=str(problem.get("remedy", "")),
        )
        self.problem = dict(problem)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.problem.get("status", 0))

    @property
    def problem_code(self) -> str:
        """The last segment of the problem type."""
        return str(self.problem.get("type", "")).rpartition(":")[2]

    @property
    def rules(self) -> list[str]:
        """Ids of the rules that said no."""
        return list(self.problem.get("rules", []))


class AnswerNotGenuine(IntegrityBroken):
    """What came back is not what the bus signed."""


@dataclass(frozen=True)
class VerifiedAnswer:
    """An answer whose signature and promise were checked."""

    content: Mapping[str, Any] = field(repr=False)
    jws: str = field(repr=False)
    promise: Mapping[str, Any]
    receipt: str | None = field(default=None, repr=False)
    status: int = 200

    @property
    def answer_id(self) -> str:
        """The id under which it is stored."""
        return str(self.content["answer_id"])

    @property
    def verdict(self) -> str:
        """`verified`, `refer` or `not_possible`."""
        return str(self.content["verdict"])

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by criterion."""
        return {each["criterion"]: each["outcome"] for each in self.content["outcomes"]}


class Portal:
    """A client of the bus with a key of its own. Thread-safe; close it after use.

    Args:
        base_url: Where the API is, such as `https://127.0.0.1:8800`.
        ca_file: The authority of its certificate.
        system_id: The portal's own id, under which its key is registered.
        key: The portal's Ed25519 key, registered for the use `auth`.
        pinned_keys: The bus's public keys from the signed agreement; fetched on first use when left out.
        keep: Folder where answers, promises, receipts and the last checkpoint are kept; then a checkpoint
            that contradicts the one kept is refused.
    """

    def __init__(
        self,
        base_url: str,
        ca_file: Path,
        system_id: str,
        key: KeyPair,
        *,
        pinned_keys: list[dict[str, str]] | None = None,
        keep: Path | None = None,
        connections: int = 10,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.system_id = system_id
        self._key = key
        self._signing_key = OKPKey.import_key(key.private_key)
        self._bus_keys = pinned_keys
        self._log_key: LogKey | None = None
        self._book = ReceiptBook(keep) if keep is not None else None
        address = urlsplit(self.base_url)
        self._http = HttpClient(
            AddressPolicy([f"{address.hostname}:{address.port or 443}"]),
            system="the bus",
            tls=TlsPolicy(ca_file=ca_file),
            limits=Limits(body_bytes=_REPLY_BYTES, connections=connections),
            retry=RetryPolicy(attempts=3, longest_pause=5),
            credentials=_AccessToken(self),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def verify(
        self,
        service: str,
        applicant: Mapping[str, Any],
        claims: Mapping[str, Any] | None = None,
        *,
        wait: int = 0,
        idempotency_key: str | None = None,
        **further: Any,
    ) -> VerifiedAnswer:
        """Ask about an applicant, and check what comes back.

        Args:
            service: Identifier of the service.
            applicant: `nik` with `name` or `family_card_number` (and `birth_date`).
            claims: What the application states.
            wait: Seconds to wait for the receipt.
            idempotency_key: One is made when left out.
            further: `purpose`, `case_number`, `officer`.

        Raises:
            PortalRefused: When the bus said no.
            AnswerNotGenuine: When the reply is not what the bus signed.
        """
        body = {"service": service, "applicant": dict(applicant), "claims": dict(claims or {}), **further}
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(16)}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        return self._answer(self.call("POST", "/v1/verifications", body, headers=headers))

    def read(self, answer_id: str) -> VerifiedAnswer:
        """Read an answer again."""
        return self._answer(self.call("GET", f"/v1/verifications/{answer_id}"))

    def receipt(self, answer: VerifiedAnswer, wait: int = 2) -> str:
        """Get the receipt of an answer."""
        headers = {"Prefer": f"wait={wait}"}
        text = self.call("GET", f"/v1/verifications/{answer.answer_id}/receipt", headers=headers).text
        if self._book is not None:
            self._book.keep_receipt(answer.answer_id, text)
        return text

    def check_receipt(self, answer: VerifiedAnswer, receipt: str) -> ProvenEntry:
        """Check offline that the log holds the entry that was promised with the answer.

        Raises:
            ReceiptInvalid: When it does not.
            LogForked: When its checkpoint contradicts one that this portal has seen.
        """
        proven = verify_receipt(receipt, self.log_key)
        if proven.leaf_hash.hex() != answer.promise["leaf"] or proven.entry["id"] != answer.promise["entry"]:
            raise ReceiptInvalid("The receipt is about another entry than the one promised")
        if self._book is not None:
            self._seen(self._book).observe(proven.checkpoint)
        return proven

    def look_at_log(self) -> None:
        """Fetch the newest checkpoint, and keep it if it goes on from the one kept.

        Raises:
            LogForked: When it does not.
        """
        if self._book is not None:
            url = f"{self.base_url}/v1/log/checkpoint"
            self._seen(self._book).observe(self._http.request("GET", url, anonymous=True).text)

    def give_consent(self, service: str, applicant: Mapping[str, Any], **further: Any) -> dict[str, Any]:
        """Record the applicant's consent to what a service looks at."""
        text = "Saya setuju data saya digunakan untuk memeriksa permohonan ini."
        notice = {
            "text_version": "1",
            "text_hash": hashlib.sha256(text.encode()).hexdigest(),
            "language": "id",
        }
        body = {"service": service, "applicant": dict(applicant), "notice": notice, **further}
        return _document(self.call("POST", "/v1/consents", body))

    def withdraw_consent(self, consent_id: str) -> dict[str, Any]:
        """Take a consent back."""
        return _document(self.call("POST", f"/v1/consents/{consent_id}/withdrawal", {}))

    def who_used(self, applicant: Mapping[str, Any], limit: int = 50) -> list[dict[str, Any]]:
        """Every exchange about a person, newest first."""
        body = {"applicant": dict(applicant), "limit": limit}
        found: list[dict[str, Any]] = _document(self.call("POST", "/v1/subjects/exchanges", body))[
            "exchanges"
        ]
        return found

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Call the API with an access token.

        Raises:
            PortalRefused: When the reply is a problem.
        """
        content = None if body is None else orjson.dumps(body)
        given = dict(headers or {})
        if content is not None:
            given["Content-Type"] = "application/json"
        reply = self._http.request(
            method,
            f"{self.base_url}{path}",
            content=content,
            headers=given,
            accept=_ANY_STATUS,
            idempotent=method == "GET" or "Idempotency-Key" in given,
        )
        if reply.status >= 400:
            raise PortalRefused(_document(reply))
        return reply

    @property
    def bus_keys(self) -> list[dict[str, str]]:
        """The bus's public keys: pinned, or fetched once."""
        if self._bus_keys is None:
            url = f"{self.base_url}/.well-known/jwks.json"
            self._bus_keys = self._http.get_json(url, anonymous=True)["keys"]
        return self._bus_keys

    @property
    def log_key(self) -> LogKey:
        """The newest verifier key of the log."""
        if self._log_key is None:
            reply = self._http.request("GET", f"{self.base_url}/v1/log/keys", anonymous=True)
            self._log_key = LogKey.parse(reply.text.splitlines()[0])
        return self._log_key

    def _seen(self, book: ReceiptBook) -> SeenCheckpoint:
        def tile(path: str) -> bytes:
            url = f"{self.base_url}/v1/log/{path}"
            return bytes(self._http.request("GET", url, anonymous=True).body)

        return SeenCheckpoint(book.checkpoint_file, self.log_key, tile)

    def assertion(self) -> str:
        """A fresh client assertion (RFC 7523)."""
        now = clock.now()
        claims = {
            "iss": self.system_id,
            "sub": self.system_id,
            "aud": f"{self.base_url}/oauth/token",
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=2)).timestamp()),
            "jti": secrets.token_urlsafe(16),
        }
        return self.sign(claims, "JWT")

    def sign(self, claims: Mapping[str, Any], token_type: str) -> str:
        """Sign with the portal's own key."""
        header = {"alg": "Ed25519", "kid": self._key.kid, "typ": token_type}
        return jws.serialize_compact(
            header, orjson.dumps(dict(claims)), self._signing_key, registry=_REGISTRY
        )

    def fetch_token(self) -> str:
        """Exchange a fresh assertion for an access token.

        Raises:
            PortalRefused: When the bus does not know this portal or its key.
        """
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        url = f"{self.base_url}/oauth/token"
        reply = self._http.request("POST", url, form=form, anonymous=True, accept=_ANY_STATUS)
        if reply.status >= 400:
            raise PortalRefused(_document(reply))
        return str(_document(reply)["access_token"])

    def _answer(self, reply: HttpResponse) -> VerifiedAnswer:
        document = _document(reply)
        content = self._opened(document["jws"], "lintas-answer+jws")
        if content != document["answer"]:
            raise AnswerNotGenuine("The answer differs from what the bus signed")
        promise = self._opened(document["promise"], "lintas-promise+jwt")
        if self._book is not None:
            self._book.keep_answer(str(content["answer_id"]), document["jws"], document["promise"])
            if document.get("receipt"):
                self._book.keep_receipt(str(content["answer_id"]), document["receipt"])
        return VerifiedAnswer(content, document["jws"], promise, document.get("receipt"), reply.status)

    def _opened(self, token: str, token_type: str) -> dict[str, Any]:
        """The content of a token that the bus signed.

        Raises:
            AnswerNotGenuine: When it is not signed by a key of the bus.
        """
        try:
            headers = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
            known = next(key for key in self.bus_keys if key["kid"] == headers.get("kid"))
            public = OKPKey.import_key(dict(known))
            payload = jws.deserialize_compact(token, public, registry=_REGISTRY).payload
            if headers.get("typ") != token_type:
                raise ValueError
        except (JoseError, StopIteration, ValueError):
            raise AnswerNotGenuine("A token is not signed by a known key of the bus") from None
        content: dict[str, Any] = orjson.loads(payload)
        return content


class _AccessToken:
    """Credentials of the HTTP client: an access token, renewed when the bus refuses the old one."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._token: str | None = None

    def headers(self) -> dict[str, str]:
        if self._token is None:
            self._token = self._portal.fetch_token()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self, refused: dict[str, str]) -> bool:
        if refused.get("Authorization") == f"Bearer {self._token}":
            self._token = self._portal.fetch_token()
        return True


def _document(reply: HttpResponse) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(reply.body)
    return content
