"""How many rows of a batch may be quarantined before a steward has to look."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from records.assessment import _budgets
from records.batches import BatchKind
from records.ledger import LedgerTotals
from schemas.contract import ErrorBudget


def passed(kind, *, read, rejected):
    batch = SimpleNamespace(kind=kind, contract=SimpleNamespace(error_budget=ErrorBudget(0.5, 0.05)))
    totals = LedgerTotals(1, read, read - rejected, rejected, Decimal(0), ())
    return next(each.passed for each in _budgets(batch, totals) if each.rule == "error-budget")


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
