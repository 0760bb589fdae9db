"""Erasing persons and keeping their keys at the command line: officers by pseudonym, people by file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role, translated
from foundation.errors import Refused
from lintas.access import connected, opened
from lintas.log_view import first_line

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.erasure.requests import ErasureRequest, LegalHold
    from audit.subjects.subject_keys import SubjectKeys
    from foundation.installation import Installation
    from schemas.identifiers import Nik

__all__ = [
    "Rotated",
    "approve_erasure",
    "carry_out_erasures",
    "hold_rows",
    "hold_subject",
    "key_rows",
    "reject_erasure",
    "release_subject",
    "request_rows",
    "retire_key",
    "rotate_keys",
    "start_erasure",
]


@dataclass(frozen=True)
class Rotated:
    """A rotation of the key-encryption key that has ended."""

    provider: str
    version: int
    rewrapped: int
    continued: bool


def start_erasure(nik_file: Path, ground: str, *, officer: str) -> Mapping[str, Any]:
    """Ask that the person whose NIK a file holds be erased."""
    from audit.erasure.grounds import ErasureGround
    from audit.erasure.requests import request_erasure
    from audit.subjects.vault import Vault
    from lintas.steward_view import acting_steward
    from schemas.identifiers import Nik

    nik = Nik.parse(first_line(nik_file))
    with translated(), opened() as installation, Vault(installation, Role.STEWARD) as vault:
        acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            _refuse_erased(installation, connection, nik)
            keys = vault.handle_for("nik", nik.value)
            found = request_erasure(
                connection, keys, ErasureGround(ground), officer=officer, retention=_retention(installation)
            )
    return _shown(found)


def approve_erasure(request: UUID, *, officer: str) -> Mapping[str, Any]:
    """Approve as a second officer; one of the two must be a steward of the operator, whose log it is."""
    from audit.erasure.requests import approve, find_request
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting = acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            found = find_request(connection, request)
            keys = _require_keys(installation, found)
            connection.rollback()
            if not acting_steward(installation, found.requested_by).is_operators:
                acting.for_operator()
            done = approve(connection, request, keys, officer=officer, retention=_retention(installation))
    return _shown(done)


def reject_erasure(request: UUID, *, officer: str) -> Mapping[str, Any]:
    """Reject a request, or withdraw one's own."""
    from audit.erasure.requests import find_request, reject
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            keys = _keys(installation, find_request(connection, request).subject)
            return _shown(reject(connection, request, keys, officer=officer))


def carry_out_erasures(request: UUID | None, *, officer: str) -> list[dict[str, Any]]:
    """Carry out one erasure, or every approved one; what an earlier run left half done is ended, too."""
    from audit.erasure.erasing import carry_out
    from audit.erasure.requests import ErasureState, requests
    from lintas.steward_view import acting_steward
    from records.suppression import forget_person, suppression_tag
    from verification.forgetting import forget_person as forget_answers

    done = []
    with translated(), opened() as installation:
        acting_steward(installation, officer).for_operator()
        with installation.database.connect(Role.STEWARD) as connection:
            open_ones = requests(connection, open_only=True)
        ready = {ErasureState.APPROVED, ErasureState.ERASING}
        wanted = [request] if request else [each.request_id for each in open_ones if each.state in ready]
        for each in wanted:
            erased = carry_out(
                installation,
                each,
                officer=officer,
                tag_of=partial(suppression_tag, installation),
                forgetters=[forget_person, forget_answers],
                retention=_retention(installation),
            )
            done.append({**_shown(erased.request), "records": erased.records})
    return done


def request_rows() -> list[dict[str, Any]]:
    """Every request; those that ended say no longer whom they were about."""
    from audit.erasure.requests import requests

    with connected(Role.STEWARD) as (_, connection):
        return [_shown(each) for each in requests(connection)]


def hold_subject(nik_file: Path, ground: str, *, officer: str) -> Mapping[str, Any]:
    """Place a legal hold on the data of the person whose NIK a file holds."""
    from audit.erasure.grounds import HoldGround
    from audit.erasure.requests import place_hold
    from audit.subjects.vault import Vault
    from lintas.steward_view import acting_steward
    from schemas.identifiers import Nik

    nik = Nik.parse(first_line(nik_file))
    with translated(), opened() as installation, Vault(installation, Role.STEWARD) as vault:
        acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            _refuse_erased(installation, connection, nik)
            keys = vault.handle_for("nik", nik.value)
            return _held(place_hold(connection, keys, HoldGround(ground), officer=officer))


def release_subject(hold: UUID, *, officer: str) -> Mapping[str, Any]:
    """Release a legal hold, for the agency that placed it."""
    from audit.erasure.requests import agency_of_hold, release_hold, subject_of_hold
    from lintas.steward_view import acting_steward

    with translated(), opened() as installation:
        acting = acting_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            acting.for_agency(agency_of_hold(connection, hold))
            keys = _keys(installation, subject_of_hold(connection, hold))
            return _held(release_hold(connection, hold, officer=officer, subject=keys))


def hold_rows() -> list[dict[str, Any]]:
    """Every legal hold."""
    from audit.erasure.requests import holds

    with connected(Role.STEWARD) as (_, connection):
        return [_held(each) for each in holds(connection)]


def rotate_keys(officer: str, progress: Callable[[int, int], None]) -> Rotated:
    """Rotate the key-encryption key, or end a rotation that was cut short."""
    from audit.key_rotation import rotate
    from lintas.steward_view import acting_steward

    with opened() as installation:
        acting_steward(installation, officer).for_operator()
        done = rotate(installation, actor=officer, progress=progress)
    return Rotated(done.kek.provider, done.kek.version, done.rewrapped, done.continued)


def key_rows() -> list[dict[str, Any]]:
    """By which version of which key-encryption key subjects' keys are wrapped."""
    from audit.key_rotation import keys_in_use

    with opened() as installation:
        return [
            {
                "provider": each.kek.provider,
                "version": each.kek.version,
                "subjects": each.subjects,
                "wraps_now": each.is_current,
            }
            for each in keys_in_use(installation)
        ]


def retire_key(provider: str, version: int, *, officer: str) -> Mapping[str, Any]:
    """Destroy an older version of the key-encryption key."""
    from audit.key_rotation import retire
    from audit.subjects.key_encryption import KekVersion
    from lintas.steward_view import acting_steward

    with opened() as installation:
        acting_steward(installation, officer).for_operator()
        retire(installation, KekVersion(provider, version), actor=officer)
    return {"provider": provider, "version": version, "state": "destroyed"}


def _retention(installation: "Installation") -> timedelta:
    return timedelta(days=installation.settings.erasure_retention_days)


def _require_keys(installation: "Installation", found: "ErasureRequest") -> "SubjectKeys":
    keys = _keys(installation, found.subject)
    if keys is None:
        raise Refused(f"The request is {found.state}", remedy="See `lintas audit erase list`")
    return keys


def _keys(installation: "Installation", subject: Any) -> "SubjectKeys | None":
    from audit.subjects.vault import Vault

    if subject is None:
        return None
    with Vault(installation, Role.STEWARD) as vault:
        return vault.keys_of(subject)


def _refuse_erased(installation: "Installation", connection: "Connection[Any]", nik: "Nik") -> None:
    """Whoever was erased gets no new handle: nothing could take it away again."""
    from audit.erasure.suppression import is_suppressed
    from records.suppression import suppression_tag

    if is_suppressed(connection, suppression_tag(installation, nik.value)):
        raise Refused("This person was erased, or is being erased")


def _shown(found: "ErasureRequest") -> dict[str, Any]:
    return {
        "request": found.request_id,
        "state": str(found.state),
        "ground": str(found.ground),
        "instrument": found.ground.instrument,
        "requested_by": found.requested_by,
        "requested_at": found.requested_at,
        "decided_by": found.decided_by,
        "decided_at": found.decided_at,
        "ended_at": found.ended_at,
    }


def _held(found: "LegalHold") -> dict[str, Any]:
    return {
        "hold": found.hold_id,
        "ground": str(found.ground),
        "instrument": found.ground.instrument,
        "placed_by": found.placed_by,
        "placed_at": found.placed_at,
        "released_by": found.released_by,
        "released_at": found.released_at,
    }
