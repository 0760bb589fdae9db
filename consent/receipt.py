"""What the subject is handed: a Kantara 1.1 receipt, an ISO/IEC TS 27560 record, a GovStack Revision.

Receipts name agencies, purposes and fields; the subject appears under the consent's own id only, so a
receipt that is lost gives nobody away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from consent.revision import ConsentRevision
from consent.vocabulary import Channel, ConsentState, Giver

__all__ = ["Controller", "ReceiptContext", "govstack_revision", "iso27560", "kantara"]

_METHODS = {
    Channel.PORTAL: "web portal",
    Channel.COUNTER: "in person at a counter",
    Channel.PAPER: "paper form",
    Channel.TELEPHONE: "telephone",
}


@dataclass(frozen=True, slots=True)
class Controller:
    """The agency that answers for the data, and how to reach its data protection officer."""

    name: str
    contact: str
    email: str
    phone: str
    address: Mapping[str, str]
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptContext:
    """What a receipt says besides the consent itself.

    Attributes:
        controller: Who answers for the data.
        policy_url: Where the privacy policy is read.
        service: The service for which consent was asked, by name.
        termination: When the data is deleted or the consent ends, in words.
        third_party: Agency outside the controller that receives the data, if any.
        specific: Categories of specific personal data (UU 27/2022 Art. 4(2)) among the fields.
    """

    controller: Controller
    policy_url: str
    service: str
    termination: str
    third_party: str | None = None
    specific: frozenset[str] = field(default_factory=frozenset)


def receipt_id(revision: ConsentRevision) -> UUID:
    """A stable id of the receipt of one revision."""
    return uuid5(revision.consent_id, f"receipt:{revision.revision}")


def kantara(revision: ConsentRevision, context: ReceiptContext) -> dict[str, Any]:
    """The consent as a Kantara Consent Receipt 1.1."""
    return {
        "version": "KI-CR-v1.1.0",
        "jurisdiction": "ID",
        "consentTimestamp": int(revision.occurred_at.timestamp()),
        "collectionMethod": _METHODS[revision.channel],
        "consentReceiptID": str(receipt_id(revision)),
        "language": revision.notice.language,
        "piiPrincipalId": str(revision.consent_id),
        "piiControllers": [_kantara_controller(revision, context.controller)],
        "policyUrl": context.policy_url,
        "services": [{"service": context.service, "purposes": [_kantara_purpose(revision, context)]}],
        "sensitive": bool(context.specific),
        "spiCat": sorted(context.specific),
    }


def _kantara_controller(revision: ConsentRevision, controller: Controller) -> dict[str, Any]:
    given: dict[str, Any] = {
        "piiController": controller.name,
        "onBehalf": revision.given_by.kind is Giver.ASSISTING_OFFICER,
        "contact": controller.contact,
        "address": dict(controller.address),
        "email": controller.email,
        "phone": controller.phone,
    }
    return given | ({"piiControllerUrl": controller.url} if controller.url else {})


def _kantara_purpose(revision: ConsentRevision, context: ReceiptContext) -> dict[str, Any]:
    given: dict[str, Any] = {
        "purpose": revision.purpose,
        "consentType": "EXPLICIT" if revision.state is ConsentState.GRANTED else revision.state.value.upper(),
        "purposeCategory": ["Core function"],
        "piiCategory": _field_names(revision),
        "primaryPurpose": True,
        "termination": context.termination,
        "thirdPartyDisclosure": context.third_party is not None,
    }
    return given | ({"thirdPartyName": context.third_party} if context.third_party else {})


def iso27560(revision: ConsentRevision, context: ReceiptContext) -> dict[str, Any]:
    """The consent as a record with the four sections of ISO/IEC TS 27560."""
    given_by = revision.given_by
    return {
        "record_header": {
            "schema_version": "ISO/IEC TS 27560:2023",
            "record_id": str(receipt_id(revision)),
            "pii_principal_id": str(revision.consent_id),
        },
        "pii_processing": {
            "privacy_notice": {
                "version": revision.notice.text_version,
                "sha256": revision.notice.text_hash,
                "policy_url": context.policy_url,
            },
            "language": revision.notice.language,
            "purposes": [
                {
                    "purpose": revision.purpose,
                    "service": context.service,
                    "lawful_basis": "consent",
                    "pii_information": [
                        {"pii_type": name, "sensitive": name in context.specific}
                        for name in _field_names(revision)
                    ],
                    "pii_controllers": [revision.consumer],
                    "collection_method": _METHODS[revision.channel],
                    "retention": context.termination,
                    "jurisdiction": "ID",
                    "recipient_third_parties": [context.third_party] if context.third_party else [],
                }
            ],
        },
        "party_identification": [
            {
                "party_id": revision.consumer,
                "party_role": "controller",
                "party_name": context.controller.name,
                "party_contact": context.controller.contact,
                "party_email": context.controller.email,
                "party_phone": context.controller.phone,
                "party_address": dict(context.controller.address),
            }
        ],
        "event": {
            "event_time": _moment(revision.occurred_at),
            "event_type": "explicit",
            "event_state": revision.state.value,
            "entity": given_by.kind.value,
            "valid_from": _moment(revision.valid_from),
            "valid_until": _moment(revision.valid_until),
            "revision": revision.revision,
            "revision_hash": revision.hash,
            "predecessor_hash": revision.predecessor,
        },
    }


def govstack_revision(revision: ConsentRevision, successor: ConsentRevision | None = None) -> dict[str, Any]:
    """The revision as the generic `Revision` of GovStack Consent 1.1, with SHA-256 in place of SHA-1."""
    given = {
        "id": revision.hash,
        "schemaName": "ConsentRecord",
        "objectId": str(revision.consent_id),
        "signedWithoutObjectId": False,
        "serializedSnapshot": revision.payload().decode(),
        "serializedHash": revision.hash,
        "timestamp": _moment(revision.occurred_at),
        "authorizedByOther": revision.given_by.officer,
        "predecessorHash": revision.predecessor,
        "successor": successor.hash if successor else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _field_names(revision: ConsentRevision) -> list[str]:
    return [f"{dataset}:{name}" for dataset in sorted(revision.fields) for name in revision.fields[dataset]]


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
