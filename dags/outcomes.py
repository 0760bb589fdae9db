"""Tells Airflow what to do about an error, by the branch of the error tree, and lets no value out with it.

::

    RetryLater                          retried by Airflow with a growing pause
    FixContract, FixSource, Refused,
    IntegrityBroken, FixInstallation    the batch ends with its entry, the task fails at once
    anything else                       retried; only the type of the error is shown, never its text

Whatever the way, a run that fails for good ends its batch with an entry (`end_batch_of_failed_run`).
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from foundation.errors import LintasError, RetryLater

__all__ = ["deadline_missed", "end_batch_of_failed_run", "outcome_for_airflow"]


@contextlib.contextmanager
def outcome_for_airflow(dataset: str, context: Mapping[str, Any], batch_id: str = "") -> Iterator[None]:
    """Translate what a step raises; the batch is the one it works on, where it knows it.

    Raises:
        AirflowFailException: When trying again will not help; the batch has its entry by then.
        AirflowException: When Airflow should try again.
    """
    try:
        yield
    except RetryLater as error:
        raise AirflowException(str(error)) from None
    except LintasError as error:
        _end_batch(dataset, context["run_id"], error, batch_id)
        raise AirflowFailException(str(error)) from None
    except Exception as error:
        raise AirflowException(f"{dataset}: unexpected {_place(error)}") from None


def end_batch_of_failed_run(context: Mapping[str, Any]) -> None:
    """Airflow's last word on a run: end its batch with an entry unless a step has done so."""
    dataset = context["dag"].dag_display_name
    _end_batch(dataset, context["run_id"], RunFailed(dataset))


def deadline_missed(dataset: str, **_context: Any) -> None:
    """Note that a dataset was not brought up to date within the freshness its contract promises."""
    from dags import steps

    steps.note_missed_deadline(dataset)


class RunFailed(RetryLater):
    """A run used up its attempts."""

    code = "run-failed"

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"the run of {dataset} failed at its last attempt",
            remedy="look at the task's log in Airflow; the next run resumes from the last published state",
        )


def _end_batch(dataset: str, run_id: str, error: LintasError, batch_id: str = "") -> None:
    """End the batch; where even that fails, the next run of the dataset ends or resumes it."""
    from dags import steps
    from foundation import telemetry

    try:
        steps.fail(dataset, run_id=run_id, error=error, batch_id=batch_id)
    except LintasError as problem:
        telemetry.logger(__name__).warning("batch not ended", dataset=dataset, error=problem.code)


def _place(error: BaseException) -> str:
    """The type and place of an error: its text could carry a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return json.dumps({"error": type(error).__name__, "in": code.co_qualname, "line": trace.tb_lineno})
