"""What is said about a field beside its type: description, classification, who must agree on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Classification(StrEnum):
    """How personal data is classed by UU 27/2022, Art. 4."""

    PUBLIC = "public"
    """Not personal data."""
    GENERAL = "general"
    """General personal data, Art. 4(3)."""
    SPECIFIC = "specific"
    """Specific personal data, Art. 4(2): health, biometrics, children, finances and others."""


@dataclass(frozen=True, slots=True)
class Described:
    """Metadata that every field of a record type carries.

    Attributes:
        description: One sentence.
        classification: How personal it is.
        comparable: Whether every register that tells it of a subject must tell the same, as a day of birth.
    """

    description: str
    classification: Classification = Classification.GENERAL
    comparable: bool = False
