"""What a decision is asked (`ExchangeRequest`) and everything it may look at (`Facts`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from audit.entry import RevisionReference
from audit.subjects.subject_keys import SubjectHandle
from consent.terms import AgreementTerms
from consent.vocabulary import ConsentState, Mode, Verb

Fields = Mapping[str, frozenset[str]]


def new_decision_id() -> str:
    """A fresh random decision id; a repeated disclosure is a new exchange with a new id."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class EmergencyClaim:
    """A named officer's statement that a life or the body's safety is at stake (Art. 20(2)(d))."""

    officer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """One exchange that somebody wants: who, what for, which fields of which datasets, when.

    Attributes:
        verb: Whether data comes in (`collect`) or goes out (`disclose`).
        mode: Whether only yes/no is told (`verify`) or the values (`read`).
        consumer: The agency that receives.
        system: The consumer's system that asks.
        purpose: The one purpose of the exchange.
        fields: Canonical field names wanted, by dataset id (`<agency>/<dataset>`).
        at: When it is asked, in UTC.
        subject: The person concerned; None for a bulk collection.
        actor: Pseudonym of the officer at the keyboard, if there is one.
        case_present: Whether the consumer named the case it is working on.
        onward_to: The agency to which the consumer would pass the data on, if any.
        emergency: Set when a vital interest is claimed.
        decision_id: The id under which the decision is logged.
    """

    verb: Verb
    mode: Mode
    consumer: str
    system: str
    purpose: str
    fields: Fields
    at: datetime
    subject: SubjectHandle | None = None
    actor: str | None = None
    case_present: bool = False
    onward_to: str | None = None
    emergency: EmergencyClaim | None = None
    decision_id: str = field(default_factory=new_decision_id)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("ExchangeRequest.at must know its time zone")

    @property
    def providers(self) -> frozenset[str]:
        """The agencies whose datasets are asked for."""
        return frozenset(provider_of(dataset) for dataset in self.fields)


def provider_of(dataset: str) -> str:
    """The agency that owns a dataset: the part of its id before the slash."""
    return dataset.partition("/")[0]


@dataclass(frozen=True, slots=True)
class AgreementFact:
    """One agreement in the revision that governs at the time of the request.

    `quota_left` counts what this process may still take today; where a quota was agreed, unknown is none.
    """

    reference: RevisionReference
    terms: AgreementTerms
    ended_at: datetime | None = None
    quota_left: int | None = None


@dataclass(frozen=True, slots=True)
class ConsentFact:
    """The latest revision of the consent of one subject to one consumer and purpose."""

    reference: RevisionReference
    subject: SubjectHandle
    consumer: str
    purpose: str
    state: ConsentState
    fields: Fields
    valid_from: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SystemFact:
    """A registered system: whose it is and whether it may take part."""

    agency_id: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All a decision may look at; what is not here does not exist for it.

    `agencies` tells for each known agency whether it is active (False: suspended).
    """

    agreements: tuple[AgreementFact, ...] = ()
    consent: ConsentFact | None = None
    agencies: Mapping[str, bool] = field(default_factory=dict)
    systems: Mapping[str, SystemFact] = field(default_factory=dict)
