"""`kill -9` where it hurts: the next run ends with exactly the right rows, no entry missing, none doubled."""

import contextlib
import os
import signal
import threading
import time
import uuid
from typing import Any

import psutil
import pytest

from audit.checking.verification import verify_installation
from foundation.errors import LintasError
from foundation.keyring import KeyringLocked
from sandbox.faults import FaultKind
from sandbox.fixed_people import FIXED
from sandbox.mutations import RegistryMutations
from sandbox.portal import PortalRefused

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(600),
]

TAX = "kpp-mojokerto/tax-standing"
PERSONS = "dukcapil-mojokerto/persons"
SERVICE = "bantuan-usaha-mikro"


def wait_until(condition: Any, timeout: float = 90.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def applicant() -> dict[str, str]:
    person = FIXED.verified
    return {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}


def kill_task(bus: Any, dataset: str, step: str, run_id: str) -> None:
    """Kill the process that runs the step, and the worker that watches it."""
    wait_until(
        lambda: bus.airflow.task_states(f"sync.{dataset.replace('/', '.')}", run_id)[step] == "running"
    )
    scheduler = bus.process("airflow-scheduler")
    wait_until(lambda: any(worker.children() for worker in scheduler.children()))
    for worker in scheduler.children():
        for task in worker.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                task.kill()


def batch_of(bus: Any, run_id: str) -> Any:
    rows = bus.query("SELECT batch_id, attempt, status FROM records.batch WHERE run_id = %s", run_id)
    return rows[0] if rows else None


def test_a_worker_killed_inside_land_is_resumed_after_its_last_page(synced: Any) -> None:
    started, completed = synced.entries("sync.started"), synced.entries("sync.completed")
    faults = synced.agencies.tax.faults
    faults.switch_on(FaultKind.SLOW, page=1)
    try:
        run_id = synced.trigger(TAX)
        wait_until(lambda: (found := batch_of(synced, run_id)) and pages(synced, found[0]))
        kill_task(synced, TAX, "land", run_id)
        (before,) = pages(synced, batch_of(synced, run_id)[0])
    finally:
        faults.clear()
    figures = synced.finish(TAX, run_id, timeout=300)
    batch = batch_of(synced, run_id)
    after = pages(synced, batch[0])
    assert after[0] == before, "the page that had landed was landed again"
    assert len(after) > 1
    assert after[1][1] > before[1], "the later attempt did not fence the older one"
    assert figures.published == 0
    assert figures.unchanged == figures.accepted
    assert (synced.entries("sync.started"), synced.entries("sync.completed")) == (started + 1, completed + 1)


def pages(bus: Any, batch_id: Any) -> list[tuple[Any, ...]]:
    return bus.query(
        "SELECT page_no, attempt, rows_read, landed_at FROM records.page WHERE batch_id = %s"
        " ORDER BY page_no",
        batch_id,
    )


def test_a_worker_killed_inside_publish_leaves_all_or_nothing(synced: Any) -> None:
    RegistryMutations(synced.agencies.registry).change_address(FIXED.minor.nik, "JL. PEMUDA 7")
    completed = synced.entries("sync.completed")
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.publish:' || %s, 0))"
    with synced.installation.database.admin(synced.settings.database_name) as connection:
        with connection.transaction():
            connection.execute(lock, [PERSONS])
            run_id = synced.trigger(PERSONS)
            kill_task(synced, PERSONS, "publish", run_id)
        assert synced.entries("sync.completed") == completed
    figures = synced.finish(PERSONS, run_id, timeout=300)
    assert (figures.updated, figures.inserted, figures.closed) == (1, 0, 0)
    assert synced.entries("sync.completed") == completed + 1
    assert synced.sync(PERSONS).published == 0


def test_a_killed_sequencer_is_replaced_and_no_entry_is_missing_or_doubled(synced: Any) -> None:
    before = synced.entries("exchange.answered")
    with synced.portal() as portal:
        portal.give_consent(SERVICE, applicant())
        for number in range(12):
            if number == 4:
                os.kill(synced.process("sequencer").pid, signal.SIGKILL)
            portal.verify(
                SERVICE, applicant(), {"amount_requested": 1_000_000, "business_nib": FIXED.verified.nib}
            )
    wait_until(lambda: synced.status_of("sequencer").state == "healthy" and drained(synced))
    assert synced.entries("exchange.answered") == before + 12
    assert verify_installation(synced.installation).intact


def drained(bus: Any) -> bool:
    with bus.installation.database.admin(bus.settings.database_name) as connection:
        return connection.execute("SELECT count(*) FROM audit.outbox").fetchone()[0] == 0


def test_a_killed_api_answers_each_question_once(synced: Any) -> None:
    keys = [f"journey-{uuid.uuid4().hex}" for _ in range(24)]
    before = synced.entries("exchange.answered")
    claims = {"amount_requested": 1_000_000, "business_nib": FIXED.verified.nib}
    with synced.portal() as portal:
        portal.give_consent(SERVICE, applicant())
        killer = threading.Timer(0.4, lambda: os.kill(synced.process("api").pid, signal.SIGKILL))
        killer.start()
        for key in keys:
            with contextlib.suppress(LintasError, KeyringLocked):
                portal.verify(SERVICE, applicant(), claims, idempotency_key=key)
        killer.join()
    wait_until(lambda: synced.status_of("api").state == "healthy" and synced.status_of("api").restarts > 0)
    with synced.portal() as portal:
        answers = {portal.verify(SERVICE, applicant(), claims, idempotency_key=key).answer_id for key in keys}
    assert len(answers) == len(keys)
    assert synced.entries("exchange.answered") == before + len(keys)


def test_a_killed_database_comes_back_with_everything_that_was_committed(synced: Any) -> None:
    server = synced.installation.database.server
    with synced.portal() as portal:
        portal.give_consent(SERVICE, applicant())
        answer = portal.verify(
            SERVICE, applicant(), {"amount_requested": 1_000_000, "business_nib": FIXED.verified.nib}
        )
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.is_running)
    wait_until(lambda: all(each.state == "healthy" for each in synced.group.status()), 150)
    with synced.portal() as portal:
        wait_until(lambda: is_available(portal, answer.answer_id))
        assert portal.read(answer.answer_id).verdict == answer.verdict
        assert portal.check_receipt(answer, portal.receipt(answer, wait=5))
    assert synced.sync(PERSONS).published == 0
    wait_until(lambda: drained(synced))
    assert verify_installation(synced.installation).intact


def is_available(portal: Any, answer_id: str) -> bool:
    """Whether the API has its connections to the database again; until then it asks for patience."""
    try:
        portal.read(answer_id)
    except PortalRefused as refusal:
        if refusal.status != 503:
            raise
        return False
    return True
