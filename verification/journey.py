"""The words of one question on its way to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from records.identity import Applicant


@dataclass(frozen=True)
class Asker:
    """The authenticated system that asks, and the agency it belongs to."""

    system: str
    agency: str


@dataclass(frozen=True)
class Question:
    """What is asked about whom; `request` is its canonical form, from which digests are made.

    A question that the bus asks again names the answer that it `reviews`, and the first of its line
    (`origin`).
    """

    service: str
    applicant: Applicant = field(repr=False)
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    purpose: str | None = None
    case_number: str | None = field(default=None, repr=False)
    officer: str | None = None
    request: bytes = field(default=b"", repr=False)
    reviews: UUID | None = None
    origin: UUID | None = None


@dataclass(frozen=True)
class GivenAnswer:
    """A signed answer with the promise that its disclosure will stand in the log."""

    answer_id: UUID
    content: Mapping[str, Any] = field(repr=False)
    jws: str = field(repr=False)
    promise: str
    entry_id: UUID
    is_replay: bool = False
