"""In which of Airflow's pools a task stands that reads from an agency: no agency is asked by all at once."""

import json
from pathlib import Path

__all__ = ["pool_of", "pools_file"]

DEFAULT = "default_pool"


def pools_file(home: Path) -> Path:
    """The file that lists the pools that exist in Airflow; `lintas airflow-database` writes it."""
    return home / "airflow" / "pools.json"


def pool_of(agency: str) -> str:
    """The agency's own pool, or the default one until it is made: without its pool a task waits for ever."""
    from foundation.settings import load_settings

    try:
        known = json.loads(pools_file(load_settings().home).read_bytes())
    except (OSError, ValueError):
        return DEFAULT
    return agency if agency in known else DEFAULT
