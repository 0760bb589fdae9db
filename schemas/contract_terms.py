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
IdentifierName = Literal[
    "nik", "family-card", "deed", "passport", "driving-license", "phone", "npwp", "nitku", "property-tax",
    "nib", "kbli", "bpjs", "ihs", "region",
]  # fmt: skip
Ratio = Annotated[float, Field(ge=0, le=1)]


class _Terms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ContractTerms(_Terms):
    """``customProperties`` of the contract."""

    mode: Mode = Field(
        Mode.COPY, description="`copy`: landed and kept; `lookup_only`: asked live, never kept"
    )
    snapshot: Snapshot = Field(
        Snapshot.COMPLETE,
        description="`complete`: what a full reading lacks has ended; `incremental`: nothing ends by absence",
    )
    cursor: Name | None = Field(None, description="column of the source with the time of a row's last change")
    latestBy: Name | None = Field(  # noqa: N815
        None,
        description="field that orders the versions of a record in a feed that only appends: where a key"
        " comes more than once, the highest holds; without it, repeated keys are quarantined",
    )
    closedWorld: bool | None = Field(  # noqa: N815 - the names of ODCS custom properties are camelCase
        None, description='whether absence means "no"; else it means "unknown". Default: the record type\'s'
    )
    validFrom: Name | None = Field(  # noqa: N815
        None, description="field that says since when a record holds in the world"
    )
    validTo: Name | None = Field(None, description="field that says until when")  # noqa: N815
    subjectIdentifier: Name | None = Field(  # noqa: N815
        None, description="for a record type of one's own: the field that says whom a record is about"
    )
    maxCloseRatio: Ratio = Field(  # noqa: N815
        0.01, description="largest part of open records that one batch may close before it is held"
    )
    errorBudgetPage: Ratio = Field(  # noqa: N815
        0.5, description="largest part of a page that may be quarantined"
    )
    errorBudgetBatch: Ratio = Field(  # noqa: N815
        0.05, description="largest part of a batch that may be quarantined"
    )
    purpose: Slug = Field("registry-sync", description="purpose of collecting it, as agreements name it")
    timezone: Literal["Asia/Jakarta", "Asia/Pontianak", "Asia/Makassar", "Asia/Jayapura", "UTC"] = Field(
        "Asia/Jakarta", description="zone in which the schedule is meant"
    )


class ServerTerms(_Terms):
    """``customProperties`` of the server."""

    system: Slug = Field(description="the agency's system, as the operator registered it with its address")
    connector: dict[str, Any] = Field(description="`kind` and the settings of that connector")


class FieldTerms(_Terms):
    """``customProperties`` of a property."""

    identifier: IdentifierName | None = Field(
        None, description="the field holds this identifier (record types of one's own only)"
    )
    inFuture: bool = Field(  # noqa: N815
        default=False, description="a date may lie in the future (record types of one's own only)"
    )


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
