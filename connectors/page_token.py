"""What a page token holds, for every kind of source: JSON that names its version and its slice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from connectors.errors import TokenNotOurs
from connectors.source import PageToken

__all__ = ["read_token", "write_token"]

_VERSION = 1
_Progress = TypeVar("_Progress")


def write_token(slice_id: str, held: Mapping[str, Any]) -> PageToken:
    """A token of a slice; what it holds is the source's own business."""
    value = {"v": _VERSION, "s": slice_id, **held}
    return PageToken(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def read_token(
    token: PageToken,
    slice_id: str,
    resume: Callable[[Mapping[str, Any]], _Progress | None],
    *,
    made_for: str = "another slice or by another connector",
) -> _Progress:
    """Read a token of this slice.

    Args:
        token: The token.
        slice_id: The slice.
        resume: Makes progress of what the token holds; None, or an error of reading, when it does not fit.
        made_for: What else it may have been made for, to say so.

    Raises:
        TokenNotOurs: When it is no token of this slice.
    """
    progress = None
    try:
        value = json.loads(token.value)
        if value["v"] == _VERSION and value["s"] == slice_id:
            progress = resume(value)
    except (ValueError, KeyError, TypeError, ArithmeticError):
        progress = None
    if progress is None:
        raise TokenNotOurs(
            "The page token does not belong to this slice",
            why=f"It was made for {made_for}",
            remedy="Begin the batch anew: open another batch instead of resuming this one",
        )
    return progress
