"""An agreement from terms in a file to a revision in force: draft, sign at home, publish, end.

Drafting and signing need no bus: each agency does it on a machine of its own, with its own key.
"""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from lintas.access import connected
from lintas.errors import FileUnreadable

if TYPE_CHECKING:
    from consent.agreement import AgreementSignature
    from consent.terms import AgreementRevision

__all__ = ["draft", "end", "publish", "sign_file"]


def draft(terms_file: Path, out: Path, *, after: Path | None) -> dict[str, Any]:
    """Write the exact bytes that both sides sign.

    Args:
        terms_file: The terms, as YAML or JSON.
        out: Where the revision is written.
        after: The revision before, when this one revises an agreement.

    Raises:
        FileUnreadable: When the file is no YAML object.
        AgreementInvalid: With everything that is wrong in the terms.
    """
    import yaml
    from pydantic import ValidationError

    from consent.errors import AgreementInvalid
    from consent.terms import AgreementRevision, AgreementTerms

    try:
        found = yaml.safe_load(terms_file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FileUnreadable(terms_file, type(error).__name__) from None
    try:
        terms = AgreementTerms.model_validate(found)
    except ValidationError as error:
        raise AgreementInvalid.from_validation(error) from None
    revision = _read(after).succeeded_by(terms) if after else AgreementRevision(terms=terms)
    out.write_bytes(revision.payload())
    return _fields(revision) | {"file": out}


def sign_file(revision_file: Path, key_folder: Path, name: str, out: Path) -> dict[str, Any]:
    """Sign a revision with a key from the agency's own key ring."""
    from consent.agreement import sign
    from foundation.keyring import Keyring

    revision = _read(revision_file)
    signature = sign(revision.payload(), Keyring.open(key_folder).current(name))
    document = {"kid": signature.kid, "signature": base64.b64encode(signature.signature).decode()}
    out.write_text(json.dumps(document) + "\n", encoding="ascii")
    return _fields(revision) | {"kid": signature.kid, "file": out}


def publish(
    revision_file: Path, provider_signature: Path, consumer_signature: Path, *, officer: str
) -> dict[str, Any]:
    """Check both signatures against the registered keys and put the revision into force.

    Raises:
        NotASteward: When the officer is no steward.
        NotYourAgency: When the officer works for neither side.
    """
    from consent.agreement import SignedAgreement, publish_revision
    from participants.stewards import steward

    revision = _read(revision_file)
    signed = SignedAgreement(
        revision.payload(), _signature(provider_signature), _signature(consumer_signature)
    )
    with connected(Role.STEWARD) as (_, connection):
        steward(connection, officer).for_agency(revision.terms.provider, revision.terms.consumer)
        reference = publish_revision(connection, signed)
    return _fields(revision) | {"hash": reference.hash, "state": "in force"}


def end(agreement_id: str, *, ended_by: str, reason: str, officer: str) -> dict[str, Any]:
    """End an agreement at once, for the agency that ends it.

    Raises:
        NotASteward: When the officer is no steward.
        NotYourAgency: When the officer works for another agency than the one that ends it.
    """
    from consent.agreement import end_agreement
    from participants.stewards import steward

    with connected(Role.STEWARD) as (_, connection):
        steward(connection, officer).for_agency(ended_by)
        reference = end_agreement(connection, agreement_id, ended_by=ended_by, reason=reason)
    return {"agreement": agreement_id, "revision": reference.revision, "state": "ended"}


def _read(file: Path) -> "AgreementRevision":
    from consent.terms import AgreementRevision

    try:
        payload = file.read_bytes()
    except OSError as error:
        raise FileUnreadable(file, type(error).__name__) from None
    return AgreementRevision.parse(payload)


def _signature(file: Path) -> "AgreementSignature":
    from consent.agreement import AgreementSignature

    try:
        found = json.loads(file.read_text(encoding="ascii"))
        return AgreementSignature(str(found["kid"]), base64.b64decode(found["signature"], validate=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileUnreadable(file, type(error).__name__) from None


def _fields(revision: "AgreementRevision") -> dict[str, Any]:
    terms = revision.terms
    return {
        "agreement": terms.agreement_id,
        "revision": revision.revision,
        "provider": terms.provider,
        "consumer": terms.consumer,
    }
