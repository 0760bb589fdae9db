"""A notice as it travels: a CloudEvent (1.0, structured JSON), signed as an HTTP message by the bus key.

It says which answer was reviewed and where the new one is; it never says what the outcome is. To know that,
the portal reads the new answer, which is decided and logged as every disclosure is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from http_message_signatures import HTTPMessageSigner, algorithms

from audit.subjects.subject_keys import SubjectKeys
from foundation import clock
from foundation.keyring import KeyPair
from foundation.settings import Settings
from verification.notices import Notice

EVENT_TYPE = "lintas.answer.review.v1"
CONTENT_TYPE = "application/cloudevents+json"
SIGNATURE_TAG = "lintas-webhook"
COVERED = ("@method", "@target-uri", "content-type", "content-digest")
"""What a signature covers; a receiver must require all of it."""


def event(notice: Notice, keys: SubjectKeys, source: str) -> dict[str, Any]:
    """The event of a notice: the same bytes at every attempt."""
    references = notice.references(keys)
    return {
        "specversion": "1.0",
        "id": str(notice.notice_id),
        "source": source,
        "type": EVENT_TYPE,
        "subject": str(notice.answer_id),
        "time": notice.queued_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "datacontenttype": "application/json",
        "sequence": f"{notice.number:020d}",
        "data": {
            "answer": str(notice.answer_id),
            "review": str(notice.review_id),
            "review_url": f"/v1/verifications/{notice.review_id}",
            "origin": references["origin"],
            "application": references["application"],
            "service": notice.service,
            "number": notice.number,
        },
    }


def encoded(content: Mapping[str, Any]) -> bytes:
    """The bytes of an event."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def source_of(settings: Settings) -> str:
    """Who says so: the URL of this bus."""
    return settings.api_public_url or f"https://{settings.api_host}:{settings.api_port}"


@dataclass
class _Message:
    """A request as the signing library sees it."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


_SIGNER = HTTPMessageSigner(signature_algorithm=algorithms.ED25519)


def signed_headers(pair: KeyPair, url: str, body: bytes, *, at: datetime | None = None) -> dict[str, str]:
    """The headers of a delivery: content type and digest (RFC 9530), and the signature (RFC 9421)."""
    message = _Message(url, {"Content-Type": CONTENT_TYPE})
    prepared = _SIGNER.prepare(
        message,
        key_id=pair.kid,
        created=at or clock.now(),
        label="lintas",
        tag=SIGNATURE_TAG,
        covered_component_ids=COVERED[:3],
        body=body,
    )
    _SIGNER.apply(message, prepared, pair.sign(prepared.signature_base))
    return message.headers
