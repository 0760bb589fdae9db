"""The answer as a document: verdict, outcomes, provenance, and what the disclosure rests on."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from consent.decision import Decision
from records.evidence import Evidence
from verification.catalogue import Service
from verification.journey import Question
from verification.judging import Judged
from verification.outcomes import Verdict, described, verdict
from verification.referrals import Referral, plan
from verification.relating import Related

FORMAT = "lintas-answer-1"


@dataclass(frozen=True)
class Composed:
    """An answer before it is signed."""

    answer_id: UUID
    verdict: Verdict
    content: Mapping[str, Any]
    outcomes: Mapping[str, str]
    referral: Referral | None
    case_number: str | None = field(repr=False)


def compose(
    service: Service,
    question: Question,
    judged: Judged,
) -> Composed:
    """Write the answer down; it carries no value of the evidence."""
    decision, outcomes = judged.decision, judged.outcomes
    answer_id, reached, request = uuid4(), verdict(outcomes), decision.request
    referral = plan(service, answer_id, request, outcomes) if reached is Verdict.REFER else None
    provenance = {name: [_provenance(name, service, found)] for name, found in judged.evidence.items()}
    provenance |= {name: _grounds(found) for name, found in judged.related.items()}
    definition = service.definition
    content = {
        "format": FORMAT,
        "answer_id": str(answer_id),
        "service": service.identifier,
        "service_version": definition.version,
        "service_digest": service.digest,
        "title": {"id": definition.title.id, "en": definition.title.en},
        "consumer": request.consumer,
        "system": request.system,
        "purpose": request.purpose,
        "answered_at": moment(request.at),
        "verdict": str(reached),
        "outcomes": [described(outcome, provenance) for outcome in outcomes],
        "decision": _decided(decision),
        "referral": _announced(referral),
        "request": _request_digest(question.request),
        **({"reviews": str(question.reviews)} if question.reviews else {}),
    }
    return Composed(
        answer_id=answer_id,
        verdict=reached,
        content=content,
        outcomes={outcome.identifier: str(outcome.outcome) for outcome in outcomes},
        referral=referral,
        case_number=question.case_number,
    )


@lru_cache(maxsize=1024)
def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds")[:-6] + "Z"


def _provenance(name: str, service: Service, found: Evidence) -> dict[str, Any]:
    title = service.definition.evidence[name].title
    return {
        "evidence": name,
        "title": {"id": title.id, "en": title.en},
        "dataset": found.dataset,
        "source": found.provider,
        "as_of": moment(found.as_of) if found.as_of else None,
        "fresh_until": moment(found.fresh_until) if found.fresh_until else None,
        "contract_version": found.contract_version,
        "relation": found.need.relation,
        "live": found.live,
    }


_RELATIONS = {
    "guardian_of": {"id": "Hubungan pemohon dengan anak", "en": "The applicant's relation to the child"},
    "owner_of": {"id": "Kepemilikan usaha", "en": "Ownership of the business"},
}


def _grounds(found: Related) -> list[dict[str, Any]]:
    """What a relation was looked up in; which of its grounds held is not told."""
    proven = found.evidence.relation
    return [
        {
            "evidence": found.relation,
            "title": _RELATIONS[found.relation],
            "dataset": dataset,
            "source": dataset.partition("/")[0],
            "as_of": moment(proven.as_of) if proven else None,
            "fresh_until": moment(proven.fresh_until) if proven else None,
            "contract_version": None,
            "relation": found.relation,
            "live": False,
        }
        for dataset in found.evidence.datasets
    ]


def _decided(decision: Decision) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "legal_basis": str(decision.legal_basis),
        "legal_instruments": list(decision.legal_instruments),
        "agreements": [reference.as_dict() for reference in decision.agreements],
        "consent": decision.consent.as_dict() if decision.consent else None,
        "fields": list(decision.field_names),
        "retention_days": decision.retention_days,
    }


def _announced(referral: Referral | None) -> dict[str, Any] | None:
    if referral is None:
        return None
    return {
        "referral_id": str(referral.referral_id),
        "owner": referral.owner,
        "due_at": moment(referral.due_at),
        "criteria": list(referral.criteria),
    }


def _request_digest(request: bytes) -> dict[str, str]:
    """Ties the answer to its question; salted, so that the question cannot be guessed from it."""
    salt = secrets.token_bytes(16)
    encoded = base64.urlsafe_b64encode(salt).rstrip(b"=").decode()
    return {"salt": encoded, "sha256": hashlib.sha256(salt + request).hexdigest()}
