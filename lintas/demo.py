"""The whole path in one run, with real servers: sync, ask, prove, look, tamper, find out.

Everybody in it is made up. Identifiers are masked all the same, as a portal would show them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.installation import Installation
from foundation.settings import Settings
from lintas.airflow import AirflowApi, AirflowInstallation
from lintas.demo_portal import PortalStory
from lintas.demo_proof import ProofStory
from lintas.output import console
from lintas.practice_agencies import read_agencies
from lintas.processes import AIRFLOW_NAMES
from lintas.stage import Stages
from lintas.supervisor import Supervisor
from lintas.sync_report import BatchFigures, figures_of_run
from lintas.up import group_of, settings_for, where_to_look

__all__ = ["run_demo"]

DATASETS = ("dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths", "kpp-mojokerto/tax-standing")


def run_demo(*, people: int | None) -> int:
    """Tell the story; every step raises when it does not hold, so exit code 0 means that all of it did."""
    settings = settings_for(people)
    stages = Stages(console(), total=6)
    stages.out.print(f"[bold]Lintas[/bold]: the data bus between agencies, on {settings.home}")
    group = group_of(settings, with_practice=True)
    with group:
        _Story(settings, stages, group).tell()
        with stages.working("ending every process"):
            group.stop()
    stages.out.print(
        f"\n[bold green]Done[/bold green] in {stages.elapsed:.0f} s; no process, port or lock stays behind."
    )
    return 0


@dataclass
class _Story:
    """The six steps, in order."""

    settings: Settings
    stages: Stages
    group: Supervisor

    def tell(self) -> None:
        installation = Installation.open(self.settings)
        self._bus()
        self._agencies(installation)
        airflow = AirflowApi(
            AirflowInstallation(
                self.settings.home, self.settings.airflow_port, self.settings.airflow_parallelism
            )
        )
        self._syncs(installation, airflow)
        with PortalStory(installation, self.stages) as portal:
            with self.stages.stage("A portal asks, with its own key, over HTTPS"):
                self.group.wait_healthy(["api", "sequencer"])
                answers = portal.ask_three()
            with self.stages.stage("Anyone can check, offline, and changes are found"):
                proof = ProofStory(installation, self.stages)
                proof.verify_receipts(portal, answers)
                portal.show_who_used(answers)
                proof.tamper_and_find(answers)
        with self.stages.stage("Where to look next"):
            self._next()

    def _bus(self) -> None:
        with self.stages.stage("The bus starts"):
            with self.stages.working("PostgreSQL 18, roles, three databases, migrations, keys"):
                self.group.wait_healthy(["database"], timeout=180)
            self.stages.good(
                "PostgreSQL 18 embedded, on a unix socket, SCRAM; one role per process, least rights"
            )

    def _agencies(self, installation: Installation) -> None:
        with self.stages.stage("Two practice agencies open their doors"):
            with self.stages.working(f"{self.settings.people:,} made-up people of Kota Mojokerto"):
                self.group.wait_healthy(["sandbox", "introduction"], timeout=400)
            introduction = read_agencies(installation)
            figures = introduction.figures
            rows = ", ".join(f"{count:,} {name}" for name, count in figures["rows"].items())
            errors = sum(sum(kinds.values()) for kinds in figures["errors"].values())
            self.stages.line(f"civil registry (SQL over TLS) and tax office (REST, OAuth 2): {rows}")
            self.stages.line(f"{errors:,} rows carry an error, put in on purpose and written down")
            self.stages.good("four agreements signed by both sides, each with the key it keeps at home")

    def _syncs(self, installation: Installation, airflow: AirflowApi) -> None:
        with self.stages.stage("Airflow syncs the three datasets"):
            with self.stages.working("scheduler, DAG processor, triggerer, API server"):
                self.group.wait_healthy(AIRFLOW_NAMES, timeout=180)
                airflow.wait_for_dags({_dag_id(dataset) for dataset in DATASETS})
            started = [(dataset, _trigger(airflow, dataset, "demo")) for dataset in DATASETS]
            with self.stages.working("open_batch → land → assess → publish, for each"):
                found = [_finish(installation, airflow, dataset, run) for dataset, run in started]
            self._show(found)
            again = _trigger(airflow, DATASETS[0], "demo-again")
            with self.stages.working(f"{DATASETS[0]} once more"):
                second = _finish(installation, airflow, DATASETS[0], again)
            _require(second.published == 0, "a second run changed something")
            self.stages.good(
                f"a second run of {second.dataset} read {second.read:,} rows and changed nothing:"
                f" {second.unchanged:,} unchanged"
            )

    def _show(self, found: Sequence[BatchFigures]) -> None:
        columns = {
            "dataset": "dataset",
            "read": "read",
            "accepted": "accepted",
            "quarantined": "quarantined",
            "published": "published",
            "unchanged": "unchanged",
            "seconds": "seconds",
            "rows_per_second": "rows/s",
        }
        self.stages.table(columns, [each.as_dict() for each in found])
        for each in found:
            _require(each.status == "published", f"{each.dataset} was not published")
            if reasons := _top(each.reasons):
                self.stages.line(f"quarantined of {each.dataset}: {reasons}")

    def _next(self) -> None:
        home = self.settings.home
        for line in (
            "make up                       leaves everything running until Ctrl-C",
            f"{where_to_look(self.settings)}",
            "lintas status                 what runs, how fresh each dataset is",
            "lintas quarantine list        rejected rows: where, which field, which rule",
            "lintas audit show             the latest entries; lintas audit verify recomputes the whole log",
            f"{home}/logs                   a log file per process; nothing personal is in them",
            "docs/tutorial                 for an agency's IT team, a data steward, a portal's developer",
        ):
            self.stages.out.print(f"    {line}", soft_wrap=True)


def _dag_id(dataset: str) -> str:
    from dags.contracts import dag_id_of

    return dag_id_of(dataset)


def _trigger(airflow: AirflowApi, dataset: str, why: str) -> str:
    run_id = f"{why}-{time.strftime('%Y%m%dT%H%M%S')}"
    return airflow.trigger(_dag_id(dataset), run_id).run_id


def _finish(installation: Installation, airflow: AirflowApi, dataset: str, run_id: str) -> BatchFigures:
    airflow.wait(_dag_id(dataset), run_id)
    return figures_of_run(installation, dataset, run_id)


def _top(reasons: Mapping[str, int]) -> str:
    return " · ".join(f"{count:,} {reason}" for reason, count in list(reasons.items())[:3])


def _require(holds: Any, what: str) -> None:
    if not holds:
        from lintas.errors import DemoBroken

        raise DemoBroken(what)
