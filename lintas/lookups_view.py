"""Live look-ups as the command line shows them."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from foundation.database import Role, translated
from lintas.access import connected

__all__ = ["unfinished_rows"]


def unfinished_rows(days: int, limit: int) -> list[dict[str, Any]]:
    """Look-ups that were begun and whose end is not on record; nothing personal is in them."""
    from verification.unfinished import unfinished

    with connected(Role.STEWARD) as (_, connection), translated():
        return [asdict(each) for each in unfinished(connection, back=timedelta(days=days), limit=limit)]
