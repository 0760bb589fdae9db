"""What Airflow is told about an error, and what it is not told."""

from typing import Any

import pytest

CASES = """
    import json, types
    from airflow.sdk.exceptions import AirflowFailException
    from dags import outcomes, steps
    from foundation.errors import (
        FixContract, FixInstallation, FixSource, IntegrityBroken, Refused, RetryLater,
    )

    NIK = "3576024107850099"
    ended = []
    steps.fail = lambda dataset, *, run_id, error, batch_id="": ended.append(error.code)

    def raised_by(error):
        ended.clear()
        context = {"run_id": "r1"}
        try:
            with outcomes.outcome_for_airflow("a/b", context):
                try:
                    raise KeyError(NIK)
                except KeyError:
                    raise error
        except Exception as found:
            return {
                "fails": isinstance(found, AirflowFailException), "text": str(found), "ended": list(ended),
                "chained": not found.__suppress_context__ or found.__cause__ is not None,
            }

    kinds = [RetryLater, FixContract, FixSource, Refused, IntegrityBroken, FixInstallation]
    found = {kind.__name__: raised_by(kind("the source said no", remedy="look")) for kind in kinds}
    found["ValueError"] = raised_by(ValueError(NIK))
    ended.clear()
    dag = types.SimpleNamespace(dag_display_name="a/b")
    outcomes.end_batch_of_failed_run({"dag": dag, "run_id": "r1"})
    found["callback"] = list(ended)
    print(); print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(in_airflow: Any) -> Any:
    return in_airflow(CASES)


@pytest.mark.parametrize(
    "kind", ["FixContract", "FixSource", "Refused", "IntegrityBroken", "FixInstallation"]
)
def test_what_waiting_cannot_mend_fails_at_once_after_its_batch_has_ended(found: Any, kind: str) -> None:
    assert found[kind]["fails"]
    assert len(found[kind]["ended"]) == 1
    assert "the source said no" in found[kind]["text"]


@pytest.mark.parametrize("kind", ["RetryLater", "ValueError"])
def test_what_may_pass_is_left_to_airflow_to_try_again(found: Any, kind: str) -> None:
    assert not found[kind]["fails"]
    assert found[kind]["ended"] == []


def test_no_value_travels_with_an_error_whatever_it_was_raised_from(found: Any) -> None:
    for name, case in found.items():
        if name != "callback":
            assert "3576024107850099" not in case["text"]
            assert not case["chained"]
    assert "ValueError" in found["ValueError"]["text"]


def test_a_run_that_used_up_its_attempts_ends_its_batch_with_an_entry(found: Any) -> None:
    assert found["callback"] == ["run-failed"]
