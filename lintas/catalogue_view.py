"""Contracts, agreements, agencies and keys as the command line shows them."""

from typing import Any

from foundation.database import Role
from lintas.access import connected, opened

__all__ = [
    "agency_rows",
    "agreement_rows",
    "connection_steps",
    "contract_problems",
    "contract_rows",
    "key_rows",
    "matrix_rows",
    "officer_rows",
    "publish_one",
]


def contract_rows() -> list[dict[str, Any]]:
    """Every sound contract."""
    from foundation.settings import load_settings
    from schemas.contracts import load_contracts

    return [
        {
            "dataset": contract.id,
            "version": contract.version,
            "record_type": f"{contract.record_type.name} v{contract.record_type.major}",
            "schedule": contract.schedule,
            "freshness_hours": contract.freshness.total_seconds() / 3600,
            "fields": list(contract.fields),
            "system": contract.server.system_id,
            "hash": contract.hash,
        }
        for contract in load_contracts(load_settings().contracts, collect=True)
    ]


def contract_problems() -> list[dict[str, Any]]:
    """Everything that is wrong in any contract file, its connector's settings included."""
    from connectors.contract_check import setting_problems
    from foundation.settings import load_settings
    from schemas.contracts import load_contracts

    found = load_contracts(
        load_settings().contracts,
        collect=True,
        inspect=lambda contract: setting_problems(
            contract.server.kind, contract.server.config, contract.source_columns
        ),
    ).problems
    return [{name: getattr(each, name) for name in each.__dataclass_fields__} for each in found]


def connection_steps(dataset: str) -> list[dict[str, Any]]:
    """What a check of the way to a source found, step by step."""
    from contextlib import closing

    from records.context import SyncContext, registered_source
    from schemas.contracts import load_contracts

    with opened() as installation:
        contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
        with closing(registered_source(SyncContext(installation), contract)) as source:
            return [
                {"name": step.name, "ok": step.ok, "detail": step.detail, "remedy": step.remedy}
                for step in source.check()
            ]


def publish_one(dataset: str) -> dict[str, Any]:
    """Put one contract into force."""
    from records.tables import publish_contracts
    from schemas.contracts import load_contracts

    with opened() as installation:
        contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
        changed = publish_contracts(installation, [contract])
    state = "published" if changed else "was in force already"
    return {"dataset": contract.id, "version": contract.version, "hash": contract.hash, "state": state}


def agreement_rows() -> list[dict[str, Any]]:
    """The last revision of every agreement that is in force now."""
    from consent.agreement import agreements
    from foundation import clock

    with connected(Role.STEWARD) as (_, connection):
        found = agreements(connection)
    moment = clock.now()
    return [
        {
            "agreement": stored.terms.agreement_id,
            "revision": stored.signed.reference.revision,
            "provider": stored.terms.provider,
            "consumer": stored.terms.consumer,
            "purposes": list(stored.terms.purposes),
            "legal_basis": str(stored.terms.legal_basis),
            "legal_instrument": stored.terms.legal_instrument,
            "verbs": [str(verb) for verb in stored.terms.verbs],
            "datasets": {dataset: list(fields) for dataset, fields in stored.terms.datasets.items()},
            "valid_until": stored.terms.valid_until,
            "hash": stored.signed.reference.hash,
        }
        for stored in found
        if stored.terms.covers_moment(moment)
    ]


def key_rows() -> list[dict[str, Any]]:
    """Every public key that is valid now."""
    from participants.keys import keys_of
    from participants.registry import agencies, officers, systems

    with connected(Role.STEWARD) as (installation, connection):
        owners = [each.agency_id for each in agencies(connection)]
        owners += [each.system_id for each in systems(connection)]
        owners += [each.officer_id for each in officers(connection)]
        owners.append(installation.settings.log_origin)
        records = [record for owner in dict.fromkeys(owners) for record in keys_of(connection, owner)]
    return [
        {
            "owner": f"{record.owner_kind} {record.owner_id}",
            "use": record.use,
            "algorithm": record.algorithm,
            "fingerprint": record.fingerprint,
            "kid": record.kid,
            "valid_from": record.valid_from,
            "valid_to": record.valid_to,
            "vouched_by": record.vouched_by,
        }
        for record in records
    ]


def matrix_rows() -> list[dict[str, Any]]:
    """Who may see what, by simulated decisions."""
    from consent.matrix import matrix

    with connected(Role.STEWARD) as (_, connection):
        return [cell.as_dict() for cell in matrix(connection)]


def agency_rows() -> list[dict[str, Any]]:
    """The agencies and their systems."""
    from participants.registry import agencies, systems

    with connected(Role.STEWARD) as (_, connection):
        return [
            {
                "agency": agency.agency_id,
                "name": agency.name,
                "kind": agency.kind,
                "systems": [system.system_id for system in systems(connection, agency.agency_id)],
            }
            for agency in agencies(connection)
        ]


def officer_rows() -> list[dict[str, Any]]:
    """The officers, by pseudonym, with the roles they hold now."""
    from participants.registry import officers

    with connected(Role.STEWARD) as (_, connection):
        return [
            {"pseudonym": each.pseudonym, "agency": each.agency_id, "roles": sorted(map(str, each.roles))}
            for each in officers(connection)
        ]
