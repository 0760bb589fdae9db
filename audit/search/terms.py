"""Terms: what an entry can be searched by, each as one number; a block of entries is a set of numbers.

A term is the name of a facet and a value. Its number is 64 bits of a hash: two terms may share one, so a
block found by numbers is only a candidate, and every entry is compared with the filter itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["term", "terms_of"]

_PLAIN = ("kind", "provider", "consumer", "purpose", "legal_basis", "outcome", "system", "actor")
_SEVERAL = {"datasets": "dataset", "rules": "rule"}


def terms_of(data: Mapping[str, Any]) -> Iterator[int]:
    """The numbers of everything that an entry can be found by."""
    for name in _PLAIN:
        if name in data:
            yield _often(name, data[name])
    yield _often("kind", data["kind"].partition(".")[0])
    for agency in {data.get("provider"), data.get("consumer")} - {None}:
        yield _often("agency", str(agency))
    for listed, name in _SEVERAL.items():
        for value in data.get(listed, ()):
            yield _often(name, value)
    yield from _unique_terms(data)


def _unique_terms(data: Mapping[str, Any]) -> Iterator[int]:
    if "decision" in data:
        yield term("decision", data["decision"])
    for part in ("batch", "details"):
        if "batch_id" in data.get(part, {}):
            yield term("batch", str(data[part]["batch_id"]))


def term(name: str, value: str) -> int:
    """The number of one term; PostgreSQL's `bigint` is signed."""
    digest = hashlib.blake2b(f"{name}\x00{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_often = lru_cache(maxsize=8192)(term)
