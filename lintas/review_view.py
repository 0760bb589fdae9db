"""Quarantine and referrals as the command line shows them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from lintas.access import connected, opened
from lintas.steward_view import acting_steward, datasets_of_rows

if TYPE_CHECKING:
    from verification.referrals import Referral

__all__ = [
    "Verdict",
    "decide_referral",
    "open_quarantined",
    "quarantine_rows",
    "referral_rows",
    "signed_decision",
]


def quarantine_rows(dataset: str | None, limit: int) -> list[dict[str, Any]]:
    """Rejected rows; never their values."""
    from records.quarantine import list_rows

    with connected(Role.STEWARD) as (_, connection):
        found = list_rows(connection, dataset_id=dataset, limit=limit)
    return [
        {
            "id": row.row_id,
            "dataset": row.dataset_id,
            "position": row.position,
            "place": row.place,
            "field": list(row.fields),
            "rule": list(row.rules),
            "message": [error["message"] for error in row.errors],
            "batch": row.batch_id,
            "returned_at": row.returned_at,
        }
        for row in found
    ]


def open_quarantined(row: str, *, officer: str, reason: str) -> dict[str, Any]:
    """One rejected row in clear; opening it is logged before it is given out."""
    from records.quarantine import show

    with opened() as installation:
        acting_steward(installation, officer).for_each(datasets_of_rows(installation, [int(row)]))
        (found,) = show(installation, [int(row)], actor=officer, reason=reason)
    return {
        "id": found.row.row_id,
        "dataset": found.row.dataset_id,
        "place": found.row.place,
        "errors": found.row.errors,
        "row": found.content,
    }


def referral_rows() -> list[dict[str, Any]]:
    """Undecided referrals of every office, the most urgent first."""
    from participants.registry import agencies
    from verification.attending import note_listed
    from verification.referrals import open_referrals

    with connected(Role.API) as (_, connection):
        found = [
            referral
            for agency in agencies(connection)
            for referral in open_referrals(connection, agency.agency_id)
        ]
        note_listed(connection, found, actor="lintas-referrals")
    return [_shown(referral) for referral in found]


@dataclass(frozen=True)
class Verdict:
    """What an officer wants to sign, and with which key."""

    verdict: str
    reason: str
    officer: str
    keys: Path


def decide_referral(referral: str, owner: str, wanted: Verdict) -> dict[str, Any]:
    """Sign a decision with the officer's own key, check it as the API would, and store it with its entry."""
    from audit.subjects.subject_keys import SubjectHandle
    from audit.subjects.vault import Vault
    from verification import officer_decision, referrals

    with connected(Role.API) as (installation, connection), Vault(installation, Role.API) as vault:
        found = referrals.find(connection, UUID(referral), owner, locked=True)
        signed = signed_decision(found, wanted)
        decision = officer_decision.check(
            connection, signed, referral_id=found.referral_id, answer_id=found.answer_id, owner=owner
        )
        subject = vault.keys_of(SubjectHandle(found.subject))
        assert subject is not None
        promise = referrals.decide_referral(connection, found, decision, subject)
    decided = {"referral": referral, "verdict": wanted.verdict, "officer": decision.officer}
    return {**decided, "entry": promise.entry_id}


def signed_decision(referral: "Referral", wanted: Verdict) -> str:
    """The officer's compact JWS about exactly this referral; the key stays in the office's key ring."""
    import orjson
    from joserfc import jws
    from joserfc.jwk import OKPKey
    from joserfc.jws import JWSRegistry

    from foundation import clock
    from foundation.keyring import Keyring
    from verification import officer_decision

    key = Keyring.open(wanted.keys).current(wanted.officer)
    content = {
        "format": officer_decision.FORMAT,
        "referral_id": str(referral.referral_id),
        "answer_id": str(referral.answer_id),
        "verdict": wanted.verdict,
        "reason": wanted.reason,
        "officer": wanted.officer,
        "decided_at": clock.now().isoformat(),
    }
    header = {"alg": "Ed25519", "kid": key.kid, "typ": officer_decision.TOKEN_TYPE}
    registry = JWSRegistry(algorithms=["Ed25519"])
    private_key = OKPKey.import_key(key.private_key)
    return jws.serialize_compact(header, orjson.dumps(content), private_key, registry=registry)


def _shown(referral: "Referral") -> dict[str, Any]:
    return {
        "referral_id": referral.referral_id,
        "service": referral.service,
        "owner": referral.owner,
        "state": str(referral.state),
        "criteria": list(referral.criteria),
        "opened_at": referral.opened_at,
        "due_at": referral.due_at,
    }
