"""Forgetting an erased person: whatever leads from them to answers goes, and what is sealed stays sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.database import Role, translated

if TYPE_CHECKING:
    from audit.erasure.erasing import Forgotten
    from foundation.installation import Installation

__all__ = ["forget_person"]


def forget_person(installation: Installation, person: Forgotten) -> int:
    """Remove watches, reviews, signals and idempotency keys; answers stay, sealed under a key that goes.

    Returns:
        0, for no records are kept here.
    """
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        connection.execute(
            "SELECT verification.forget_person(%s, %s, %s)", [person.request_id, person.handle, person.tag]
        )
    return 0
