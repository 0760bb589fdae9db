"""The processes of the bus, each a plain command; `lintas up` runs them as one group."""

from typing import Annotated

import typer

from lintas.output import HELD, AsJson, console, print_json

__all__ = ["register"]

PANEL = "Processes (started by `lintas up`)"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("database", rich_help_panel=PANEL)(database)
    app.command("sequencer", rich_help_panel=PANEL)(sequencer)
    app.command("dispatcher", rich_help_panel=PANEL)(dispatcher)
    app.command("monitor", rich_help_panel=PANEL)(monitor)
    app.command("api", rich_help_panel=PANEL)(api)
    app.command("sandbox", rich_help_panel=PANEL)(sandbox)
    app.command("airflow-database", rich_help_panel=PANEL)(airflow_database)
    app.command("sync", rich_help_panel="Data")(sync)


def database() -> None:
    """Keep the embedded PostgreSQL running: prepare it, watch it, end it with this process."""
    from lintas.bodies import keep_database

    keep_database()


def sequencer() -> None:
    """Number the entries of the log, build its tiles and sign its checkpoints."""
    from lintas.bodies import run_sequencer

    run_sequencer()


def dispatcher() -> None:
    """Verify answers again whose evidence changed, and tell portals; several may run at once."""
    from lintas.bodies import run_dispatcher

    run_dispatcher()


def monitor() -> None:
    """Send the log to SIEMs, and flag accesses that want attention; several may run at once."""
    from lintas.bodies import run_monitor

    run_monitor()


def api() -> None:
    """Serve the HTTP API over TLS."""
    from lintas.bodies import run_api

    run_api()


def sandbox() -> None:
    """Serve the practice agencies: civil registry (SQL), tax (REST), licensing (SFTP), health (FHIR)."""
    from lintas.bodies import run_sandbox

    run_sandbox()


def airflow_database() -> None:
    """Configure Airflow and bring its own database to its current schema."""
    from lintas.bodies import prepare_airflow

    prepare_airflow()


def sync(
    dataset: Annotated[str, typer.Argument(help="The dataset, as `agency/dataset`.")],
    as_json: AsJson = False,
) -> None:
    """Run one sync here and now, without Airflow: open, land, assess, publish; exit code 77 when held."""
    from lintas.sync_report import print_figures, run_one_sync

    report = run_one_sync(dataset)
    if as_json:
        print_json(report)
    else:
        print_figures(console(), report)
    if report["held"]:
        raise typer.Exit(HELD)
