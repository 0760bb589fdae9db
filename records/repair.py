"""Repairing quarantined rows by rule: form only, seen in a preview before anything is written.

A rule writes cells of one source column in another form. Which number, which day, which name it is never
changes: identifiers may lose separators but no digit, and only codes of activities may gain leading zeros.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation.database import Role, translated
from records import quarantine
from records.errors import QuarantineRowGone, RepairNotAllowed
from records.quarantine import OpenedRow
from records.replay import ONLY_THE_PRODUCER, Replayed, identifier_columns, replay
from schemas.judge import RowJudge

if TYPE_CHECKING:
    from foundation.installation import Installation
    from records.context import SyncContext
    from schemas.contract import Contract

__all__ = ["MOST_ROWS", "Repair", "RepairPlan", "RepairRule", "plan", "repair"]

MOST_ROWS = 10_000
"""Rows that one repair looks at."""
_SEPARATORS = re.compile(r"[\s.\-/'\u2019\u00a0_]+")
_SCIENTIFIC = re.compile(r"[0-9][.,]?[0-9]*[eE][+-]?[0-9]+")
_TOKENS = {"dd": r"(?P<d>[0-9]{1,2})", "MM": r"(?P<m>[0-9]{1,2})", "yyyy": r"(?P<y>[0-9]{4})"}


class RepairRule(StrEnum):
    """What a repair does to a cell."""

    STRIP_SEPARATORS = "strip-separators"
    """Take out blanks, points, hyphens, slashes and apostrophes."""
    PAD = "pad"
    """Put zeros before digits until the cell is as long as it should be."""
    DATE_FORM = "date-form"
    """Write a day in the form that the contract reads."""
    UPPER_CASE = "upper-case"
    """Write a code in capital letters."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One rule for one source column.

    Attributes:
        rule: What is done.
        column: The source column.
        length: How long a padded cell is.
        read_as: How the day stands there, as `dd/MM/yyyy`.
        write_as: How the contract reads it.
    """

    rule: RepairRule
    column: str
    length: int | None = None
    read_as: str | None = None
    write_as: str = "yyyy-MM-dd"

    def __str__(self) -> str:
        """The repair as it stands in the log: no value."""
        more = {
            RepairRule.PAD: f" to {self.length}",
            RepairRule.DATE_FORM: f" from {self.read_as} to {self.write_as}",
        }
        return f"{self.rule} {self.column}{more.get(self.rule, '')}"

    def mend(self, cell: Any) -> Any:
        """The cell in its new form, or the same when the rule does not fit it."""
        if not isinstance(cell, str) or not cell.strip():
            return cell
        match self.rule:
            case RepairRule.STRIP_SEPARATORS:
                return cell if _SCIENTIFIC.fullmatch(cell.strip()) else _SEPARATORS.sub("", cell)
            case RepairRule.PAD:
                text = cell.strip()
                return text.zfill(self.length or 0) if re.fullmatch(r"[0-9]+", text) else cell
            case RepairRule.DATE_FORM:
                return self._day(cell)
            case RepairRule.UPPER_CASE:
                return cell.strip().upper()

    def _day(self, cell: str) -> str:
        found = re.fullmatch(_pattern(self.read_as or ""), cell.strip())
        if found is None:
            return cell
        try:
            day = date(int(found["y"]), int(found["m"]), int(found["d"]))
        except ValueError:
            return cell
        written = self.write_as.replace("yyyy", f"{day.year:04d}").replace("MM", f"{day.month:02d}")
        return written.replace("dd", f"{day.day:02d}")


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair would do.

    Attributes:
        looked_at: Open rows looked at.
        changed: Rows whose cell the rule writes anew.
        mended: Rows that would then be accepted.
        left: Why the other changed rows would still be rejected, by `field:rule`.
        left_out: Rows that only the producer can mend.
        corrections: The new cells of the mended rows.
    """

    looked_at: int
    changed: int
    mended: int
    left: Mapping[str, int]
    left_out: int
    corrections: Mapping[int, Mapping[str, Any]] = field(repr=False)


def plan(
    installation: Installation,
    contract: Contract,
    repair: Repair,
    row_ids: Sequence[int] | None = None,
    *,
    actor: str,
    reason: str,
) -> RepairPlan:
    """Say what a repair would do, without doing it. That the rows were opened for it is logged first.

    Args:
        installation: The installation; needs the quarantine's private key.
        contract: The dataset's contract now in force.
        repair: The rule.
        row_ids: The rows; by default every open row of the dataset with trouble in that column.
        actor: Pseudonym of the steward.
        reason: Why, without values.

    Raises:
        RepairNotAllowed: When the rule would change more than form.
        QuarantineRowGone: When a row is missing, resolved, or belongs to another dataset.
    """
    _require_allowed(contract, repair)
    opened = _opened(installation, contract, repair, row_ids, actor=actor, reason=reason)
    judge = RowJudge(contract.mapping)
    changed, left_out, left, corrections = 0, 0, Counter[str](), {}
    for each in opened:
        if ONLY_THE_PRODUCER & set(each.row.rules):
            left_out += 1
            continue
        cell = each.content.get(repair.column)
        mended = repair.mend(cell)
        if mended == cell:
            continue
        changed += 1
        _, errors = judge.judge({**each.content, repair.column: mended})
        left.update({f"{error.field}:{error.rule}" for error in errors})
        if not errors:
            corrections[each.row.row_id] = {repair.column: mended}
    return RepairPlan(len(opened), changed, len(corrections), dict(left.most_common()), left_out, corrections)


def repair(
    context: SyncContext,
    contract: Contract,
    how: Repair,
    row_ids: Sequence[int] | None = None,
    *,
    actor: str,
    reason: str,
) -> tuple[RepairPlan, Replayed | None]:
    """Repair rows and send those that are whole then through the pipeline; the others stay as they are.

    Raises:
        As `plan` and `records.replay.replay`.
    """
    found = plan(context.installation, contract, how, row_ids, actor=actor, reason=reason)
    if not found.corrections:
        return found, None
    done = replay(
        context, contract, sorted(found.corrections), actor=actor, reason=reason,
        corrections=found.corrections, repair=str(how),
    )  # fmt: skip
    return found, done


def _require_allowed(contract: Contract, repair: Repair) -> None:
    problem = _problem(contract, repair)
    if problem:
        raise RepairNotAllowed(
            f"The repair {repair.rule} of the column {repair.column} is not allowed",
            why=problem,
            remedy="What is more than form goes back to the producer: `lintas quarantine return`",
            dataset=contract.id,
        )


def _problem(contract: Contract, repair: Repair) -> str | None:
    if repair.column not in contract.source_columns:
        return f"The contract reads no such column; it reads {', '.join(contract.source_columns)}"
    identifies = identifier_columns(contract).get(repair.column)
    if identifies and repair.rule is not RepairRule.STRIP_SEPARATORS:
        return f"The column holds an identifier ({identifies}); only separators may be taken out of it"
    if repair.rule is RepairRule.PAD and not 1 <= (repair.length or 0) <= 30:
        return "Say how long the cell should be, from 1 to 30"
    if repair.rule is RepairRule.DATE_FORM and not (_is_form(repair.read_as) and _is_form(repair.write_as)):
        return "Write both forms with dd, MM and yyyy, each once, such as dd/MM/yyyy"
    return None


def _is_form(form: str | None) -> bool:
    pieces = re.findall(r"[A-Za-z]+", form or "")
    return sorted(pieces) == ["MM", "dd", "yyyy"]


def _pattern(form: str) -> str:
    return "".join(_TOKENS.get(part, re.escape(part)) for part in re.findall(r"dd|MM|yyyy|.", form))


def _opened(
    installation: Installation,
    contract: Contract,
    repair: Repair,
    row_ids: Sequence[int] | None,
    *,
    actor: str,
    reason: str,
) -> list[OpenedRow]:
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        if row_ids is None:
            listed = quarantine.list_rows(connection, dataset_id=contract.id, limit=MOST_ROWS)
            row_ids = [each.row_id for each in listed if _concerns(each, repair.column)]
        opened = quarantine.open_rows(connection, installation.keyring, row_ids) if row_ids else []
        foreign = [each for each in opened if each.row.dataset_id != contract.id or each.row.state != "open"]
        if foreign:
            raise QuarantineRowGone(
                f"{len(foreign)} of the rows are not open in quarantine of {contract.id}",
                remedy="`lintas quarantine list` shows what is open",
            )
        if opened:
            details = {"rows": len(opened), "reason": reason, "repair": str(repair), "operation": "repair"}
            append(
                connection,
                EntryDraft(
                    kind=EntryKind.QUARANTINE_VIEWED, actor=actor, datasets=(contract.id,), details=details
                ),
            )
    return opened


def _concerns(row: quarantine.QuarantinedRow, column: str) -> bool:
    return any(column in (error.get("source_column") or "").split("+") for error in row.errors)
