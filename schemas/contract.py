"""A data contract as the bus understands it: what a dataset is, where it comes from, and what it promises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from schemas.quality import QualityRule
from schemas.record_types import Column, RecordType
from schemas.transforms import AnyStep, Beginning, Concat, OnlyWhen


class Mode(StrEnum):
    """Whether the bus keeps a dataset."""

    COPY = "copy"
    """Landed and kept."""
    LOOKUP_ONLY = "lookup_only"
    """Asked live, never kept."""


class Snapshot(StrEnum):
    """What a full reading of the source means."""

    COMPLETE = "complete"
    """A record that is not in it has ended."""
    INCREMENTAL = "incremental"
    """It holds changes only; nothing ends by being absent."""


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """How one canonical field comes from the source's columns.

    Attributes:
        field: The canonical name.
        column: The field in the record type.
        beginning: A source column's name, or the step that begins without a single one.
        steps: What is done to the cell, in order.
        required: Whether an empty cell is rejected.
        line: Where it stands in the contract.
    """

    field: str
    column: Column
    beginning: str | Beginning
    steps: tuple[AnyStep, ...] = ()
    required: bool = False
    line: int | None = None

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns of the source it reads."""
        if isinstance(self.beginning, OnlyWhen):
            return (self.beginning.column, self.beginning.when)
        return self.value_columns

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Those of them of which the value is made; the others only decide about it."""
        if isinstance(self.beginning, str):
            return (self.beginning,)
        if isinstance(self.beginning, Concat):
            return tuple(part.column for part in self.beginning.columns)
        return (self.beginning.column,) if isinstance(self.beginning, OnlyWhen) else ()

    @property
    def annotation(self) -> Any:
        """The field's type for pydantic, as strict as the record type and the contract together."""
        typed = Annotated[Any, self.column.kind]
        return typed if self.required else typed | None


@dataclass(frozen=True, slots=True)
class ServerBinding:
    """Which system of the agency has the dataset, and the connector's own settings, not looked at here.

    Attributes:
        kind: The kind of connector.
        system_id: The agency's system.
        config: The connector's settings.
        lines: Where each setting stands in the contract, by its dotted name.
    """

    kind: str
    system_id: str
    config: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def line(self, setting: str) -> int | None:
        """The line of a setting, or of the nearest part around it."""
        while setting and setting not in self.lines:
            setting = setting.rpartition(".")[0]
        return self.lines.get(setting)


@dataclass(frozen=True, slots=True)
class Validity:
    """The fields that say when a record holds in the world, where the source knows it."""

    from_field: str | None = None
    to_field: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The largest part of rows that may be quarantined before a page or a batch is held, 0 to 1.

    Attributes:
        page: The largest part of a page.
        batch: The largest part of a batch.
        evidence: With fewer rejected rows than this, a part says little: a page, or a batch of changes, of
            which one row came and is bad says nothing about the source.
    """

    page: float = 0.5
    batch: float = 0.05
    evidence: int = 20

    def says_little(self, rejected: int) -> bool:
        """Whether so few rows were rejected that no part can be told from them."""
        return rejected < self.evidence

    def page_exceeded(self, *, rejected: int, rows: int) -> bool:
        """Whether a page has more rejected rows than the budget allows, and enough of them to say so."""
        return not self.says_little(rejected) and rejected > self.page * rows

    def batch_exceeded(self, *, rejected: int, rows: int, only_changes: bool = False) -> bool:
        """Whether a batch has more rejected rows than the budget allows.

        Args:
            rejected: How many rows were rejected.
            rows: How many were read.
            only_changes: Whether the batch holds changes only; then there have to be enough of them.
        """
        return not (only_changes and self.says_little(rejected)) and rejected > self.batch * rows

    def nothing_usable(self, *, accepted: int, rejected: int, only_changes: bool = False) -> bool:
        """Whether no row of a batch can be used, and that says something about the source."""
        return accepted == 0 and not (only_changes and self.says_little(rejected))


@dataclass(frozen=True)
class Contract:
    """One dataset of one agency, under contract.

    Attributes:
        id: ``<agency>/<dataset>``.
        version: Semantic version of the contract.
        record_type: What its records are.
        mapping: How each mapped field comes from the source.
        server: Where it comes from.
        quality: Rules over each batch.
        schedule: When it is read (cron, in ``timezone``).
        freshness: How old the last successful reading may be before answers are stale.
        snapshot: What a full reading means.
        latest_by: The field that orders the versions of a record: where a key comes more than once, the
            highest holds. Without it, repeated keys are quarantined.
        cursor: The source's column with the time of a row's last change, if readings are incremental.
        closed_world: Whether absence means "no" (else "unknown").
        mode: Whether the bus keeps it.
        source_key: The canonical fields that name a record at the source.
        validity: The fields that say when a record holds in the world.
        max_close_ratio: The largest part of open records that one batch may close.
        purpose: The purpose of collecting it.
        hash: SHA-256 of the canonical JSON of the file.
    """

    id: str
    agency: str
    dataset: str
    version: str
    record_type: RecordType
    mapping: tuple[FieldMapping, ...]
    server: ServerBinding
    quality: tuple[QualityRule, ...]
    schedule: str
    freshness: timedelta
    snapshot: Snapshot
    cursor: str | None
    closed_world: bool
    mode: Mode
    source_key: tuple[str, ...]
    validity: Validity
    max_close_ratio: float
    error_budget: ErrorBudget
    purpose: str
    hash: str
    timezone: str = "Asia/Jakarta"
    name: str = ""
    description: str = ""
    limitations: str = ""
    status: str = "active"
    latest_by: str | None = None
    path: Path | None = field(default=None, compare=False)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The canonical fields that the dataset lands; a live agreement must name each of them."""
        return tuple(mapping.field for mapping in self.mapping)

    @cached_property
    def source_columns(self) -> tuple[str, ...]:
        """The source's columns to ask for, each once, in the order of the contract."""
        return tuple(dict.fromkeys(column for mapping in self.mapping for column in mapping.source_columns))

    def narrowed(self, fields: Collection[str]) -> Contract:
        """The same contract for some of its fields, as if it mapped no others."""
        return replace(self, mapping=tuple(each for each in self.mapping if each.field in fields))

    @property
    def subject_field(self) -> str | None:
        """The mapped field that says whom a record is about, if any."""
        name = self.record_type.subject_identifier
        return name if name in self.fields else None
