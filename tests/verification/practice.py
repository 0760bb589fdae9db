"""Record types, evidence and expressions for the tests of this room."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from schemas.record_types import record_type
from verification.types import BOOL, DATE, INT, STRING, Kind, Scope, ValueType

TODAY = dt.date(2026, 6, 15)


DATASETS = {
    "dukcapil-mojokerto/persons": record_type("Person"),
    "dukcapil-mojokerto/deaths": record_type("Death"),
    "dukcapil-mojokerto/families": record_type("Family"),
    "dukcapil-mojokerto/births": record_type("Birth"),
    "kpp-mojokerto/tax-standing": record_type("TaxStanding"),
    "dpmptsp-mojokerto/businesses": record_type("Business"),
    "dpmptsp-mojokerto/licenses": record_type("License"),
    "dinkes-mojokerto/coverage": record_type("Coverage"),
}

SCOPE = Scope(
    records={
        "person": {
            "birth_date": DATE,
            "region_code": STRING,
            "sex": ValueType(Kind.STRING, codes=frozenset({"male", "female"})),
        },
        "death": {"death_date": DATE},
        "tax": {
            "standing": ValueType(Kind.STRING, codes=frozenset({"valid", "not_valid"})),
            "tax_year": INT,
            "flag": BOOL,
        },
        "claim": {"amount": INT},
    },
    values={"today": DATE},
)

NOT_KNOWN = ("unknown", "stale", "conflict", "quarantined", "held", "source_down")


@dataclass(frozen=True)
class Supplied:
    status: str
    values: dict[str, Any] = field(default_factory=dict)
    contested: frozenset[str] = frozenset()


def present(**values: Any) -> Supplied:
    return Supplied("present", values)


ABSENT = Supplied("absent")

KNOWN: dict[str, Supplied] = {
    "person": present(birth_date=dt.date(1990, 2, 28), region_code="35.76.02.1001", sex="female"),
    "death": ABSENT,
    "tax": present(standing="valid", tax_year=2025, flag=True),
    "claim": present(amount=3_000_000),
}
