"""What is asked, and by whom."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from audit.subjects.subject_keys import SubjectKeys
from foundation.errors import Refused

__all__ = ["MAXIMUM_ENTRIES", "Asker", "Kind", "Question", "QuestionTooWide", "QuestionUnclear"]

MAXIMUM_ENTRIES = 2_000
"""More than this nobody reads on paper; an export answers it better."""


class Kind(StrEnum):
    """What a dossier is about."""

    SUBJECT = "subject"
    EXCHANGE = "exchange"
    CASE = "case"
    PERIOD = "period"


class Asker(StrEnum):
    """For whom it is written: a citizen sees what is sealed about themselves, an auditor sees pseudonyms."""

    CITIZEN = "citizen"
    AUDITOR = "auditor"


class QuestionUnclear(Refused):
    """A dossier answers one question: about one subject, exchange, case or period."""

    code = "dossier-question-unclear"


class QuestionTooWide(Refused):
    """The answer has more entries than anybody reads."""

    code = "dossier-question-too-wide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a dossier answers. The NIK and the case number stay out of files, names and entries."""

    kind: Kind
    asker: Asker
    language: str
    subject: SubjectKeys | None = field(default=None, repr=False)
    entry: str | None = None
    case: str | None = field(default=None, repr=False)
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        given = {
            Kind.SUBJECT: self.subject is not None,
            Kind.EXCHANGE: self.entry is not None,
            Kind.CASE: self.case is not None,
            Kind.PERIOD: self.since is not None and self.until is not None,
        }
        if not given[self.kind]:
            raise QuestionUnclear(
                f"A dossier about a {self.kind} must say which one.",
                remedy="Give the NIK in a file, an entry, a case number, or both ends of a period.",
            )
        if self.asker is Asker.CITIZEN and self.subject is None:
            raise QuestionUnclear(
                "A citizen is shown what is about themselves.", remedy="Give their NIK in a file."
            )
