"""What becomes of quota when a transaction does not end as it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest

from verification import exchange
from verification.exchange import committing


class Taken:
    def __init__(self) -> None:
        self.given_back = 0

    def give_back(self) -> None:
        self.given_back += 1


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    taken = Taken()
    monkeypatch.setattr(exchange, "hold", lambda *_, **__: None)
    monkeypatch.setattr(exchange.pipelines, "transaction", lambda connection: connection.transaction())
    monkeypatch.setattr(exchange, "take_quota", lambda *_: taken)
    return taken


def session_whose_commit(fails: bool) -> SimpleNamespace:
    @contextmanager
    def transaction() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(settle=lambda: None)
        if fails:
            raise psycopg.OperationalError("server closed the connection")

    return SimpleNamespace(
        connection=SimpleNamespace(transaction=transaction), context=SimpleNamespace(leases=None)
    )


def test_what_was_rolled_back_costs_no_quota(taken: Taken) -> None:
    with pytest.raises(RuntimeError), committing(session_whose_commit(fails=False), None, None, tags=[]):
        raise RuntimeError
    assert taken.given_back == 1


def test_what_may_have_been_committed_keeps_its_quota(taken: Taken) -> None:
    with (
        pytest.raises(psycopg.OperationalError),
        committing(session_whose_commit(fails=True), None, None, tags=[]),
    ):
        pass
    assert taken.given_back == 0


def test_what_was_committed_keeps_its_quota(taken: Taken) -> None:
    with committing(session_whose_commit(fails=False), None, None, tags=[]):
        pass
    assert taken.given_back == 0
