"""The parts of a contract that ODCS leaves to its users: our custom properties, as typed models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schemas.contract import Mode, Snapshot

_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=63)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class _Terms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ContractTerms(_Terms):
    """``customProperties`` of the contract."""

    mode: Mode = Mode.COPY
    snapshot: Snapshot = Snapshot.COMPLETE
    cursor: Name | None = None
    closedWorld: bool | None = None  # noqa: N815 - the names of ODCS custom properties are camelCase
    validFrom: Name | None = None  # noqa: N815
    validTo: Name | None = None  # noqa: N815
    subjectIdentifier: Name | None = None  # noqa: N815
    maxCloseRatio: Ratio = 0.01  # noqa: N815
    errorBudgetPage: Ratio = 0.5  # noqa: N815
    errorBudgetBatch: Ratio = 0.05  # noqa: N815
    purpose: Slug = "registry-sync"
    timezone: Literal["Asia/Jakarta", "Asia/Pontianak", "Asia/Makassar", "Asia/Jayapura", "UTC"] = (
        "Asia/Jakarta"
    )


class ServerTerms(_Terms):
    """``customProperties`` of the server."""

    system: Slug
    connector: dict[str, Any]


class FieldTerms(_Terms):
    """``customProperties`` of a property."""

    identifier: Literal["nik", "family-card", "npwp", "region"] | None = None
    inFuture: bool = False  # noqa: N815


def as_mapping(properties: list[Any] | None) -> dict[str, Any]:
    """``[{property, value}]`` as a mapping."""
    return {str(each.property): each.value for each in properties or []}


def checked_cron(text: str) -> str:
    """Return a five-part cron expression unchanged.

    Raises:
        ValueError: It is not one.
    """
    parts = text.split()
    if len(parts) != len(_CRON_RANGES) or not all(map(_cron_part, parts, _CRON_RANGES)):
        raise ValueError("write the schedule as five cron parts, such as 15 1 * * *")
    return text


def _cron_part(part: str, bounds: tuple[int, int]) -> bool:
    for piece in part.split(","):
        match = _CRON_PART.fullmatch(piece)
        if match is None:
            return False
        first, last, step = (int(group) if group else None for group in match.groups())
        numbers = [number for number in (first, last) if number is not None]
        if any(not bounds[0] <= number <= bounds[1] for number in numbers) or step == 0:
            return False
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            return False
    return True


Cron = Annotated[str, AfterValidator(checked_cron)]
Duration = Mapping[str, int]
SECONDS: Duration = {
    "s": 1, "seconds": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600,
    "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
"""Units of service levels, in seconds."""
