"""What is asked: the services of the catalogue."""

from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

PANEL = "Who and what"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    services = typer.Typer(
        no_args_is_help=True, help="Public services, their criteria and the law behind them."
    )
    services.command("list")(list_services)
    services.command("show")(show)
    app.add_typer(services, name="services", rich_help_panel=PANEL)


def list_services(as_json: AsJson = False) -> None:
    """Every service, its version, purpose, competent authority and the registers it looks at."""
    from lintas.services_view import service_rows

    columns = ("service", "version", "title", "purpose", "authority", "registers")
    print_rows(service_rows(), columns, as_json=as_json)


def show(
    service: Annotated[str, typer.Argument(help="Name of the service, such as skck.")],
    as_json: AsJson = False,
) -> None:
    """One service: criteria with their law, fields looked at, and all 14 components as JSON with --json."""
    from lintas.services_view import criterion_rows, service_definition, service_fields

    if as_json:
        print_fields(service_definition(service), as_json=True)
        return
    print_fields(service_fields(service), as_json=False)
    columns = ("criterion", "relation", "asks", "expression", "rests_on")
    print_rows(criterion_rows(service), columns, as_json=False)
