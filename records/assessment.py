"""Assessing a staged batch: duplicates, budgets, closings, rules between fields and registers, quality rules.

Everything is counted by SQL over the whole batch. Keys that occur twice are quarantined first, every row
of them; then the rest is judged as it would be published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from foundation import clock
from foundation.keyring import Keyring
from records import ledger, quarantine
from records.batches import Batch, BatchKind
from records.findings import Assessment, Finding
from records.ledger import LedgerTotals
from records.merge import Closings
from records.quarantine import Rejected
from records.references import asked_by, references_of, resolve
from records.staging import STAGING_COLUMNS, Staging
from schemas.quality import Metric

if TYPE_CHECKING:
    from schemas.contract import Contract

__all__ = ["DUPLICATE_KEY", "findings_of_batch", "flag", "load", "quarantine_duplicates", "store"]

DUPLICATE_KEY = "duplicate-key"
_SNAPSHOT_CLOSINGS = "close-ratio"


class DuplicateKey:
    """The one reason that only the whole batch can show."""

    source_column = None
    rule = DUPLICATE_KEY
    message = "Another row of the batch has the same key."
    remedy = "Ask the producer which row is right; none of them was published."

    def __init__(self, field: str) -> None:
        self.field = field


def quarantine_duplicates(connection: psycopg.Connection[Any], keyring: Keyring, batch: Batch) -> int:
    """Move every row whose key occurs more than once from staging to quarantine; how many there were."""
    contract, staging = batch.contract, batch.staging
    rows = staging.withdraw_duplicates(
        connection, by_period=not _one_row_per_key(contract), latest_by=contract.latest_by
    )
    if not rows:
        return 0
    slice_ids = [each.slice_id for each in batch.slices]
    ledger.withdraw(
        connection, batch.batch_id, ((slice_ids[row["_slice"]], row["_page"], row["_hash"]) for row in rows)
    )
    errors = [DuplicateKey(name) for name in contract.source_key]
    subject = contract.subject_field
    pages: dict[tuple[int, int], list[Rejected]] = {}
    for row in rows:
        content = {
            name: value for name, value in row.items() if name not in STAGING_COLUMNS and name != "_hash"
        }
        named = (str(content[subject]),) if subject and content[subject] is not None else ()
        pages.setdefault((row["_slice"], row["_page"]), []).append(
            Rejected(row["position"], errors, {"canonical": content}, named, row["source_key"])
        )
    for (slice_no, page_no), rejected in sorted(pages.items()):
        quarantine.store(
            connection, keyring, batch, slice_ids[slice_no], page_no, rejected=rejected, repeat=True
        )
    return len(rows)


def findings_of_batch(
    connection: psycopg.Connection[Any],
    batch: Batch,
    totals: LedgerTotals,
    closings: Closings,
) -> list[Finding]:
    """Every finding but those of Great Expectations."""
    contract, staging = batch.contract, batch.staging
    found = [*_budgets(batch, totals), _closing(contract, closings)]
    found.append(_duplicates(connection, batch, totals))
    found += _record_rules(connection, contract, staging)
    found += _references(connection, contract, staging)
    return found


def store(connection: psycopg.Connection[Any], batch: Batch, assessment: Assessment) -> None:
    """Keep the outcome and the score of each rule."""
    now = clock.now()
    connection.execute(
        "INSERT INTO quality.assessment (batch_id, dataset_id, outcome, findings, assessed_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (batch_id) DO UPDATE SET"
        " (outcome, findings, assessed_at) = (excluded.outcome, excluded.findings, excluded.assessed_at)",
        [
            batch.batch_id, batch.dataset_id, assessment.verdict,
            json.dumps([finding.as_dict() for finding in assessment.findings]), now,
        ],
    )  # fmt: skip
    connection.execute("DELETE FROM quality.score WHERE batch_id = %s", [batch.batch_id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO quality.score (batch_id, dataset_id, rule, dimension, severity, checked,"
            " failed, passed,"
            " assessed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    batch.batch_id, batch.dataset_id, each.rule, each.dimension, each.severity, each.checked,
                    each.failed, each.passed, now,
                )
                for each in assessment.findings
            ],
        )  # fmt: skip


def load(connection: psycopg.Connection[Any], batch: Batch) -> Assessment | None:
    """The stored assessment of a batch."""
    row = connection.execute(
        "SELECT findings FROM quality.assessment WHERE batch_id = %s", [batch.batch_id]
    ).fetchone()
    return None if row is None else Assessment.of(Finding(**each) for each in row[0])


def flag(connection: psycopg.Connection[Any], batch: Batch) -> int:
    """Flag the published records that break a warning, and take flags off those that no longer do."""
    contract, staging = batch.contract, batch.staging
    flagged = 0
    found = load(connection, batch)
    broken = set(found.broken_rules) if found else set()
    standing = {
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT rule FROM quality.flag WHERE dataset_id = %s", [contract.id]
        )
    }
    for name, condition in _conditions(connection, contract):
        if name not in broken | standing:
            continue
        given = {"dataset": contract.id, "rule": name, "batch": batch.batch_id, "now": clock.now()}
        query = (
            "WITH broken AS MATERIALIZED (SELECT source_key, valid_from FROM {judged} s WHERE NOT"  # noqa: S608
            " _deleted AND "
            + condition
            + "), named AS (SELECT t.record_id FROM broken JOIN {current} t ON t.dataset = %(dataset)s"
            " AND t.source_key = broken.source_key AND t.valid_from = broken.valid_from), lifted AS ("
            "DELETE FROM quality.flag f WHERE f.dataset_id = %(dataset)s AND f.rule = %(rule)s"
            " AND f.record_id NOT IN (SELECT record_id FROM named) AND (NOT EXISTS"
            " (SELECT FROM {current} t WHERE t.record_id = f.record_id) OR EXISTS (SELECT FROM {current} t"
            " JOIN {staging} s ON s.source_key = t.source_key AND s.valid_from = t.valid_from"
            " WHERE t.record_id = f.record_id)))"
            " INSERT INTO quality.flag (record_id, rule, dataset_id, batch_id, flagged_at)"
            " SELECT record_id, %(rule)s, %(dataset)s, %(batch)s, %(now)s FROM named"
            " ON CONFLICT (record_id, rule) DO NOTHING"
        )
        flagged += connection.execute(_composed(query, staging), given).rowcount
    return flagged


def _budgets(batch: Batch, totals: LedgerTotals) -> Iterator[Finding]:
    rows, rejected, budget = totals.read, totals.rejected, batch.contract.error_budget
    only_changes = batch.kind is BatchKind.INCREMENTAL
    exceeded = budget.batch_exceeded(rejected=rejected, rows=rows, only_changes=only_changes)
    unusable = budget.nothing_usable(accepted=totals.accepted, rejected=rejected, only_changes=only_changes)
    if batch.kind is not BatchKind.REPLAY:  # a replay is made of rows that were rejected before
        yield Finding(
            rule="error-budget",
            dimension="conformity",
            severity="error",
            checked=rows,
            failed=rejected,
            passed=not exceeded,
            description=f"At most {budget.batch:.1%} of the rows of a batch are quarantined.",
        )
    if rows:
        yield Finding(
            rule="nothing-usable",
            dimension="conformity",
            severity="reject",
            checked=rows,
            failed=rejected,
            passed=not unusable,
            description="At least one row of the batch can be used.",
        )


def _closing(contract: Contract, closings: Closings) -> Finding:
    return Finding(
        rule=_SNAPSHOT_CLOSINGS,
        dimension="coverage",
        severity="error",
        checked=closings.open_records,
        failed=closings.candidates,
        passed=closings.share <= contract.max_close_ratio,
        description=f"A batch closes at most {contract.max_close_ratio:.1%} of the open records.",
    )


def _duplicates(connection: psycopg.Connection[Any], batch: Batch, totals: LedgerTotals) -> Finding:
    row = connection.execute(
        "SELECT count(*) FROM quality.quarantine_row WHERE batch_id = %s AND rules = ARRAY[%s]",
        [batch.batch_id, DUPLICATE_KEY],
    ).fetchone()
    withdrawn = row[0] if row else 0
    return Finding(
        rule=DUPLICATE_KEY,
        dimension="uniqueness",
        severity="warning",
        checked=totals.accepted + withdrawn,
        failed=withdrawn,
        passed=withdrawn == 0,
        description="A key occurs once in a batch; where it does not, every row of it is quarantined.",
    )


def _one_row_per_key(contract: Contract) -> bool:
    """Whether the contract allows a key once only, whatever its period of validity."""
    key = set(contract.source_key)
    return any(
        rule.metric is Metric.DUPLICATE_VALUES and set(rule.fields) == key for rule in contract.quality
    )


def _record_rules(
    connection: psycopg.Connection[Any], contract: Contract, staging: Staging
) -> Iterator[Finding]:
    rules = contract.record_type.rules
    if not rules:
        return
    counts = ", ".join(f"count(*) FILTER (WHERE {_escaped(rule.violated_sql)})" for rule in rules)
    row = connection.execute(
        _composed(f"SELECT count(*), {counts} FROM {{judged}} WHERE NOT _deleted", staging),  # noqa: S608
        {},
    ).fetchone()
    assert row is not None
    for rule, failed in zip(rules, row[1:], strict=True):
        yield Finding(rule.name, "consistency", rule.severity, row[0], failed, failed == 0, rule.description)


def _references(
    connection: psycopg.Connection[Any], contract: Contract, staging: Staging
) -> Iterator[Finding]:
    for each in resolve(connection, contract, references_of(contract)):
        reference, checked, failed = each.reference, 0, 0
        if not each.skipped:
            row = connection.execute(
                _composed(
                    "SELECT (SELECT count(*) FROM {judged} WHERE NOT _deleted),"  # noqa: S608
                    " (SELECT count(*) FROM {judged} s WHERE NOT _deleted AND "
                    f"{_escaped(each.condition)})",
                    staging,
                ),
                {},
            ).fetchone()
            assert row is not None
            checked, failed = row
        yield Finding(
            rule=reference.rule, dimension="consistency", severity="warning", checked=checked, failed=failed,
            passed=failed == 0, description=reference.description, skipped=each.skipped,
        )  # fmt: skip


def _conditions(connection: psycopg.Connection[Any], contract: Contract) -> Iterable[tuple[str, str]]:
    """What flags a record, over its staged row `s`: rules of its type, and references to other datasets."""
    for rule in contract.record_type.rules:
        yield rule.name, _escaped(rule.violated_sql)
    for each in resolve(connection, contract, (*references_of(contract), *asked_by(contract))):
        if not each.skipped:
            yield each.reference.rule, _escaped(each.condition)


def _escaped(condition: str) -> str:
    return condition.replace("%", "%%").replace("{", "{{").replace("}", "}}")


def _composed(statement: str, staging: Staging) -> sql.Composed:
    return sql.SQL(statement).format(
        staging=staging.identifier, judged=staging.judged, current=staging.table.current
    )
