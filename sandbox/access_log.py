"""What a practice agency notes about every request that it answered: when, which dataset, how many records.

One line of JSON a request, in the form that `lintas audit reconcile` reads. No line names a person.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from foundation import clock

__all__ = ["FILE_NAME", "AccessLog"]

FILE_NAME = "access-log.ndjson"


class AccessLog:
    """The access log of one agency, in its own folder; thread-safe.

    Args:
        directory: The agency's folder.
        agency: Whose log it is.
    """

    def __init__(self, directory: Path, agency: str) -> None:
        self.path = directory / FILE_NAME
        self.agency = agency
        self._guard = threading.Lock()

    def note(self, dataset: str, operation: str, records: int | None = None) -> None:
        """Note a request that was answered.

        Args:
            dataset: Name of the dataset within the agency; `*` where the source cannot tell.
            operation: `list`, `lookup` or `session`.
            records: How many records went out, where the source counts them.
        """
        line = {
            "time": _moment(clock.now()),
            "dataset": f"{self.agency}/{dataset}",
            "operation": operation,
            "records": records,
        }
        with self._guard, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, object]]:
        """Everything noted so far."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
