"""Lifting suppressions at the command line: officers by pseudonym, people by file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role, translated
from lintas.access import connected, opened
from lintas.log_view import first_line

if TYPE_CHECKING:
    from audit.erasure.lifting import Lift

__all__ = ["approved", "asked", "lift_rows", "rejected"]


def asked(nik_file: Path, ground: str, *, officer: str) -> Mapping[str, Any]:
    """Ask that the erased person whose NIK a file holds may be taken in again."""
    from audit.erasure.grounds import LiftGround
    from audit.erasure.lifting import request_lift
    from lintas.steward_view import acting_steward
    from records.suppression import suppression_tag
    from schemas.identifiers import Nik

    tag_of = Nik.parse(first_line(nik_file)).value
    with translated(), opened() as installation:
        acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            tag = suppression_tag(installation, tag_of)
            return _shown(request_lift(connection, tag, LiftGround(ground), officer=officer))


def approved(lift: UUID, *, officer: str) -> Mapping[str, Any]:
    """Approve as a second officer; one of the two must be a steward of the operator."""
    from audit.erasure.lifting import approve_lift, lifts
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting = acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            by = next((each.requested_by for each in lifts(connection) if each.lift_id == lift), officer)
            if not acting_steward(installation, by).is_operators:
                acting.for_operator()
            return _shown(approve_lift(connection, lift, officer=officer))


def rejected(lift: UUID, *, officer: str) -> Mapping[str, Any]:
    """Reject a request, or withdraw one's own."""
    from audit.erasure.lifting import reject_lift
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            return _shown(reject_lift(connection, lift, officer=officer))


def lift_rows() -> list[dict[str, Any]]:
    """Every request; those that were decided say no longer whom they were about."""
    from audit.erasure.lifting import lifts

    with connected(Role.STEWARD) as (_, connection):
        return [_shown(each) for each in lifts(connection)]


def _shown(found: "Lift") -> dict[str, Any]:
    return {
        "lift": found.lift_id,
        "state": found.state,
        "ground": str(found.ground),
        "instrument": found.ground.instrument,
        "requested_by": found.requested_by,
        "requested_at": found.requested_at,
        "decided_by": found.decided_by,
        "decided_at": found.decided_at,
    }
