"""The part of the demo in which a life ends: the death reaches the answer that relied on the life."""

import time
from typing import TYPE_CHECKING

from foundation.installation import Installation
from lintas.airflow import AirflowApi
from lintas.demo_portal import FIVE, PortalStory, who
from lintas.errors import DemoBroken
from lintas.live_syncs import watch_syncs
from lintas.notices_view import add_webhook
from lintas.stage import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.portal import VerifiedAnswer
    from sandbox.webhook_receiver import ReceivedNotice, WebhookReceiver

__all__ = ["DeathStory"]

DEATHS = "dukcapil-mojokerto/deaths"
STEWARD = "walidata-01"
PATIENCE_SECONDS = 60.0


class DeathStory:
    """The portal listens at an address of its own; the operator has agreed to it."""

    def __init__(self, installation: Installation, stages: Stages, airflow: AirflowApi) -> None:
        self.installation = installation
        self.stages = stages
        self.airflow = airflow

    def tell(self, story: PortalStory, answers: "Mapping[str, VerifiedAnswer]") -> None:
        """A clerk registers the death; everything after that happens by itself."""
        from dags.contracts import dag_id_of
        from sandbox.agencies import civil_registry_at
        from sandbox.applications import APPLICATIONS
        from sandbox.mutations import RegistryMutations

        person = APPLICATIONS[FIVE[0]].applicant
        answer = answers[FIVE[0]]
        receiver = self._listening(story)
        try:
            RegistryMutations(civil_registry_at(self.installation.home / "sandbox")).new_death(person.nik)
            self.stages.line(f"the civil registry registers the death of {who(person)}")
            run_id = f"demo-death-{time.strftime('%Y%m%dT%H%M%S')}"
            started = time.monotonic()
            self.airflow.trigger(dag_id_of(DEATHS), run_id)
            with self.stages.working(f"the next sync of {DEATHS}, then whatever it changes"):
                found = watch_syncs(self.installation, self.airflow, {DEATHS: run_id}, self.stages)[DEATHS]
                published = time.monotonic()
                notice = self._notice(receiver, answer)
            self.stages.line(
                f"sync of {DEATHS}: {found.published} published,"
                f" {published - started:.1f} s with the scheduler"
            )
            self._show(notice, answer, story)
        finally:
            receiver.stop()

    def _listening(self, story: PortalStory) -> "WebhookReceiver":
        from sandbox.webhook_receiver import WebhookReceiver

        receiver = WebhookReceiver(self.installation.authority, lambda: story.portal.bus_keys)
        receiver.start()
        ca = self.installation.authority.ca_path
        add_webhook(story.portal.system_id, receiver.url, ca, officer=STEWARD)
        return receiver

    def _notice(self, receiver: "WebhookReceiver", answer: "VerifiedAnswer") -> "ReceivedNotice":
        deadline = time.monotonic() + PATIENCE_SECONDS
        count = 1
        while time.monotonic() < deadline:
            try:
                notices = receiver.wait_for(count, deadline - time.monotonic())
            except TimeoutError:
                break
            for notice in notices:
                if notice.data["answer"] == answer.answer_id:
                    return notice
            count = len(notices) + 1
        raise DemoBroken("the portal was not told of the death")

    def _show(self, notice: "ReceivedNotice", answer: "VerifiedAnswer", story: PortalStory) -> None:
        again = story.portal.read(str(notice.data["review"]))
        if again.outcomes.get("alive") != "not_met":
            raise DemoBroken("the answer was not verified again")
        self.stages.good(
            "the portal's webhook receives a signed [bold]review[/bold]"
            f" event {self._delay(notice):.1f} s after the death was published"
        )
        self.stages.line(
            f"{answer.verdict} → [bold yellow]{again.verdict}[/bold yellow]: nothing is revoked by a machine;"
            " the event names the answer, and no person"
        )

    def _delay(self, notice: "ReceivedNotice") -> float:
        from foundation.database import Role, translated

        with translated(), self.installation.database.connect(Role.STEWARD) as connection:
            row = connection.execute(
                "SELECT published_at FROM records.dataset_state WHERE dataset_id = %s", [DEATHS]
            ).fetchone()
        assert row is not None
        return float(notice.received_at - row[0].timestamp())
