"""The log as the command line shows it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role, translated
from lintas.access import OPERATOR, connected
from lintas.acting import acting_auditor

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.subject_view import Reader
    from foundation.installation import Installation

__all__ = [
    "exchanges_about",
    "export_log",
    "first_line",
    "latest_entries",
    "one_entry",
]


def one_entry(entry: str, actor: str | None = None) -> Mapping[str, Any]:
    """One entry by id or number; looking is logged."""
    from audit.subject_view import show_entry

    with connected(Role.AUDITOR) as (installation, connection):
        wanted = int(entry) if entry.isdecimal() else UUID(entry)
        found = show_entry(connection, wanted, _reader(installation, connection, actor))
    return {"number": found.index, **found.entry}


def latest_entries(limit: int, actor: str | None = None) -> list[dict[str, Any]]:
    """The newest entries; looking is logged."""
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append

    with translated(), connected(Role.AUDITOR) as (installation, connection):
        named = acting_auditor(connection, installation.settings, actor)
        rows = connection.execute(
            "SELECT entry_index, entry_id, occurred_at, kind, provider, consumer, purpose, outcome"
            " FROM audit.entries ORDER BY entry_index DESC LIMIT %s",
            [limit],
        ).fetchall()
        details = {"view": "latest", "entries": len(rows), "reason": "command line"}
        append(connection, EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor=named, details=details))
    names = ("number", "entry_id", "occurred_at", "kind", "provider", "consumer", "purpose", "outcome")
    return [dict(zip(names, row, strict=True)) for row in rows]


def exchanges_about(nik_file: Path, actor: str | None = None) -> list[dict[str, Any]]:
    """Who used the data of the person whose NIK a file holds; looking is logged."""
    from audit.subject_view import exchanges_of
    from audit.subjects.vault import Vault
    from schemas.identifiers import Nik

    nik = Nik.parse(first_line(nik_file))
    with (
        translated(),
        connected(Role.AUDITOR) as (installation, connection),
        Vault(installation, Role.STEWARD) as vault,
    ):
        reader = _reader(installation, connection, actor)
        keys = vault.find("nik", nik.value)
        if keys is None:
            return []
        found = exchanges_of(connection, keys, reader)
    return [
        {
            "number": each.index,
            "occurred_at": each.entry.get("time"),
            "consumer": each.entry.get("consumer"),
            "purpose": each.entry.get("purpose"),
            "fields": each.entry.get("fields"),
            "outcome": each.entry.get("outcome"),
            "kind": each.entry.get("kind"),
            "entry_id": str(each.entry_id),
        }
        for each in found
    ]


def export_log(folder: Path, actor: str | None = None) -> Mapping[str, Any]:
    """Write the public part of the log into a folder, with the log's verifier keys beside it."""
    from audit.checkpoints.keys import log_verifier_keys
    from audit.publishing import export

    with connected(Role.AUDITOR) as (installation, connection):
        report = export.export_log(connection, folder, _reader(installation, connection, actor))
        keys = "".join(f"{key}\n" for key in log_verifier_keys(installation))
    (folder / "keys").write_text(keys, encoding="utf-8")
    return {
        "folder": report.directory,
        "entries": report.tree_size,
        "tiles": report.tiles,
        "checkpoints": report.checkpoints,
        "timestamps": report.timestamps,
        "check_with": f"python audit/verifier/lintas_verify.py log {folder} --keys {folder}/keys",
    }


def _reader(installation: "Installation", connection: "Connection[Any]", actor: str | None) -> "Reader":
    from audit.subject_view import Reader

    named = acting_auditor(connection, installation.settings, actor)
    return Reader(actor=named, reason="command-line", consumer=OPERATOR)


def first_line(path: Path) -> str:
    """First line of a file, or of standard input: for what must not stand on a command line."""
    text = sys.stdin.readline() if str(path) == "-" else path.read_text(encoding="utf-8")
    return (text.splitlines() or [""])[0].strip()
