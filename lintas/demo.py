"""The whole path in one run, with real servers: sync, ask, prove, look, tamper, find out.

Everybody in it is made up. Identifiers are masked all the same, as a portal would show them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.installation import Installation
from foundation.settings import Settings
from lintas.airflow import AirflowApi, AirflowInstallation
from lintas.demo_death import DeathStory
from lintas.demo_portal import PortalStory
from lintas.demo_proof import ProofStory
from lintas.demo_witness import with_practice_witness
from lintas.live_syncs import SyncProgress, sync_table, watch_syncs
from lintas.output import console
from lintas.practice_agencies import read_agencies
from lintas.processes import AIRFLOW_NAMES
from lintas.stage import Stages
from lintas.status import gather
from lintas.status_view import print_status
from lintas.supervisor import Supervisor
from lintas.sync_report import figures_of_run
from lintas.up import group_of, settings_for, where_to_look

__all__ = ["run_demo"]

SYNC_AGAIN = "dukcapil-mojokerto/persons"
DAYS_WITHOUT_LICENSES = 4


def run_demo(*, people: int | None) -> int:
    """Tell the story; every step raises when it does not hold, so exit code 0 means that all of it did."""
    settings = with_practice_witness(settings_for(people))
    stages = Stages(console(), total=8)
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
    """The steps, in order."""

    settings: Settings
    stages: Stages
    group: Supervisor

    def tell(self) -> None:
        installation = Installation.open(self.settings)
        self._bus()
        self._agencies(installation)
        airflow = AirflowApi(AirflowInstallation.of(self.settings))
        self._syncs(installation, airflow)
        with PortalStory(installation, self.stages) as portals:
            with self.stages.stage("Citizens apply: five applications, three portals, one question each"):
                self.group.wait_healthy(["api", "sequencer"])
                answers = portals.ask_five()
            with self.stages.stage("A death arrives"):
                self.group.wait_healthy(["dispatcher"])
                DeathStory(installation, self.stages, airflow).tell(portals, answers)
            with self.stages.stage("Anyone can check, offline, and changes are found"):
                proof = ProofStory(installation, self.stages)
                proof.verify_receipts(portals, answers)
                portals.show_who_used(answers)
                proof.tamper_and_find(answers)
        with self.stages.stage("Is all well? (lintas status)"):
            print_status(self.stages.out, gather(installation))
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
        from sandbox.licensing_mutations import LicensingMutations

        with self.stages.stage("Four practice agencies open their doors"):
            with self.stages.working(f"{self.settings.people:,} made-up people of Kota Mojokerto"):
                self.group.wait_healthy(["sandbox", "introduction"], timeout=400)
            figures = read_agencies(installation).figures
            rows: Mapping[str, int] = figures["rows"]
            for agency, how in _AGENCIES.items():
                held = [
                    f"{count:,} {name.partition('/')[2]}"
                    for name, count in rows.items()
                    if name.startswith(agency)
                ]
                self.stages.line(f"{how}: {', '.join(held)}")
            errors = sum(sum(kinds.values()) for kinds in figures["errors"].values())
            self.stages.line(f"{errors:,} rows carry an error, put in on purpose and written down")
            LicensingMutations.at(installation.home / "sandbox").licenses_stay_away(DAYS_WITHOUT_LICENSES)
            self.stages.line(
                f"the licensing office's list of licences has not come for {DAYS_WITHOUT_LICENSES} days"
            )
            self.stages.good("agreements signed by both sides, each with the key it keeps at home")

    def _syncs(self, installation: Installation, airflow: AirflowApi) -> None:
        from schemas.contracts import load_contracts

        datasets = [contract.id for contract in load_contracts(self.settings.contracts)]
        with self.stages.stage(f"Airflow syncs the {len(datasets)} datasets"):
            with self.stages.working("scheduler, DAG processor, triggerer, API server"):
                self.group.wait_healthy(AIRFLOW_NAMES, timeout=300)
                airflow.wait_for_dags({_dag_id(dataset) for dataset in datasets})
            runs = {dataset: _trigger(airflow, dataset, "demo") for dataset in datasets}
            with self.stages.working("open_batch → land → assess → publish, for each"):
                found = watch_syncs(installation, airflow, runs, self.stages)
            self._show(installation, found, runs)
            again = {SYNC_AGAIN: _trigger(airflow, SYNC_AGAIN, "demo-again")}
            with self.stages.working(f"{SYNC_AGAIN} once more"):
                second = watch_syncs(installation, airflow, again, self.stages)[SYNC_AGAIN]
            _require(second.state == "published" and second.published == 0, "a second run changed something")
            self.stages.good(
                f"a second run of {SYNC_AGAIN} read {second.read:,} rows and changed nothing:"
                f" {second.unchanged:,} unchanged"
            )

    def _show(
        self, installation: Installation, found: Mapping[str, SyncProgress], runs: Mapping[str, str]
    ) -> None:
        from rich.padding import Padding

        self.stages.out.print(Padding(sync_table(list(found.values())), (0, 0, 0, 4)))
        for each in found.values():
            _require(each.state == "published", f"{each.dataset} was not published but {each.state}")
        reasons = {
            dataset: _top(figures_of_run(installation, dataset, run_id).reasons)
            for dataset, run_id in runs.items()
        }
        for dataset, text in reasons.items():
            if text:
                self.stages.line(f"[dim]quarantined of {dataset}: {text}[/dim]")

    def _next(self) -> None:
        home = self.settings.home
        for line in (
            "make up                       leaves everything running until Ctrl-C",
            f"{where_to_look(self.settings)}",
            "lintas status                 whether all is well, on one screen",
            "lintas agreements matrix      who may see what",
            "lintas quarantine list        rejected rows: where, which field, which rule",
            "lintas audit show             the latest entries (--actor auditor-01); verify: the whole log",
            f"{home}/logs                   a log file per process; nothing personal is in them",
            "docs/tutorial                 for an agency's IT team, a data steward, a portal's developer",
        ):
            self.stages.out.print(f"    {line}", soft_wrap=True)


_AGENCIES: Mapping[str, str] = {
    "dukcapil": "civil registry (SQL over TLS)",
    "kpp": "tax office (REST, OAuth 2)",
    "dpmptsp": "licensing office (SFTP: CSV and XLSX with a list of checksums)",
    "dinkes": "health office (FHIR R4, OAuth 2)",
}


def _dag_id(dataset: str) -> str:
    from dags.contracts import dag_id_of

    return dag_id_of(dataset)


def _trigger(airflow: AirflowApi, dataset: str, why: str) -> str:
    run_id = f"{why}-{time.strftime('%Y%m%dT%H%M%S')}"
    return airflow.trigger(_dag_id(dataset), run_id).run_id


def _top(reasons: Mapping[str, int]) -> str:
    return " · ".join(f"{count:,} {reason}" for reason, count in list(reasons.items())[:3])


def _require(holds: Any, what: str) -> None:
    if not holds:
        from lintas.errors import DemoBroken

        raise DemoBroken(what)
