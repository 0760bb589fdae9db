"""Sources that a test answers for: look-ups whose replies, errors and delays it sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl

from connectors.errors import ConfigurationInvalid
from schemas.contracts import Contract

Row = Mapping[str, Any]


@dataclass
class Asked:
    """One question that reached a source."""

    dataset: str
    key: dict[str, str]
    budget: timedelta
    columns: tuple[str, ...] = ()


@dataclass
class PracticeLookups:
    """Stands in for `connectors.registry.open_lookup`; a dataset without rows or errors cannot be asked."""

    contracts: Mapping[str, Contract]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    closed: int = 0

    def open(self, binding: Any, system: Any, secrets: Any, *, columns: Sequence[str] = ()) -> _Lookup:
        del system, secrets
        contract = next(each for each in self.contracts.values() if each.server == binding)
        if contract.id not in self.rows and contract.id not in self.errors:
            raise ConfigurationInvalid(["the contract names no look-up"])
        return _Lookup(self, contract, tuple(columns))


@dataclass
class _Lookup:
    source: PracticeLookups
    contract: Contract
    columns: tuple[str, ...]
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> tuple[str, ...]:
        subject = self.contract.subject_field
        mapping = next(each for each in self.contract.mapping if each.field == subject)
        return mapping.value_columns

    def find(self, key: Mapping[str, str], budget: timedelta, *, columns: Sequence[str] = ()) -> pl.DataFrame:
        dataset = self.contract.id
        with self.guard:
            self.source.asked.append(Asked(dataset, dict(key), budget, tuple(columns)))
        self.source.before(dataset)
        if dataset in self.source.errors:
            raise self.source.errors[dataset]
        asked = columns or self.columns
        rows = [{column: row.get(column) for column in asked} for row in self.source.rows[dataset]]
        return (
            pl.DataFrame(rows, schema=list(asked), infer_schema_length=None)
            if rows
            else pl.DataFrame(schema=dict.fromkeys(asked, pl.String))
        )

    def close(self) -> None:
        self.source.closed += 1
