"""Which contracts have a DAG, and under which name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.contract import Contract

__all__ = ["contracts_to_schedule", "dag_id_of"]


def dag_id_of(dataset: str) -> str:
    """Airflow's name for the sync of a dataset; a slash may not stand in it."""
    return f"sync.{dataset.replace('/', '.')}"


def contracts_to_schedule() -> "list[Contract]":
    """Every sound contract whose data is kept, sorted by dataset id.

    A broken file costs only its own DAG; `lintas contracts check` explains it, as does the parse's log.
    """
    import logging

    from foundation.settings import load_settings
    from schemas.contract import Mode
    from schemas.contracts import load_contracts

    found = load_contracts(load_settings().contracts, collect=True)
    for problem in found.problems:
        logging.getLogger(__name__).warning("no DAG for a broken contract: %s", problem)
    kept = (contract for contract in found if contract.mode is Mode.COPY)
    return sorted(kept, key=lambda contract: contract.id)
