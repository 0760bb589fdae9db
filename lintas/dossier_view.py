"""Dossiers as the command line asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from lintas.access import OPERATOR, opened
from lintas.acting import acting_auditor
from lintas.nik_file import nik_in

if TYPE_CHECKING:
    from audit.subjects.subject_keys import SubjectKeys
    from foundation.installation import Installation
    from lintas.dossier import Kind

__all__ = ["Asked", "write"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for on the command line."""

    nik_file: Path | None = None
    exchange: str | None = None
    case_file: Path | None = None
    since: datetime | None = None
    until: datetime | None = None
    asker: str = "auditor"
    language: str = "id"


def write(asked: Asked, to: Path, *, actor: str | None) -> Mapping[str, Any]:
    """Write a dossier; that it was written is itself an entry."""
    from lintas.dossier import Asker, Question, write_dossier
    from lintas.dossier.question import QuestionUnclear
    from lintas.dossier.words import LANGUAGES

    if asked.language not in LANGUAGES or asked.asker not in set(Asker):
        raise QuestionUnclear(
            "A dossier is written in `id` or `en`, for a `citizen` or an `auditor`.",
            remedy="Choose one of each.",
        )
    kind = _kind(asked)
    with opened() as installation:
        with installation.database.connect(Role.AUDITOR) as connection:
            named = acting_auditor(connection, installation.settings, actor)
        question = Question(
            kind=kind,
            asker=Asker(asked.asker),
            language=asked.language,
            subject=_subject(installation, asked.nik_file) if asked.nik_file else None,
            entry=asked.exchange,
            case=asked.case_file.read_text(encoding="utf-8").strip() if asked.case_file else None,
            since=asked.since,
            until=asked.until,
        )
        written = write_dossier(installation, question, to, actor=named, consumer=OPERATOR)
    return {
        "pdf": written.pdf,
        "bundle": written.bundle,
        "entries": written.entries,
        "proven": written.proven,
        "checkpoint_size": written.checkpoint_size,
        "manifest_sha256": written.manifest_hash,
    }


def _kind(asked: Asked) -> "Kind":
    from lintas.dossier import Kind

    if asked.exchange:
        return Kind.EXCHANGE
    if asked.case_file:
        return Kind.CASE
    return Kind.SUBJECT if asked.nik_file else Kind.PERIOD


def _subject(installation: "Installation", file: Path) -> "SubjectKeys":
    from audit.errors import UnknownEntry
    from audit.subjects.vault import Vault

    with Vault(installation, Role.STEWARD) as vault:
        keys = vault.find("nik", nik_in(file))
    if keys is None:
        raise UnknownEntry(
            "No entry of the log names this person.", remedy="Nothing was exchanged about them."
        )
    return keys
