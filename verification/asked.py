"""One question on its way, in the company of others: what was asked, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias

import psycopg

from consent.decision import Decision
from records.evidence import Evidence
from records.identity import Claim, ConfirmedSubject
from records.relations import RelationTarget
from records.tags import TagKey
from schemas.identifiers import Identifier, Nik
from verification import idempotency
from verification.answering import answer
from verification.catalogue import OTHER_PERSON, Service
from verification.claims import check_claims
from verification.context import AnsweringContext, Session
from verification.exchange import OtherPerson
from verification.idempotency import IdempotentRequest
from verification.journey import Asker, GivenAnswer, Question
from verification.relating import WHO_NAMES, Related

__all__ = ["Alone", "Asked", "Ending", "Going", "OnItsWay", "Rest", "asked"]

Alone: TypeAlias = Callable[[], GivenAnswer]
"""The rest of the way of a question that leaves the others."""
Rest: TypeAlias = Callable[[Session], GivenAnswer]
"""The same, on a connection of its own."""
Ending: TypeAlias = "GivenAnswer | Exception | Alone"
"""How a question ends among others: answered, refused, or with the rest of its way to be gone alone."""


@dataclass(frozen=True)
class Asked:
    """A question that makes sense: nobody was looked up yet.

    Attributes:
        context: Where it is answered.
        question: What is asked.
        asker: Who asks.
        key: Its Idempotency-Key.
        once: The same as keyed digests.
        service: The service it is asked for.
        claims: What the application states, in the declared types.
        claim: Whom it says it is about.
        named: The number that each relation of the service leads to, with its tag.
    """

    context: AnsweringContext = field(repr=False)
    question: Question = field(repr=False)
    asker: Asker
    key: str | None = field(repr=False)
    once: IdempotentRequest | None = field(repr=False)
    service: Service
    claims: Mapping[str, Any] = field(repr=False)
    claim: Claim = field(repr=False)
    named: Mapping[str, tuple[Identifier, RelationTarget]] = field(repr=False)

    @property
    def purpose(self) -> str:
        """The purpose of the exchange."""
        return self.question.purpose or self.service.definition.purpose

    @cached_property
    def counted_on(self) -> tuple[bytes, ...]:
        """What an attempt to name a relation counts on: the number named, and the applicant who names it."""
        named_by = TagKey.of(self.context.vault.keyring).subject(
            f"{WHO_NAMES}{self.claim.applicant.nik.value}"
        )
        return tuple(tag for _, target in self.named.values() for tag in (target.tag or b"", named_by))

    @cached_property
    def attempts(self) -> tuple[tuple[bytes, str], ...]:
        """Everything that attempts may be counted on for it, with the consumer."""
        return tuple((tag, self.asker.agency) for tag in (self.claim.tag, *self.counted_on))

    @property
    def persons(self) -> tuple[bytes, ...]:
        """The tags of the persons it names: the applicant, and the child for whom they say they speak."""
        children = (target.tag or b"" for number, target in self.named.values() if isinstance(number, Nik))
        return (self.claim.tag, *children)

    @property
    def is_plain(self) -> bool:
        """Whether it may be answered among others: no officer to look up, and one relation at the most."""
        return self.question.officer is None and len(self.named) <= 1

    @cached_property
    def excludes(self) -> frozenset[object]:
        """What no other question answered with it may have in common with it.

        An attempt in vain counts for whoever tries next, and a key is used once.
        """
        once = () if self.once is None else ((self.once.system, self.once.key_tag),)
        return frozenset((*self.attempts, *once))

    def alone(self) -> GivenAnswer:
        """Answer it as if nobody else had asked."""
        return answer(self.context, self.question, self.asker, self.key)

    def going_on(self, rest: Rest) -> Alone:
        """What is left of its way, on a connection of its own."""

        def alone() -> GivenAnswer:
            with self.context.session(self.asker, self.question.case_number) as session:
                return rest(session)

        return alone


def asked(context: AnsweringContext, question: Question, asker: Asker, key: str | None = None) -> Asked:
    """A question that makes sense.

    Raises:
        ServiceUnknown, ClaimsInvalid: When it makes none.
    """
    service = context.catalogue.service(question.service)
    claims = check_claims(service, question.claims)
    tags = TagKey.of(context.vault.keyring)
    named: dict[str, tuple[Identifier, RelationTarget]] = {}
    for relation, terms in service.definition.relations.items():
        number: Identifier = claims[terms.claim]
        named[relation] = (number, RelationTarget.tagged(number.kind, number.value, tags))
    once = None
    if key is not None:
        once = idempotency.identify(context.request_secret, asker.system, key, question.request)
    claim = Claim.of(question.applicant, asker.agency, tags)
    return Asked(context, question, asker, key, once, service, claims, claim, named)


@dataclass
class OnItsWay:
    """A question among others, with what is known so far."""

    asked: Asked
    ending: Ending | None = None
    subject: ConfirmedSubject | None = None
    related: dict[str, Related] = field(default_factory=dict)
    decision: Decision | None = None
    child: ConfirmedSubject | None = None
    other: OtherPerson | None = None
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def leave(self, rest: Rest) -> None:
        """Go the rest of the way alone."""
        self.ending = self.asked.going_on(rest)

    @property
    def speaks_for_a_child(self) -> bool:
        """Whether the registers show that the applicant is guardian of the child they name."""
        child = self.related.get(OTHER_PERSON)
        return child is not None and child.is_proven and isinstance(child.target, Nik)


@dataclass
class Going:
    """Questions that go together, on one connection, at one moment."""

    context: AnsweringContext
    connection: psycopg.Connection[Any]
    ways: list[OnItsWay]
    now: datetime

    @property
    def open(self) -> list[OnItsWay]:
        """Those that still go together."""
        return [way for way in self.ways if way.ending is None]
