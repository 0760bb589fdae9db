"""What is exchanged, under which agreements, by whom: contracts, agreements, agencies, keys."""

from typing import Annotated

import typer

from lintas.commands import participants, services
from lintas.commands.agreements import register as register_agreements
from lintas.output import AsJson, console, print_fields, print_json, print_rows

__all__ = ["register"]

PANEL = "Who and what"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    contracts = typer.Typer(
        no_args_is_help=True, help="Data contracts: what each agency's dataset looks like."
    )
    contracts.command("list")(list_contracts)
    contracts.command("check")(check_contracts)
    contracts.command("connect")(connect)
    contracts.command("publish")(publish)
    app.add_typer(contracts, name="contracts", rich_help_panel=PANEL)
    agreements = typer.Typer(no_args_is_help=True, help="Agreements between agencies, and what they allow.")
    agreements.command("list")(list_agreements)
    agreements.command("matrix")(matrix)
    register_agreements(agreements)
    app.add_typer(agreements, name="agreements", rich_help_panel=PANEL)
    app.add_typer(agreements, name="agreement", hidden=True)
    keys = typer.Typer(
        no_args_is_help=True, help="Public keys of agencies, systems, officers and of the bus."
    )
    keys.command("list")(list_keys)
    app.add_typer(keys, name="keys", rich_help_panel=PANEL)
    participants.register(app, keys)
    services.register(app)


def list_contracts(as_json: AsJson = False) -> None:
    """Every data contract, its version, record type, schedule and promised freshness."""
    from lintas.catalogue_view import contract_rows

    columns = ("dataset", "version", "record_type", "schedule", "freshness_hours", "fields")
    print_rows(contract_rows(), columns, as_json=as_json)


def check_contracts(as_json: AsJson = False) -> None:
    """Check every contract file; all errors at once, each with file, line, field, rule and remedy."""
    from lintas.catalogue_view import contract_problems

    problems = contract_problems()
    print_rows(
        problems,
        ("file", "line", "field", "rule", "what", "remedy"),
        as_json=as_json,
        empty="every contract is sound",
    )
    if problems:
        raise typer.Exit(65)


def connect(
    dataset: Annotated[str, typer.Argument(help="The dataset, as `agency/dataset`.")], as_json: AsJson = False
) -> None:
    """Check the way to a source, step by step: resolve, connect, TLS, log in, read one."""
    from lintas.catalogue_view import connection_steps

    steps = connection_steps(dataset)
    print_rows(steps, ("name", "ok", "detail", "remedy"), as_json=as_json)
    if not all(step["ok"] for step in steps):
        raise typer.Exit(69)


def publish(
    dataset: Annotated[str, typer.Argument(help="The dataset, as `agency/dataset`.")], as_json: AsJson = False
) -> None:
    """Put a contract into force: make its record table and write the entry `contract.published`."""
    from lintas.catalogue_view import publish_one

    print_fields(publish_one(dataset), as_json=as_json)


def list_agreements(as_json: AsJson = False) -> None:
    """The agreements in force: who gives what to whom, why, on which basis, until when."""
    from lintas.catalogue_view import agreement_rows

    columns = (
        "agreement",
        "revision",
        "provider",
        "consumer",
        "purposes",
        "legal_basis",
        "verbs",
        "valid_until",
    )
    print_rows(agreement_rows(), columns, as_json=as_json, empty="no agreement is in force")


def matrix(as_json: AsJson = False) -> None:
    """Who may see what, drawn: every agreement played through the decision itself."""
    from lintas.catalogue_view import matrix_rows
    from lintas.matrix_view import matrix_picture

    rows = matrix_rows()
    if as_json:
        print_json(rows)
        return
    out = console()
    if not rows:
        out.print("[dim]no agreement is in force[/dim]")
        return
    for part in matrix_picture(rows):
        out.print(part)


def list_keys(as_json: AsJson = False) -> None:
    """Every public key: whose, what for, its fingerprint and when it is valid."""
    from lintas.catalogue_view import key_rows

    print_rows(
        key_rows(), ("owner", "use", "algorithm", "fingerprint", "valid_from", "valid_to"), as_json=as_json
    )
