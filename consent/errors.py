"""The leaves of this room on the one exception tree.

::

    FixContract
    └── AgreementInvalid     an agreement's terms, bytes, chain or signatures do not hold
    Refused
    ├── ExchangeDenied       the decision said no (rule ids in `attributes["rules"]`)
    ├── AgreementChanged     the agreement changed or ended between decision and commit
    ├── ConsentChanged       the consent changed or was withdrawn between decision and commit
    ├── PersonErased         the person was erased, or is being erased, between decision and commit
    ├── QuotaExhausted       the agreed number of exchanges of the day is used up
    ├── ConsentNotPossible   this consent event may not follow, or not be given this way
    └── ReviewNotPossible    an emergency access cannot be reviewed in this way
    FixInstallation
    └── UnsuitableTransaction  hold() was called where its locks or its re-reading mean nothing
    IntegrityBroken
    └── RevisionBroken       a stored revision does not match its hash or its predecessor
"""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError

from foundation.errors import FixContract, FixInstallation, IntegrityBroken, Location, Refused

__all__ = [
    "AgreementChanged",
    "AgreementInvalid",
    "ConsentChanged",
    "ConsentNotPossible",
    "ExchangeDenied",
    "PersonErased",
    "QuotaExhausted",
    "ReviewNotPossible",
    "RevisionBroken",
    "UnsuitableTransaction",
]


class AgreementInvalid(FixContract):
    """An agreement's terms, bytes, chain or signatures do not hold."""

    @classmethod
    def from_validation(cls, error: ValidationError) -> Self:
        """Collect every finding of pydantic, without the values it looked at."""
        findings = [
            {"field": ".".join(str(part) for part in found["loc"]), "rule": found["type"]}
            for found in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        return cls(
            f"The agreement has {len(findings)} invalid part(s)",
            why="; ".join(f"{found['field'] or 'terms'}: {found['rule']}" for found in findings),
            remedy="Correct the named fields of the terms; see docs/how-to/agreements.md.",
            location=Location(field=findings[0]["field"] or None, rule=findings[0]["rule"]),
            findings=findings,
        )


class ExchangeDenied(Refused):
    """The decision said no."""


class AgreementChanged(Refused):
    """The agreement changed or ended between the decision and the commit."""


class ConsentChanged(Refused):
    """The consent changed or was withdrawn between the decision and the commit."""


class PersonErased(Refused):
    """The person was erased, or is being erased: they are refused as if nobody knew them."""


class QuotaExhausted(Refused):
    """The agreed number of exchanges of the day is used up."""


class ConsentNotPossible(Refused):
    """This consent event may not follow, or may not be given in this way."""


class ReviewNotPossible(Refused):
    """No review of the emergency access is open, or not for this officer."""


class RevisionBroken(IntegrityBroken):
    """A stored revision does not match its hash or its predecessor."""


class UnsuitableTransaction(FixInstallation):
    """The connection runs no transaction in which locks and re-reading mean anything."""
