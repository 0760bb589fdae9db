"""Answers as they are stored: who asked and when in the clear, everything about the person sealed."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from foundation.errors import IntegrityBroken
from foundation.signatures import joined, parted
from verification.errors import AnswerUnknown
from verification.journey import GivenAnswer, Question
from verification.judging import Judged

_CONTEXT = b"lintas/verification/v1\x00"
_NONCE_BYTES = 12
_COMPRESSION = 1

Fields = Mapping[str, frozenset[str]]


class AnswerDamaged(IntegrityBroken):
    """What is stored of an answer does not open under its subject's key."""


@dataclass(frozen=True)
class AnswerRecord:
    """An answer on the shelf; `sealed` opens only with its subject's data key."""

    answer_id: UUID
    consumer: str
    system: str
    service: str
    service_version: str
    purpose: str
    subject: SubjectHandle
    fields: Fields
    answered_at: datetime
    decision_id: UUID
    entry_id: UUID
    sealed: bytes
    other: SubjectHandle | None = None
    other_fields: Fields = field(default_factory=dict)


_COLUMNS = (
    "answer_id, consumer, system, service, service_version, purpose, subject, fields, answered_at, "
    "decision_id, entry_id, sealed, other, other_fields"
)
_INSERT = f"""
INSERT INTO verification.answer ({_COLUMNS})
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608
_TYPES = "uuid text text text text text uuid jsonb timestamptz uuid uuid bytea uuid jsonb"
_INSERT_TOGETHER = f"""
INSERT INTO verification.answer ({_COLUMNS})
SELECT * FROM unnest({", ".join(f"%s::{kind}[]" for kind in _TYPES.split())})
"""  # noqa: S608
_SELECT = f"SELECT {_COLUMNS} FROM verification.answer WHERE answer_id = %s AND system = %s"  # noqa: S608
_WATCHED = f"""
SELECT {_COLUMNS} FROM verification.answer a
 WHERE answer_id = %s AND EXISTS (SELECT FROM verification.watch w WHERE w.answer_id = a.answer_id)
"""  # noqa: S608


def record_of(given: GivenAnswer, judged: Judged, question: Question) -> AnswerRecord:
    """The answer as it is stored, with the question sealed beside it: a review asks it again."""
    request, subject, other = judged.own.request, judged.subject, judged.other
    asked = {
        "nik": subject.nik.value,
        "claims": dict(question.claims),
        "case_number": question.case_number,
        "origin": str(question.origin or given.answer_id),
    }
    return AnswerRecord(
        answer_id=given.answer_id,
        consumer=request.consumer,
        system=request.system,
        service=given.content["service"],
        service_version=given.content["service_version"],
        purpose=request.purpose,
        subject=subject.keys.handle,
        fields=request.fields,
        answered_at=request.at,
        decision_id=UUID(request.decision_id),
        entry_id=given.entry_id,
        sealed=seal(
            subject.keys,
            given.answer_id,
            {
                "jws": parted(given.jws),
                "promise": given.promise,
                "question": asked,
                "tags": [tag.hex() for tag in judged.tags],
            },
        ),
        other=other.keys.handle if other else None,
        other_fields=other.decision.request.fields if other else {},
    )


def store(connection: psycopg.Connection[Any], record: AnswerRecord) -> None:
    """Insert an answer in the caller's transaction."""
    connection.execute(_INSERT, _values(record))


def _values(record: AnswerRecord) -> tuple[Any, ...]:
    return (
        record.answer_id,
        record.consumer,
        record.system,
        record.service,
        record.service_version,
        record.purpose,
        record.subject,
        _as_json(record.fields),
        record.answered_at,
        record.decision_id,
        record.entry_id,
        record.sealed,
        record.other,
        _as_json(record.other_fields),
    )


def store_together(connection: psycopg.Connection[Any], records: Sequence[AnswerRecord]) -> None:
    """Insert several answers in the caller's transaction."""
    columns = zip(*map(_values, records), strict=True)
    connection.execute(_INSERT_TOGETHER, [list(column) for column in columns])


def _as_json(fields: Fields) -> str:
    return orjson.dumps({dataset: sorted(names) for dataset, names in fields.items()}).decode()


def find(connection: psycopg.Connection[Any], answer_id: UUID, system: str) -> AnswerRecord:
    """Find an answer that was given to this system.

    Raises:
        AnswerUnknown: When there is none, or it was given to another system: the two look alike.
    """
    row = connection.execute(_SELECT, (answer_id, system)).fetchone()
    if row is None:
        raise AnswerUnknown(
            "There is no such answer", remedy="Use the id from the reply to your own question"
        )
    return _record(row)


def find_watched(connection: psycopg.Connection[Any], answer_id: UUID) -> AnswerRecord | None:
    """An answer that is watched, whoever it was given to; None when it is watched no more."""
    row = connection.execute(_WATCHED, (answer_id,)).fetchone()
    return _record(row) if row else None


def _record(row: Sequence[Any]) -> AnswerRecord:
    values = list(row)
    for place in (7, 13):
        values[place] = {dataset: frozenset(names) for dataset, names in values[place].items()}
    return AnswerRecord(*values)


def jws_of(opened: Mapping[str, Any]) -> str:
    """The signed answer, as it was given."""
    return joined(opened["jws"])


def content_of(opened: Mapping[str, Any]) -> dict[str, Any]:
    """What was signed."""
    content: dict[str, Any] = orjson.loads(opened["jws"][1])
    return content


def tags_of(opened: Mapping[str, Any]) -> list[bytes]:
    """The suppression tags of everybody whom an opened answer is about."""
    return [bytes.fromhex(tag) for tag in opened["tags"]]


def seal(keys: SubjectKeys, context: UUID, content: Mapping[str, Any]) -> bytes:
    """Compress and encrypt content about a subject; it opens only in the place (`context`) sealed for."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = zlib.compress(orjson.dumps(content), _COMPRESSION)
    return nonce + AESGCM(keys.data_key).encrypt(nonce, plain, _CONTEXT + context.bytes)


def unseal(keys: SubjectKeys, context: UUID, blob: bytes) -> dict[str, Any]:
    """Open what `seal` closed.

    Raises:
        AnswerDamaged: When it was changed, or belongs elsewhere.
    """
    nonce, sealed = blob[:_NONCE_BYTES], blob[_NONCE_BYTES:]
    try:
        plain = AESGCM(keys.data_key).decrypt(nonce, sealed, _CONTEXT + context.bytes)
    except InvalidTag:
        raise AnswerDamaged("Stored content does not open under its subject's key") from None
    opened: dict[str, Any] = orjson.loads(zlib.decompress(plain))
    return opened
