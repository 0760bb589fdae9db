"""What the rules that watch access flagged, as the command line shows and judges it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from foundation.errors import Refused
from lintas.access import OPERATOR, connected

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.attention import Flag
    from audit.subject_view import Reader
    from foundation.installation import Installation

__all__ = ["flag_fields", "flag_rows", "judge_flag", "note_related", "rule_rows", "take_back_related"]


def flag_rows(officer: str, state: str, rule: str | None, limit: int) -> list[dict[str, Any]]:
    """Flags, the newest first; looking is logged."""
    from audit.attention.queue import flags

    with _as_auditor(officer) as connection:
        wanted = None if state == "all" else state
        return [
            _shown(each) for each in flags(connection, _reader(officer), state=wanted, rule=rule, limit=limit)
        ]


def flag_fields(officer: str, flag: str) -> dict[str, Any]:
    """One flag with the numbers of its entries; looking is logged."""
    from audit.attention import queue

    with _as_auditor(officer) as connection:
        found, entries = queue.flag(connection, _id(flag), _reader(officer))
    return {
        **_shown(found),
        "threshold": found.threshold,
        "verdict": found.verdict,
        "judged_by": found.judged_by,
        "reason": found.reason,
        "entry_numbers": list(entries),
    }


def judge_flag(officer: str, flag: str, verdict: str, reason: str) -> dict[str, Any]:
    """Judge a flag, and say what the rule learned."""
    from audit.attention import Verdict, judge
    from audit.attention.errors import VerdictRefused

    if verdict not in list(Verdict):
        raise VerdictRefused("This is no verdict", remedy=f"Choose one of {', '.join(Verdict)}")
    with _as_auditor(officer) as connection:
        judged = judge(connection, _id(flag), Verdict(verdict), by=officer, reason=reason)
    return {
        "flag": flag,
        "verdict": verdict,
        "learned": judged.learned,
        "threshold": judged.threshold,
        "until": judged.until,
    }


def rule_rows() -> list[dict[str, Any]]:
    """Every rule, from which score on it flags, and what came of it."""
    from audit.attention import RULES
    from audit.attention.queue import rule_figures

    with connected(Role.AUDITOR) as (_, connection):
        return [
            {
                "rule": each.rule,
                "flags": RULES[each.rule].summary,
                "from": RULES[each.rule].threshold,
                "measures": RULES[each.rule].measures,
                "open": each.open,
                "suppressed": each.suppressed,
                "misuse": each.misuse,
                "justified": each.justified,
                "unclear": each.unclear,
                "precision": None if each.precision is None else round(each.precision, 2),
                "lessons": each.lessons,
            }
            for each in rule_figures(connection)
        ]


def note_related(
    pseudonym: str, agency: str, relation: str, nik_file: Path, *, officer: str
) -> dict[str, Any]:
    """Note a person whom an officer should not look up; only a key goes into the database."""
    from audit.attention.errors import RelationInvalid
    from audit.attention.related import note
    from audit.erasure.suppression import is_suppressed
    from audit.subjects.vault import Vault
    from participants.registry import find_officer
    from records.suppression import suppression_tag
    from schemas.identifiers import Nik

    nik = Nik.parse(nik_file.read_text(encoding="utf-8").strip())
    with _desk(officer) as (installation, connection):
        if find_officer(connection, agency, pseudonym) is None:
            raise RelationInvalid("No such officer works for this agency", remedy="Check both names")
        with installation.database.connect(Role.STEWARD) as steward:
            if is_suppressed(steward, suppression_tag(installation, nik.value)):
                raise Refused("This person was erased, or is being erased")
        with Vault(installation, Role.STEWARD) as vault:
            person = vault.handle_for("nik", nik.value)
        note(connection, agency, pseudonym, relation, person, by=officer)  # type: ignore[arg-type]
    return {"officer": pseudonym, "agency": agency, "relation": relation, "status": "noted"}


def take_back_related(pseudonym: str, agency: str, *, officer: str) -> dict[str, Any]:
    """Take back everything that was noted about an officer."""
    from audit.attention.related import forget

    with _as_auditor(officer) as connection:
        gone = forget(connection, agency, pseudonym, by=officer)
    return {"officer": pseudonym, "agency": agency, "status": "taken back", "relations": gone}


@contextmanager
def _as_auditor(officer: str) -> "Iterator[Connection[Any]]":
    """One transaction of an auditor."""
    with _desk(officer) as (_, connection):
        yield connection


@contextmanager
def _desk(officer: str) -> "Iterator[tuple[Installation, Connection[Any]]]":
    """The installation, and one transaction of an auditor.

    Raises:
        NotAnAuditor: When nobody of that pseudonym holds the role now.
    """
    from lintas.errors import NotAnAuditor
    from participants.registry import officers
    from participants.roles import OfficerRole

    with connected(Role.AUDITOR) as (installation, connection):
        held = {each.pseudonym for each in officers(connection) if OfficerRole.AUDITOR in each.roles}
        if officer not in held:
            raise NotAnAuditor(officer)
        yield installation, connection


def _reader(officer: str) -> "Reader":
    from audit.subject_view import Reader

    return Reader(actor=officer, reason="command-line", consumer=OPERATOR)


def _id(text: str) -> UUID:
    from audit.attention.errors import FlagUnknown

    try:
        return UUID(text)
    except ValueError:
        raise FlagUnknown("This is no id of a flag", remedy="`lintas audit attention` lists them") from None


def _shown(flag: "Flag") -> dict[str, Any]:
    return {
        "flag": flag.flag_id,
        "rule": flag.rule,
        "who": flag.who or "-",
        "agency": flag.agency or "-",
        "purpose": flag.purpose or "-",
        "says": flag.says,
        "entries": flag.entries,
        "first": flag.first_index,
        "state": flag.state,
        "flagged_at": flag.flagged_at,
    }
