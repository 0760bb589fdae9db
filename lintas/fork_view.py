"""Forks that witnesses have reported, as the command line shows them and takes them off."""

from collections.abc import Mapping
from typing import Any

from foundation.database import Role, translated
from foundation.errors import Refused
from lintas.access import opened

__all__ = ["lifted", "standing"]


def standing() -> list[Mapping[str, Any]]:
    """What stands against signing the log."""
    from audit.publishing.found_forks import FoundForks

    with opened() as installation:
        return list(FoundForks.of(installation).read().values())


def lifted(witness: str, *, officer: str, reason: str) -> dict[str, Any]:
    """Take off what a witness reported; the entry that says so commits first, and is signed with the rest."""
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append
    from audit.publishing.found_forks import FoundForks
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting_steward(installation, officer).for_operator()
        forks = FoundForks.of(installation)
        found = {key: told for key, told in forks.read().items() if told["witness"] == witness}
        if not found:
            raise Refused("No fork of this witness stands", remedy="See `lintas audit lift-fork`")
        with installation.database.connect(Role.STEWARD) as connection:
            for told in found.values():
                details = {"witness": witness, "found_at": told["found_at"], "reason": reason}
                append(connection, EntryDraft(kind=EntryKind.FORK_LIFTED, actor=officer, details=details))
        forks.lift(found)
    return {"witness": witness, "state": "lifted", "next": "the sequencer asks every witness again"}
