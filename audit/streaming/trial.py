"""Trying a destination out: one entry that is not in the log goes all the way."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from audit.streaming.delivery import delivery_to
from audit.streaming.destination import Destination
from audit.streaming.logged import LoggedEntry
from foundation import clock

if TYPE_CHECKING:
    from foundation.settings import Settings

__all__ = ["send_trial", "trial_entry"]


def trial_entry(destination: Destination, by: str) -> LoggedEntry:
    """What is sent: an entry that says of itself that it is a trial, under the number 0."""
    return LoggedEntry(
        0,
        {
            "v": 1,
            "id": str(uuid.uuid4()),
            "kind": "stream.changed",
            "time": clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "actor": by,
            "outcome": "trial",
            "details": {"stream": destination.name, "host": destination.address},
        },
    )


def send_trial(destination: Destination, settings: Settings, namespace: str, by: str) -> str:
    """Send a trial, and return its id once the receiver has acknowledged it.

    Raises:
        LintasError: saying why it did not arrive.
    """
    entry = trial_entry(destination, by)
    delivery = delivery_to(destination, settings, namespace)
    try:
        delivery.send([entry], 1)
    finally:
        delivery.close()
    return entry.entry_id
