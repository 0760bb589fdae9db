"""For deployments of several containers or machines: secrets of the servers, health of a process."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_json

__all__ = ["register"]

PANEL = "The bus"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("health", rich_help_panel=PANEL)(health)
    group = typer.Typer(no_args_is_help=True, help="What other supervisors and servers of a deployment need.")
    group.command("secrets")(provide_secrets)
    app.add_typer(group, name="deployment", rich_help_panel=PANEL)


def health(
    process: Annotated[str, typer.Argument(help="A process of the group, as `lintas status` names it.")],
    worker: Annotated[
        str, typer.Option("--worker", help="Name of the Celery worker to ask; this machine's by default.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask one process how it is; exit code 0 when it is well, 1 when it is not."""
    from foundation.settings import load_settings
    from lintas.health import health_of, process_names

    settings = load_settings()
    if process not in (names := process_names(settings)):
        raise typer.BadParameter(f"there is no process {process}; write one of {', '.join(names)}")
    well = health_of(settings, process, worker=worker)()
    state = "healthy" if well else "not healthy"
    if as_json:
        print_json({"process": process, "state": state})
    else:
        typer.echo(f"{process} is {state}")  # plain: it is asked every few seconds
    if not well:
        raise typer.Exit(1)


def provide_secrets(
    database: Annotated[Path, typer.Option("--database", help="Folder for the secrets of PostgreSQL.")],
    broker: Annotated[Path, typer.Option("--broker", help="Folder for the secrets of Redis.")],
    database_host: Annotated[
        str, typer.Option("--database-host", help="Name under which PostgreSQL is reached.")
    ] = "database",
    broker_host: Annotated[
        str, typer.Option("--broker-host", help="Name under which Redis is reached.")
    ] = "redis",
    as_json: AsJson = False,
) -> None:
    """Make passwords and certificates for PostgreSQL and Redis, each in its own folder; safe to repeat."""
    from foundation.installation import Installation
    from lintas.deployment import provide_broker_secrets, provide_database_secrets

    installation = Installation.open().prepare_files()
    provide_database_secrets(installation, database, database_host)
    provide_broker_secrets(installation, broker, broker_host)
    print_fields({"database": database, "broker": broker, "state": "prepared"}, as_json=as_json)
