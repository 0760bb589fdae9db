"""How the witnesses of this installation's log are: who stands behind it, and until when exchanges go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from foundation import clock

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["WitnessSeen", "Witnessing", "witnessing"]


@dataclass(frozen=True)
class WitnessSeen:
    """One witness of the policy, as it last answered."""

    name: str
    tree_size: int
    cosigned_at: datetime | None
    trouble: str | None


@dataclass(frozen=True)
class Witnessing:
    """Who stands behind the log; nobody is asked where there is no policy."""

    witnesses: Sequence[WitnessSeen] = ()
    tree_size: int = 0
    """The largest tree that a quorum has cosigned."""
    independent: int = 0
    quorum_at: datetime | None = None
    exchanges_until: datetime | None = None
    """After this moment no exchange is logged, unless a quorum comes back; None when none is asked."""
    trouble: str | None = None

    @property
    def exchanges_stopped(self) -> bool:
        """Whether exchanges are refused now for want of a quorum."""
        return self.exchanges_until is not None and clock.now() >= self.exchanges_until

    @property
    def problems(self) -> list[str]:
        """What a person should look at, the most pressing first."""
        found = []
        if self.exchanges_stopped:
            found.append("the log has too few witnesses: exchanges are refused")
        elif self.trouble is not None:
            until = f"; exchanges stop at {self.exchanges_until:%H:%M} UTC" if self.exchanges_until else ""
            found.append(f"witnesses: {self.trouble.rstrip('.')}{until}")
        found += [f"the witness {each.name}: {each.trouble}" for each in self.witnesses if each.trouble]
        return found


def witnessing(connection: "Connection[Any]") -> Witnessing:
    """Look once."""
    rows = connection.execute(
        "SELECT name, tree_size, cosigned_at, trouble FROM audit.witnesses ORDER BY name"
    ).fetchall()
    row = connection.execute(
        "SELECT coalesce(c.tree_size, 0), coalesce(c.independent, 0), q.met_at, q.refused_after, q.trouble"
        " FROM audit.quorum q LEFT JOIN LATERAL ("
        "  SELECT tree_size, independent FROM audit.cosigned_checkpoints"
        "  WHERE quorum_met ORDER BY tree_size DESC LIMIT 1) c ON true"
    ).fetchone()
    assert row is not None
    return Witnessing([WitnessSeen(*each) for each in rows], *row)
