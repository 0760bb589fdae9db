"""What the page of a DAG says in Airflow's user interface."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.contract import Contract, FieldMapping

__all__ = ["dag_page"]


def dag_page(contract: "Contract") -> str:
    """Markdown: what is synced, from whom, how often, under which rules."""
    hours = contract.freshness.total_seconds() / 3600
    fields = "\n".join(f"| `{each.field}` | {_columns(each)} |" for each in contract.mapping)
    return f"""
### {contract.id}

{contract.description}

| | |
|---|---|
| provider | {contract.agency} |
| contract | version {contract.version}, `{contract.hash[:16]}` |
| record type | {contract.record_type.name} v{contract.record_type.major} |
| schedule | `{contract.schedule}` ({contract.timezone}) |
| promised freshness | {hours:g} h |
| snapshot | {contract.snapshot} |
| absence means | {"no" if contract.closed_world else "unknown"} |

A run that finds nothing changed at the source writes nothing but its two entries in the log.
Rejected rows: `lintas quarantine list {contract.id}`.

| field | field at the source |
|---|---|
{fields}
"""


def _columns(mapping: "FieldMapping") -> str:
    return ", ".join(f"`{column}`" for column in mapping.source_columns) or "constant"
