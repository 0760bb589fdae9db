"""How the timestamps of this installation's log are: which authorities stamp, and what hinders them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.timestamps.queue import AuthorityState
    from foundation.settings import Settings

__all__ = ["Timestamping", "timestamping"]


@dataclass(frozen=True)
class Timestamping:
    """The authorities that stamp the log; nobody is asked where the settings name none."""

    authorities: "Sequence[AuthorityState]" = ()
    clock_tolerance: timedelta = timedelta(seconds=60)
    misconfigured: str | None = None

    @property
    def problems(self) -> list[str]:
        """What a person should look at."""
        found = []
        if self.misconfigured is not None:
            found.append(f"no checkpoint is stamped: {self.misconfigured}")
        for each in self.authorities:
            if each.trouble is not None:
                since = f" since {each.failing_since:%Y-%m-%d %H:%M} UTC" if each.failing_since else ""
                waiting = f", {each.waiting:,} checkpoints wait" if each.waiting else ""
                found.append(f"the timestamping authority {each.name}: {each.trouble}{since}{waiting}")
            ahead = each.ahead_seconds or 0.0
            if abs(ahead) > self.clock_tolerance.total_seconds():
                how = "ahead of" if ahead > 0 else "behind"
                found.append(
                    f"the clock of the timestamping authority {each.name} is {abs(ahead):,.0f} s {how} ours:"
                    " look which is wrong"
                )
        return found


def timestamping(connection: "Connection[Any]", settings: "Settings") -> Timestamping:
    """Look once."""
    from audit.timestamps import queue
    from audit.timestamps.authorities import TimestampSettings
    from audit.timestamps.errors import TimestampMisconfigured

    if settings.timestamp_authorities is None:
        return Timestamping()
    try:
        configured = TimestampSettings.load(settings.timestamp_authorities)
    except TimestampMisconfigured as error:
        return Timestamping(queue.states(connection), misconfigured=error.why)
    names = {each.name for each in configured.authorities}
    states = [each for each in queue.states(connection) if each.name in names]
    return Timestamping(states, configured.clock_tolerance)
