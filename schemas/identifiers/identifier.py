"""What every identifier has in common: it parses, normalises, explains itself and masks itself."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.errors import IdentifierInvalid

LONGEST_TEXT = 64
_GROUPED_DIGITS = re.compile(r"[0-9]+(?:[ .\-][0-9]+)*")
_SCIENTIFIC = re.compile(r"[0-9][0-9.,]*[eE][+\-]?[0-9]+")
_SURROUNDING_SPACE = " \t\r\n"


class IdentifierStatus(StrEnum):
    """How far the structure of an identifier can be trusted; never whether it is registered."""

    VALID = "valid"
    WARNING = "warning"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class IdentifierCheck:
    """The verdict on one text; messages never contain the text itself."""

    status: IdentifierStatus
    normalised: str | None = field(default=None, repr=False)
    messages: tuple[str, ...] = ()
    rule: str = ""
    remedy: str = ""


class Identifier(ABC):
    """An immutable identifier whose ``str``, ``repr`` and ``format`` are masked; ``value`` is the full text.

    Invariant: ``value`` is normalised, so two identifiers of one kind are equal exactly when they name
    the same thing.
    """

    __slots__ = ("_value",)

    kind: ClassVar[str]
    title: ClassVar[str]
    longest_value: ClassVar[int]
    numeric_cells_lose_digits: ClassVar[bool] = False
    visible_characters: ClassVar[int] = 4

    _value: str

    def __init__(self, text: str) -> None:
        check = type(self).check(text)
        if check.normalised is None:
            raise IdentifierInvalid(self.kind, check)
        object.__setattr__(self, "_value", check.normalised)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the identifier written in ``text``.

        Raises:
            IdentifierInvalid: The text is not one; the error explains why without repeating it.
        """
        return cls(text)

    @classmethod
    def check(cls, text: object) -> IdentifierCheck:
        """Say whether ``text`` is one, and what is wrong or doubtful; never raises."""
        found = usable_text(text, cls.title)
        return cls._check(found) if isinstance(found, str) else found

    @classmethod
    @abstractmethod
    def _check(cls, text: str) -> IdentifierCheck: ...

    @property
    def value(self) -> str:
        """The full, normalised identifier, for code that must use it."""
        return self._value

    @property
    def masked(self) -> str:
        """A form that may stand in a log: the place of issue, not the person."""
        shown = self._value[: self.visible_characters]
        return shown + "*" * (len(self._value) - len(shown))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.masked!r})"

    def __format__(self, spec: str) -> str:
        return format(self.masked, spec)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._value == self._value

    def __hash__(self) -> int:
        return hash((self.kind, self._value))

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self._value,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._judge,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda identifier: identifier.value
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "title": cls.title, "maxLength": cls.longest_value}

    @classmethod
    def _judge(cls, cell: object) -> Self:
        if isinstance(cell, cls):
            return cell
        check = cls.check(cell) if cell is not None else missing()
        if check.normalised is None:
            raise PydanticCustomError(
                "identifier",
                "{explanation}",
                {"explanation": check.messages[0], "rule": check.rule, "remedy": check.remedy},
            )
        return cls(check.normalised)


def usable_text(text: object, title: str) -> str | IdentifierCheck:
    """Trim ``text``, or say why it is not text one would look at."""
    if not isinstance(text, str):
        return invalid(
            "text-expected",
            f"A {title} must arrive as text; a number has already lost digits or leading zeros.",
            "Export the column as text.",
        )
    if len(text) > LONGEST_TEXT:
        return invalid(
            "too-long", f"The text is too long for a {title}.", "Check that the right column is mapped."
        )
    return text.strip(_SURROUNDING_SPACE)


def digits_of(text: str, title: str) -> str | IdentifierCheck:
    """Strip grouping from ``text``, or say why its characters cannot be a number written in digits."""
    if _GROUPED_DIGITS.fullmatch(text):
        return re.sub(r"[ .\-]", "", text)
    if not text:
        return invalid("empty", f"The {title} is empty.", "Fill it in at the source, or leave the row out.")
    if _SCIENTIFIC.fullmatch(text):
        return invalid(
            "digits-lost",
            f"The {title} is in a spreadsheet's scientific notation: its last digits are lost for good.",
            "Export the column again as text from the source system; it cannot be repaired here.",
        )
    if any(character.isdigit() and not "0" <= character <= "9" for character in text):
        return invalid(
            "foreign-digits",
            f"The {title} is written with digits other than 0-9.",
            "Write it with the digits 0-9.",
        )
    return invalid(
        "not-digits",
        f"The {title} contains characters that are neither digits nor separators.",
        "Check that the right column is mapped and that it holds the bare number.",
    )


def wrong_length(title: str, expected: str, found: int) -> IdentifierCheck:
    """The verdict on a number with too few or too many digits."""
    return invalid(
        "length",
        f"The {title} has {found} digits instead of {expected}.",
        "Check for a lost leading zero or a numeric spreadsheet column; correct it at the source.",
    )


def invalid(rule: str, message: str, remedy: str) -> IdentifierCheck:
    """A verdict that the text is not one."""
    return IdentifierCheck(IdentifierStatus.INVALID, None, (message,), rule, remedy)


def missing() -> IdentifierCheck:
    """A verdict on an empty cell where there must be an identifier."""
    return invalid("missing", "The field must not be empty.", "Fill it in at the source.")


def accepted(normalised: str, *warnings: str) -> IdentifierCheck:
    """A verdict that the text is one, doubtful when there are warnings."""
    status = IdentifierStatus.WARNING if warnings else IdentifierStatus.VALID
    return IdentifierCheck(status, normalised, warnings)
