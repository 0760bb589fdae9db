"""The services of the catalogue as the command line shows them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.catalogue import Catalogue

__all__ = ["criterion_rows", "service_definition", "service_fields", "service_rows"]


def service_rows() -> list[dict[str, Any]]:
    """Every service."""
    return [
        {
            "service": service.identifier,
            "version": service.definition.version,
            "title": service.definition.title.en,
            "purpose": service.definition.purpose,
            "authority": service.definition.hasCompetentAuthority,
            "registers": sorted(service.fields),
        }
        for service in _catalogue().services.values()
    ]


def criterion_rows(identifier: str) -> list[dict[str, Any]]:
    """The criteria of one service, each with the law it rests on."""
    from verification.documentation import instrument_told

    return [
        {
            "criterion": each.identifier,
            "relation": each.relation,
            "asks": each.title.en,
            "expression": " ".join(each.expression.split()),
            "rests_on": instrument_told(each.legalInstrument),
        }
        for each in _catalogue().service(identifier).definition.holdsRequirement
    ]


def service_fields(identifier: str) -> dict[str, Any]:
    """What one service is for and what it looks at."""
    service = _catalogue().service(identifier)
    definition = service.definition
    looked_at = {dataset: sorted(names) for dataset, names in sorted(service.fields.items())}
    return {
        "service": f"{service.identifier} {definition.version}",
        "title": definition.title.en,
        "purpose": definition.purpose,
        "referred to": f"{definition.referral.owner}, {definition.referral.workingDays} working days",
        "claims": {name: claim.type for name, claim in definition.claims.items()},
        **looked_at,
    }


def service_definition(identifier: str) -> dict[str, Any]:
    """One service as its file says it."""
    definition = _catalogue().service(identifier).definition
    found: dict[str, Any] = definition.model_dump(mode="json", exclude_none=True)
    return found


def _catalogue() -> "Catalogue":
    from foundation.settings import load_settings
    from schemas.contracts import load_contracts
    from verification.catalogue import load_catalogue

    settings = load_settings()
    datasets = {each.id: each.record_type for each in load_contracts(settings.contracts)}
    return load_catalogue(settings.services, datasets)
