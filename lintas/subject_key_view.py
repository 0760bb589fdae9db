"""What a person is given so that nothing about them can be hidden: their key, and the leaves of every batch.

It stands here because it asks of the vault and the log (audit) and of the record versions (records).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lintas.access import OPERATOR, opened
from lintas.acting import acting_keeper
from lintas.nik_file import nik_in

__all__ = ["export_manifests", "give_subject_key"]


def give_subject_key(nik_file: Path, to: Path, *, actor: str | None, reason: str) -> Mapping[str, Any]:
    """Write the key file of the person whose NIK a file holds; that it was given is itself an entry."""
    from audit.entry import EntryDraft, EntryKind
    from audit.errors import UnknownEntry
    from audit.log import append
    from audit.subjects.vault import Vault
    from audit.verifier.lintas_subject import FORMAT
    from foundation.database import Role
    from foundation.files import write_private
    from records.versions import versions_about

    nik = nik_in(nik_file)
    with opened() as installation, Vault(installation, Role.STEWARD) as vault:
        with installation.database.connect(Role.STEWARD) as connection:
            named = acting_keeper(connection, installation.settings, actor)
        keys = vault.find("nik", nik)
        if keys is None:
            raise UnknownEntry(
                "No exchange has ever named this person, so there is no key to give.",
                remedy="Their data is still in batches: ask again after their first exchange.",
            )
        with installation.database.connect(Role.STEWARD) as connection:
            versions = versions_about(connection, keys, nik)
            append(
                connection,
                EntryDraft(
                    kind=EntryKind.AUDIT_KEY_GIVEN,
                    actor=named,
                    consumer=OPERATOR,
                    subject=keys,
                    details={"reason": reason, "records": len(versions)},
                ),
            )
            content = {
                "format": FORMAT,
                "log": installation.settings.log_origin,
                "tag_key": keys.tag_key.hex(),
                "records": [version.as_dict() for version in versions],
            }
            write_private(to, json.dumps(content, indent=1).encode())
    return {"file": to, "records": len(versions), "readable_by": "its owner only"}


def export_manifests(folder: Path, *, actor: str | None) -> Mapping[str, Any]:
    """Write the leaves of every batch beside an exported log; without a salt a leaf says nothing."""
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append
    from foundation.database import Role
    from foundation.files import write_private
    from records.versions import batch_leaves

    batches, leaves = 0, 0
    manifests = folder / "batches"
    with opened() as installation, installation.database.connect(Role.STEWARD) as connection:
        named = acting_keeper(connection, installation.settings, actor)
        manifests.mkdir(parents=True, exist_ok=True)
        for batch, content in batch_leaves(connection):
            write_private(manifests / f"{batch}.leaves", content, 0o644)
            batches, leaves = batches + 1, leaves + len(content) // 32
        details = {"view": "batch manifests", "entries": batches, "reason": "command-line"}
        append(
            connection,
            EntryDraft(kind=EntryKind.AUDIT_EXPORTED, actor=named, consumer=OPERATOR, details=details),
        )
    return {"folder": manifests, "batches": batches, "leaves": leaves}
