"""What happens after an answer was given: registers change, dispatchers work, a portal listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from foundation import clock
from foundation.database import Role
from foundation.tls import LocalAuthority
from records.tags import TagKey
from sandbox.webhook_receiver import WebhookReceiver
from tests.verification.city import ASKER, PORTAL, SITI, Citizen, City
from verification import notices, webhooks
from verification.answering import answer
from verification.context import AnsweringContext
from verification.dispatcher import Dispatcher
from verification.journey import GivenAnswer
from verification.matching import match
from verification.notices import Notice
from verification.reviewing import Reviewed
from verification.reviews import review_one
from verification.sending import Patience, Sender, Sent

OPERATOR = "walidata-01"
DEATHS, PERSONS = "dukcapil-mojokerto/deaths", "dukcapil-mojokerto/persons"
AT_ONCE = Patience(first=0.0, longest=0.0, attempts=3)


@dataclass
class Aftermath:
    """A city, the context of its API, and that of its dispatcher."""

    city: City
    context: AnsweringContext
    dispatching: AnsweringContext
    receiver: WebhookReceiver
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = Sender(self.dispatching, AT_ONCE)

    def answered(self, citizen: Citizen = SITI, case: str | None = None) -> GivenAnswer:
        """An answer given now, with consent."""
        self.city.consent_of(self.context, citizen)
        return answer(self.context, citizen.question(case_number=case), ASKER)

    def dies(self, citizen: Citizen = SITI) -> None:
        """A death is published: in the records, in the change feed, and said aloud."""
        self.city.dies(citizen, clock.now().date())
        self.publish("death_v1", DEATHS, citizen)

    def revives(self, citizen: Citizen = SITI) -> None:
        """The death was an error of the registry, which takes it back."""
        self.execute(
            "WITH gone AS (DELETE FROM records.death_v1 WHERE nik = %s RETURNING *), kept AS ("
            " INSERT INTO records.death_v1_history SELECT gone.*, now(), gone.batch_id FROM gone)"
            " INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)"
            " SELECT dataset, record_id, 'closed', batch_id FROM gone",
            citizen.nik,
        )

    def publish(self, table: str, dataset: str, citizen: Citizen) -> None:
        """Put the record of a citizen into the change feed."""
        self.execute(
            "INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)"
            f" SELECT dataset, record_id, 'updated', batch_id FROM records.{table}"
            " WHERE nik = %s AND dataset = %s",
            citizen.nik,
            dataset,
        )
        self.execute("SELECT pg_notify('lintas_change', %s)", dataset)

    def execute(self, statement: str, *parameters: Any) -> None:
        self.city.execute(statement, *parameters)

    def match(self) -> int | None:
        with self.city.connect(Role.DISPATCHER, autocommit=True) as connection:
            return match(connection, TagKey.of(self.city.installation.keyring))

    def review(self) -> list[Reviewed]:
        """Match, then review until nothing is due."""
        self.match()
        done = []
        while (one := review_one(self.dispatching)) is not None:
            done.append(one)
        return done

    def send(self) -> list[Sent]:
        """Send until nothing is due."""
        done = []
        while (one := self.sender.send_one()) is not Sent.NOTHING_DUE:
            done.append(one)
        return done

    def listen(self, system: str = PORTAL) -> None:
        """Register and approve the receiver's address."""
        with self.city.connect(Role.STEWARD) as connection:
            webhooks.register(
                connection, system, self.receiver.url, by=OPERATOR,
                ca_pem=self.receiver.authority.ca_pem, is_operator=True,
            )  # fmt: skip

    def owed(self) -> list[Notice]:
        with self.city.connect(Role.STEWARD) as connection:
            return sorted(notices.listed(connection, limit=1000), key=lambda each: each.number)

    def stored(self, answer_id: UUID) -> bool:
        with self.city.connect() as connection:
            return bool(
                connection.execute(
                    "SELECT 1 FROM verification.answer WHERE answer_id = %s", [answer_id]
                ).fetchone()
            )

    def row(self, statement: str, *parameters: Any) -> tuple[Any, ...]:
        with self.city.connect(Role.MIGRATOR) as connection:
            found = connection.execute(statement, parameters).fetchone()  # type: ignore[call-overload]
        assert found is not None
        return tuple(found)

    @contextmanager
    def dispatcher(self, **options: Any) -> Iterator[None]:
        """A dispatcher at work in a thread."""
        ending = threading.Event()
        options.setdefault("patience", AT_ONCE)
        worker = threading.Thread(target=Dispatcher(self.city.installation, **options).run, args=(ending,))
        worker.start()
        try:
            yield
        finally:
            ending.set()
            worker.join()


@contextmanager
def aftermath(city: City) -> Iterator[Aftermath]:
    """Open contexts in both roles, and a receiver that listens."""
    context = AnsweringContext.open(city.installation, connections=8)
    dispatching = AnsweringContext.open(city.installation, connections=8, role=Role.DISPATCHER)
    authority = LocalAuthority(city.installation.home / "portal-tls", "Practice portal")
    receiver = WebhookReceiver(authority, context.signer.public_keys)
    receiver.start()
    made = Aftermath(city, context, dispatching, receiver)
    try:
        yield made
    finally:
        made.sender.close()
        receiver.stop()
        dispatching.close()
        context.close()


__all__ = ["DEATHS", "OPERATOR", "PERSONS", "Aftermath", "aftermath"]
