"""Checking the whole copy against the log: every line, every checkpoint, and that nothing lies between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit.checkpoints.keys import log_verifier_keys
from audit.sink.comparing import Comparison
from audit.sink.errors import SinkUnwritable
from audit.sink.segments import Segment, segments_in
from foundation.database import Role
from foundation.errors import FixInstallation

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["SinkReport", "verify_sink"]

_MOST_FINDINGS = 100


@dataclass(slots=True)
class SinkReport:
    """What was found in the copy."""

    segments: int = 0
    first: int = 0
    """The first entry that it holds: those before were pruned when it was begun."""
    covered: int = 0
    """It holds every entry before this one."""
    tree_size: int = 0
    checkpoints: int = 0
    cut: int = 0
    """Lines that a crash or a full disk cut short; the next segment begins with them."""
    findings: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether the copy and the log agree."""
        return not self.findings

    @property
    def behind(self) -> int:
        """Entries of the log that the copy does not hold yet."""
        return max(0, self.tree_size - self.covered)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for programs."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"intact": self.intact, **found, "behind": self.behind}


def verify_sink(installation: Installation) -> SinkReport:
    """Read the whole copy, and compare it with the log in the database.

    Raises:
        FixInstallation: when no copy is kept.
        SinkUnwritable: when the copy cannot be read.
    """
    directory = installation.settings.log_sink
    if directory is None:
        raise FixInstallation(
            "No copy of the log is kept.", remedy="Set LINTAS_LOG_SINK to a folder in another failure domain."
        )
    keys = log_verifier_keys(installation)
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        comparison = Comparison(connection, keys)
        try:
            found = segments_in(directory)
            report = SinkReport(segments=len(found), tree_size=comparison.size)
            report.first = report.covered = found[0].first if found else 0
            for segment in found:
                _read(segment, installation.settings.log_origin, comparison, report)
        except OSError as error:
            raise SinkUnwritable(
                "The copy of the log cannot be read.",
                why=f"{error.strerror}.",
                remedy="Look at the disk behind LINTAS_LOG_SINK.",
            ) from error
        known = connection.execute("SELECT kept FROM audit.sink WHERE directory = %s", (str(directory),))
        kept = max((int(row[0]) for row in known), default=0)
    if found and report.covered < kept:
        report.findings.append(
            f"the copy ends before entry {report.covered}, but {kept} entries stood in it: lines were lost"
        )
    if not found and comparison.size:
        report.findings.append("the folder holds no segment: is the disk mounted?")
    return report


def _read(segment: Segment, origin: str, comparison: Comparison, report: SinkReport) -> None:
    for line in segment.lines(origin):
        problem = comparison.problem(line)
        if line.index is None:
            report.checkpoints += 1
        elif line.index > report.covered:
            problem = problem or f"the entries from {report.covered} to before {line.index} are missing"
            report.covered = line.index + 1
        else:
            report.covered = max(report.covered, line.index + 1)
        if problem is not None and len(report.findings) < _MOST_FINDINGS:
            report.findings.append(f"{segment.path.name}: {problem}")
    report.cut += bool(segment.torn)
