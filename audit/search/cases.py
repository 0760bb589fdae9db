"""Case numbers: found through a keyed index outside the log; no number stands in clear anywhere.

An entry about a case is listed under an HMAC of the number. Whoever reads the database without the
keyring can neither read a number nor test one.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.keyring import Keyring

__all__ = ["case_key"]

_KEY = "case-index"
_CONTEXT = b"lintas/case-index/v1\x00"


def case_key(keyring: Keyring, number: str) -> bytes:
    """The key under which `audit.case_index` lists the entries of a case.

    Spaces around a number and the case of its letters do not matter: people copy numbers by hand.
    """
    key = keyring.get(_KEY, 1).secret  # a rolled key would hide every case
    return hmac.digest(key, _CONTEXT + number.strip().casefold().encode(), "sha256")
