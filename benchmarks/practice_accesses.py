"""Accesses of made-up officers over some weeks: ordinary ones, planted misuse, and honest ones that look odd.

Nothing here is drawn from the rules: officers have their own pace, days have their rhythm, some work on call
or on a hotline that has no case numbers. What was planted is known by the numbers of its entries.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from audit import entry as entry_module
from audit.attention import related
from audit.entry import EntryDraft, EntryKind
from audit.log import append_many
from audit.publishing.sequencer import Sequencer
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from foundation.database import Role
from foundation.installation import Installation

LOCAL = ZoneInfo("Asia/Jakarta")
AGENCIES = ("dinsos-contoh", "diskop-contoh")
_RHYTHM = {7: 0.6, 8: 1.4, 9: 1.6, 10: 1.5, 11: 1.0, 12: 0.3, 13: 1.1, 14: 1.2, 15: 0.8}


@dataclass
class Case:
    """Accesses that belong together; `rule` is what should flag them, None when they are honest."""

    rule: str | None
    entries: set[int] = field(default_factory=set)


@dataclass
class _Access:
    at: dt.datetime
    agency: str
    officer: str | None
    subject: int
    purpose: str = "social-assistance"
    has_case: bool = True
    case: Case | None = None
    skew: dt.timedelta = dt.timedelta()
    answer: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class World:
    """Everything that happens, in order, and what of it was planted."""

    accesses: list[_Access]
    cases: list[Case]
    relatives: list[tuple[str, str, related.Relation, int]]
    subjects: list[SubjectKeys]


class Imagination:
    """Draws a world.

    Args:
        seed: the same seed gives the same accesses.
        officers: officers of each agency.
        weeks: how many weeks.
        is_working_day: whether offices are open on a day.
    """

    def __init__(
        self, seed: int, *, officers: int, weeks: int, is_working_day: Callable[[dt.date], bool]
    ) -> None:
        self._random = random.Random(seed)
        first = dt.date(2026, 4, 6)
        days = [first + dt.timedelta(days=number) for number in range(7 * weeks)]
        self._open = [day for day in days if is_working_day(day)]
        self._late = self._open[len(self._open) // 2 :]
        self._shut = [day for day in days if not is_working_day(day)]
        self._staff = {
            agency: [f"petugas-{agency[:3]}-{n:02}" for n in range(officers)] for agency in AGENCIES
        }
        self._people = 600 * officers
        self._special = self._people
        self._accesses: list[_Access] = []
        self._cases: list[Case] = []
        self._relatives: list[tuple[str, str, related.Relation, int]] = []

    def draw(self) -> World:
        """Ordinary days, then what was planted among them."""
        self._ordinary_days()
        self._portal()
        self._honest_oddities()
        self._honest_coincidences()
        self._planted_by_officers()
        self._planted_by_many()
        self._planted_by_machines()
        self._accesses.sort(key=lambda each: each.at)
        subjects = [
            SubjectKeys(SubjectHandle(uuid.uuid4()), secrets.token_bytes(32), secrets.token_bytes(32))
            for _ in range(self._special)
        ]
        return World(self._accesses, self._cases, self._relatives, subjects)

    def _ordinary_days(self) -> None:
        for agency, staff in self._staff.items():
            for officer in staff:
                pace = self._random.uniform(0.6, 1.6)
                for day in self._open:
                    rush = pace * self._random.uniform(0.7, 1.3)
                    for hour, share in _RHYTHM.items():
                        for _ in range(self._poisson(rush * share)):
                            self._one(agency, officer, self._moment(day, hour), self._anybody())

    def _portal(self) -> None:
        for day in [*self._open, *self._shut]:
            for _ in range(20):
                self._one(AGENCIES[0], None, self._moment(day, self._random.randrange(24)), self._anybody())

    def _honest_oddities(self) -> None:
        for agency, staff in self._staff.items():
            on_call, hotline, registrar = staff[0], staff[1], staff[2]
            for day in self._open[::4]:  # on call: a night with more than usual every few days
                for _ in range(self._random.randint(1, 4)):
                    self._one(
                        agency, on_call, self._moment(day, 21), self._anybody(), purpose="emergency-aid"
                    )
            for day in self._open[::3]:  # a hotline has no case numbers
                for _ in range(self._random.randint(1, 2)):
                    access = self._one(agency, hotline, self._moment(day, 10), self._anybody())
                    access.purpose, access.has_case = "hotline", False
            for day in self._open[::9]:  # a day on which many register at once
                start = self._moment(day, 9)
                for number in range(self._random.randint(20, 33)):
                    moment = start + dt.timedelta(seconds=15 * number)
                    self._one(agency, registrar, moment, self._anybody(), purpose="mass-registration")

    def _honest_coincidences(self) -> None:
        for agency, staff in self._staff.items():
            for day in (self._open[4], self._late[3]):  # a difficult application on many desks
                person = self._somebody_new()
                for officer in self._random.sample(staff, self._random.randint(4, 7)):
                    self._one(agency, officer, self._moment(day, 9), person)
            colleague = self._somebody_new()  # a colleague applies for something, as anybody may
            self._relatives.append((agency, staff[5], "self", colleague))
            for day in (self._open[6], self._late[5]):
                self._one(agency, staff[4], self._moment(day, 10), colleague)
            for day in self._open[::6]:  # a clock that is a little wrong
                late = dt.timedelta(seconds=self._random.uniform(-60, 60))
                self._one(agency, staff[6], self._moment(day, 9), self._anybody()).skew = late

    def _planted_by_officers(self) -> None:
        for agency, staff in self._staff.items():
            for number, officer in enumerate(staff[3:8]):
                day = self._late[number % len(self._late)]
                case = self._case("no-case")
                for _ in range(self._random.randint(1, 4)):
                    self._one(agency, officer, self._moment(day, 11), self._anybody(), case, has_case=False)
                case = self._case("odd-hours")
                night = (self._shut[-1 - number], 13) if number % 2 else (day, 22)
                for _ in range(self._random.randint(2, 8)):
                    self._one(agency, officer, self._moment(*night), self._anybody(), case)
                case = self._case("bulk-officer")
                start = self._moment(self._late[-1 - number], 13)
                for step in range(self._random.randint(26, 60)):
                    moment = start + dt.timedelta(seconds=6 * step)
                    self._one(agency, officer, moment, self._anybody(), case)
                case = self._case("rate")
                start = self._moment(self._late[(number + 3) % len(self._late)], 14, 0)
                for step in range(self._random.randint(11, 24)):
                    moment = start + dt.timedelta(seconds=100 * step)
                    self._one(agency, officer, moment, self._anybody(), case)
            for number, officer in enumerate(staff[3:7]):
                relative = self._somebody_new()
                self._relatives.append((agency, officer, "family", relative))
                case = self._case("related")
                self._one(agency, officer, self._moment(self._late[number], 9), relative, case)
                own = self._somebody_new()
                self._relatives.append((agency, officer, "self", own))
                case = self._case("colleague")
                self._one(agency, staff[7], self._moment(self._late[number], 15), own, case)

    def _planted_by_many(self) -> None:
        for number in range(4):
            case, person = self._case("celebrity"), self._somebody_new()
            curious = [(agency, officer) for agency, staff in self._staff.items() for officer in staff]
            for agency, officer in self._random.sample(curious, self._random.randint(6, 9)):
                day = self._late[min(number + self._random.randrange(3), len(self._late) - 1)]
                self._one(agency, officer, self._moment(day, 11), person, case)

    def _planted_by_machines(self) -> None:
        for number in range(2):
            case, start = self._case("bulk-system"), self._moment(self._late[number], 2)
            for step in range(400):
                moment = start + dt.timedelta(seconds=1.2 * step)
                self._one(AGENCIES[0], None, moment, self._anybody(), case)
        for number in range(4):
            case = self._case("duplicate-id")
            first = self._one(AGENCIES[1], None, self._moment(self._late[number], 8), self._anybody(), case)
            later = first.at + dt.timedelta(minutes=30)
            self._one(AGENCIES[1], None, later, self._anybody(), case).answer = first.answer
            case = self._case("clock-skew")
            wrong = dt.timedelta(seconds=self._random.choice([-1, 1]) * self._random.randint(90, 7200))
            moment = self._moment(self._late[number + 4], 8)
            self._one(AGENCIES[1], None, moment, self._anybody(), case).skew = wrong

    def _one(
        self,
        agency: str,
        officer: str | None,
        at: dt.datetime,
        subject: int,
        case: Case | None = None,
        **changes: Any,
    ) -> _Access:
        access = _Access(at, agency, officer, subject, case=case, **changes)
        self._accesses.append(access)
        return access

    def _case(self, rule: str) -> Case:
        self._cases.append(Case(rule))
        return self._cases[-1]

    def _moment(self, day: dt.date, hour: int, minute: int | None = None) -> dt.datetime:
        within = self._random.randrange(55) if minute is None else minute
        local = dt.datetime.combine(day, dt.time(hour, within, self._random.randrange(60)), LOCAL)
        return local.astimezone(dt.UTC)

    def _anybody(self) -> int:
        return self._random.randrange(self._people)

    def _somebody_new(self) -> int:
        self._special += 1
        return self._special - 1

    def _poisson(self, mean: float) -> int:
        count, product, limit = 0, self._random.random(), 2.718281828**-mean
        while product > limit:
            count += 1
            product *= self._random.random()
        return count


def write(installation: Installation, world: World) -> None:
    """Write the accesses into an empty log, as if each had happened in its time, and note relatives."""
    with installation.database.connect(Role.STEWARD) as connection, _own_time() as clock_hands:
        append_many(connection, _drafts(world, clock_hands))
    with installation.database.connect(Role.AUDITOR) as connection:
        for agency, officer, relation, subject in world.relatives:
            related.note(connection, agency, officer, relation, world.subjects[subject], by="auditor-01")
    with Sequencer(installation) as sequencer:
        sequencer.settle()


def _drafts(world: World, clock_hands: SimpleNamespace) -> Iterator[EntryDraft]:
    for number, access in enumerate(world.accesses):
        if access.case is not None:
            access.case.entries.add(number)
        clock_hands.at = access.at
        yield EntryDraft(
            kind=EntryKind.EXCHANGE_ANSWERED,
            occurred_at=access.at + access.skew,
            consumer=access.agency,
            system=f"portal-{access.agency}",
            actor=access.officer,
            purpose=access.purpose,
            legal_basis="public-task",
            decision_id=uuid.uuid4(),
            outcome="verified",
            datasets=("dukcapil-contoh/persons",),
            details={"answer": access.answer, "case": access.has_case},
            subject=world.subjects[access.subject],
        )


@contextmanager
def _own_time() -> Iterator[SimpleNamespace]:
    """Ids of entries begin with the machine's time: here with that of the story."""
    hands = SimpleNamespace(at=dt.datetime.now(dt.UTC))
    hands.time_ns = lambda: int(hands.at.timestamp() * 1000) * 1_000_000
    with patch.object(entry_module, "time", hands):
        yield hands


@dataclass(frozen=True)
class Figures:
    """How well a rule did."""

    rule: str
    planted: int
    found: int
    flags: int
    right: int

    @property
    def precision(self) -> float:
        """Share of its flags that were planted."""
        return self.right / self.flags if self.flags else 1.0

    @property
    def recall(self) -> float:
        """Share of what was planted that it flagged."""
        return self.found / self.planted if self.planted else 1.0


def figures(
    rules: Sequence[str], cases: Sequence[Case], flags: Sequence[tuple[str, set[int]]]
) -> list[Figures]:
    """Precision and recall of each rule.

    A case is found when its own rule flags one of its entries. A flag is right when it has an entry of any
    planted case: somebody who takes many records at once may well be flagged for the rate, too.
    """
    misuse = set().union(*(case.entries for case in cases))
    found = []
    for rule in rules:
        planted = [case.entries for case in cases if case.rule == rule]
        ours = [entries for name, entries in flags if name == rule]
        found.append(
            Figures(
                rule,
                len(planted),
                sum(any(case & entries for entries in ours) for case in planted),
                len(ours),
                sum(bool(entries & misuse) for entries in ours),
            )
        )
    return found
