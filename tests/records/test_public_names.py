"""The room's face: exactly these names, each with a branch that says what to do."""

from __future__ import annotations

import records
from foundation import errors
from records import errors as room


def test_the_room_exports_its_errors_and_nothing_else() -> None:
    assert sorted(records.__all__) == sorted(room.__all__)
    assert all(getattr(records, name) is getattr(room, name) for name in records.__all__)


def test_every_error_says_what_to_do_by_its_branch() -> None:
    branches = (
        errors.RetryLater, errors.FixContract, errors.FixSource, errors.Refused, errors.IntegrityBroken,
        errors.FixInstallation,
    )  # fmt: skip
    for name in room.__all__:
        assert issubclass(getattr(room, name), branches), name
        assert name in (room.__doc__ or ""), f"{name} is not drawn in the tree"
