"""How many rows of a batch may be quarantined before a steward has to look."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from records.assessment import _budgets
from records.batches import BatchKind
from records.ledger import LedgerTotals
from schemas.contract import ErrorBudget


def passed(kind, *, read, rejected, rule="error-budget"):
    batch = SimpleNamespace(kind=kind, contract=SimpleNamespace(error_budget=ErrorBudget(0.5, 0.05)))
    totals = LedgerTotals(1, read, read - rejected, rejected, Decimal(0), ())
    return next(each.passed for each in _budgets(batch, totals) if each.rule == rule)


@pytest.mark.parametrize(
    ("kind", "read", "rejected", "holds"),
    [
        ("snapshot", 100, 5, True),
        ("snapshot", 100, 6, False),
        ("incremental", 3, 1, True),
        ("incremental", 30, 19, True),
        ("incremental", 40, 20, False),
        ("incremental", 1_000, 20, True),
    ],
)
def test_a_few_bad_rows_among_few_changes_hold_nothing(kind, read, rejected, holds):
    assert passed(BatchKind(kind), read=read, rejected=rejected) is holds


@pytest.mark.parametrize(
    ("kind", "rows", "rejects"),
    [("snapshot", 1, True), ("incremental", 1, False), ("incremental", 19, False), ("incremental", 20, True)],
)
def test_changes_none_of_which_can_be_used_are_a_bad_delivery_only_when_they_are_many(kind, rows, rejects):
    assert passed(BatchKind(kind), read=rows, rejected=rows, rule="nothing-usable") is not rejects


@pytest.mark.parametrize(
    ("rejected", "rows", "exceeded"), [(19, 19, False), (20, 30, True), (20, 40, False), (21, 40, True)]
)
def test_a_page_needs_evidence_before_it_says_anything(rejected, rows, exceeded):
    assert ErrorBudget(0.5, 0.05).page_exceeded(rejected=rejected, rows=rows) is exceeded


def test_every_rule_about_bad_rows_reads_one_minimum():
    strict = ErrorBudget(0.5, 0.05, evidence=2)
    assert strict.page_exceeded(rejected=2, rows=2)
    assert strict.batch_exceeded(rejected=2, rows=3, only_changes=True)
    assert strict.nothing_usable(accepted=0, rejected=2, only_changes=True)
    assert not strict.nothing_usable(accepted=0, rejected=1, only_changes=True)
