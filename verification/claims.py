"""What an application states, checked against what the service asks for. Messages never repeat the value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from schemas.errors import IdentifierInvalid
from schemas.identifiers import Identifier, Nib, Nik
from verification.catalogue import Service
from verification.errors import ClaimsInvalid
from verification.service import Claim

IDENTIFIERS: Mapping[str, type[Identifier]] = {"nik": Nik, "nib": Nib}
"""The kinds of claim that name somebody or something by number."""


def check_claims(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The claims in their declared types.

    Raises:
        ClaimsInvalid: With every claim that is missing, unknown or of the wrong form.
    """
    asked = service.definition.claims
    problems = {name: "is not asked for" for name in sorted(given.keys() - asked.keys())[:20]}
    checked: dict[str, Any] = {}
    for name, claim in asked.items():
        if name not in given:
            problems[name] = "is missing"
            continue
        value, problem = _check(claim, given[name])
        if problem is None:
            checked[name] = value
        else:
            problems[name] = problem
    if problems:
        raise ClaimsInvalid(
            "The claims are not what this service asks for",
            remedy="See the service at /v1/services for the claims and their types",
            errors=[
                {"field": f"claims.{_shown(name, asked)}", "problem": text} for name, text in problems.items()
            ],
        )
    return checked


def _shown(name: str, asked: Mapping[str, Claim]) -> str:
    """An unknown name may hold anything, so it is not repeated."""
    return name if name in asked else "*"


def _check(claim: Claim, value: Any) -> tuple[Any, str | None]:
    if claim.type == "date":
        return _date(value)
    if claim.type in IDENTIFIERS:
        return _identifier(IDENTIFIERS[claim.type], value)
    return _plain(claim, value)


def _plain(claim: Claim, value: Any) -> tuple[Any, str | None]:
    expected = {"int": int, "string": str, "bool": bool}[claim.type]
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        return None, f"must be of type {claim.type}"
    if isinstance(value, int) and not isinstance(value, bool):
        return _whole(claim, value)
    if claim.codes and value not in claim.codes:
        return None, "is not one of the codes"
    if isinstance(value, str) and len(value) > 1000:
        return None, "is too long"
    return value, None


def _identifier(kind: type[Identifier], value: Any) -> tuple[Identifier | None, str | None]:
    try:
        return kind.parse(value if isinstance(value, str) and len(value) <= 40 else ""), None
    except IdentifierInvalid:
        return None, "is not a valid number of its kind"


def _whole(claim: Claim, value: int) -> tuple[int | None, str | None]:
    low = -(2**53) + 1 if claim.minimum is None else claim.minimum
    high = 2**53 - 1 if claim.maximum is None else claim.maximum
    return (value, None) if low <= value <= high else (None, "is out of range")


def _date(value: Any) -> tuple[dt.date | None, str | None]:
    try:
        return dt.date.fromisoformat(value if isinstance(value, str) and len(value) == 10 else ""), None
    except ValueError:
        return None, "must be a date such as 2026-01-31"
