"""Agreements, consents and facts to decide on, small enough to read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from audit.entry import RevisionReference
from audit.subjects.subject_keys import SubjectHandle
from consent.decision import AgreementFact, ConsentFact, ExchangeRequest, Facts, SystemFact
from consent.terms import AgreementRevision, AgreementTerms, payload_hash
from consent.vocabulary import ConsentState, LegalBasis, Mode, Verb

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
SUBJECT = SubjectHandle(UUID("5a8c1f7e-1111-4222-8333-444455556666"))
OTHER_SUBJECT = SubjectHandle(UUID("5a8c1f7e-9999-4222-8333-444455556666"))
OFFICE, REGISTRY, TAX = "diskopukm-mojokerto", "dukcapil-mojokerto", "kpp-mojokerto"
PERSONS, STANDING = f"{REGISTRY}/persons", f"{TAX}/tax-standing"
PURPOSE = "aid-micro-business"


def terms(provider: str = REGISTRY, **changes: Any) -> AgreementTerms:
    datasets = (
        {PERSONS: ("nik", "name", "birth_date")}
        if provider == REGISTRY
        else {f"{provider}/tax-standing": ("npwp", "standing", "tax_year")}
    )
    given: dict[str, Any] = {
        "agreement_id": f"pks-{provider}-1",
        "title": "Pemanfaatan data untuk bantuan usaha mikro",
        "paper_reference": "PKS/12/2026",
        "provider": provider,
        "consumer": OFFICE,
        "controller": provider,
        "purposes": (PURPOSE,),
        "legal_basis": LegalBasis.CONSENT,
        "legal_instrument": "UU 27/2022 Art. 20(2)(a)",
        "datasets": datasets,
        "verbs": (Verb.DISCLOSE,),
        "modes": (Mode.VERIFY,),
        "valid_from": NOW - timedelta(days=30),
        "valid_until": NOW + timedelta(days=335),
        "retention_days": 365,
    }
    return AgreementTerms.model_validate(given | changes)


def agreement(
    provider: str = REGISTRY,
    *,
    quota_left: int | None = None,
    ended_at: datetime | None = None,
    **changes: Any,
) -> AgreementFact:
    agreed = terms(provider, **changes)
    payload = AgreementRevision(terms=agreed).payload()
    reference = RevisionReference(agreed.agreement_id, 1, payload_hash(payload))
    return AgreementFact(reference, agreed, ended_at=ended_at, quota_left=quota_left)


def consent(state: ConsentState = ConsentState.GRANTED, **changes: Any) -> ConsentFact:
    given: dict[str, Any] = {
        "reference": RevisionReference("8d6f2d1e-0000-4000-8000-000000000001", 1, "01" * 32),
        "subject": SUBJECT,
        "consumer": OFFICE,
        "purpose": PURPOSE,
        "state": state,
        "fields": {
            PERSONS: frozenset({"nik", "name", "birth_date"}),
            STANDING: frozenset({"npwp", "standing", "tax_year"}),
        },
        "valid_from": NOW - timedelta(days=1),
    }
    return ConsentFact(**(given | changes))


def request(**changes: Any) -> ExchangeRequest:
    given: dict[str, Any] = {
        "verb": Verb.DISCLOSE,
        "mode": Mode.VERIFY,
        "consumer": OFFICE,
        "system": "palapa-mojo",
        "purpose": PURPOSE,
        "fields": {PERSONS: frozenset({"nik", "birth_date"}), STANDING: frozenset({"standing"})},
        "at": NOW,
        "subject": SUBJECT,
    }
    return ExchangeRequest(**(given | changes))


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "agreements": (agreement(REGISTRY), agreement(TAX)),
        "consent": consent(),
        "agencies": {OFFICE: True, REGISTRY: True, TAX: True},
        "systems": {"palapa-mojo": SystemFact(OFFICE, is_active=True)},
    }
    return Facts(**(given | changes))
