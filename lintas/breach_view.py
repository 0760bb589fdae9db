"""Whom a breach concerns, as the command line asks it, and the drafts of the notice."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lintas.access import OPERATOR, opened
from lintas.acting import acting_auditor

if TYPE_CHECKING:
    from audit.breach import Breach, BreachQuestion

__all__ = ["ask"]


def ask(
    question: "BreachQuestion", *, discovered_at: datetime | None, to: Path | None, actor: str | None
) -> Mapping[str, Any]:
    """Ask the log, and write the drafts into a folder when one is given."""
    from audit.breach import NOTICE_WITHIN, affected_by
    from foundation import clock
    from foundation.database import Role, translated

    with opened() as installation, translated():
        now = clock.now()
        discovered = discovered_at or now
        due = discovered + NOTICE_WITHIN
        with installation.database.connect(Role.AUDITOR) as connection:
            named = acting_auditor(connection, installation.settings, actor)
            breach = affected_by(connection, question)
            _log(connection, question, breach, discovered, due, actor=named)
    answer = {
        "subjects": len(breach.subjects),
        "exchanges": len(breach.entries),
        "first": breach.first,
        "last": breach.last,
        "fields": dict(sorted(breach.fields.items())),
        "receivers": dict(sorted(breach.receivers.items())),
        "systems": dict(sorted(breach.systems.items())),
        "records_in_batches": dict(sorted(breach.batch_records.items())),
        "discovered_at": discovered,
        "notice_due_at": due,
        "hours_left": round((due - now).total_seconds() / 3600, 1),
        "handles": breach.subjects,
    }
    if to is not None:
        answer["drafts"] = _write(breach, answer, discovered, due, to)
    return answer


def _write(
    breach: "Breach", answer: Mapping[str, Any], discovered: datetime, due: datetime, to: Path
) -> list[str]:
    import json

    from foundation.files import make_private_directory, write_private
    from lintas.breach_notice import notices

    make_private_directory(to)
    names = {"id": "pemberitahuan.md", "en": "notice.md"}
    for language, text in notices(breach, discovered, due).items():
        write_private(to / names[language], text.encode())
    affected = {**answer, "entries": [str(each) for each in breach.entries]}
    write_private(to / "affected.json", json.dumps(affected, indent=1, default=str).encode())
    return sorted(str(to / name) for name in (*names.values(), "affected.json"))


def _log(
    connection: Any,
    question: "BreachQuestion",
    breach: "Breach",
    discovered: datetime,
    due: datetime,
    *,
    actor: str,
) -> None:
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append

    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_BREACH,
            actor=actor,
            consumer=OPERATOR,
            datasets=tuple(name.partition(":")[0] for name in question.datasets),
            details={
                "since": question.since,
                "until": question.until,
                "filter": question.filters(),
                "discovered_at": discovered,
                "due_at": due,
                "exchanges": len(breach.entries),
                "affected": len(breach.subjects),
            },
        ),
    )
