"""Who takes part: agencies, systems, officers and their keys, as the operator registers them."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

PANEL = "Who and what"

Operator = Annotated[
    str, typer.Option("--officer", help="Your pseudonym as an operator; it stands in the log.")
]
Reason = Annotated[str, typer.Option(help="Why, without personal values; it stands in the log.")]
Participant = Annotated[str, typer.Argument(help="Id of an agency or of a system.")]
AgencyId = Annotated[str, typer.Argument(help="Id of the agency, such as `dukcapil-mojokerto`.")]
JwkFile = Annotated[Path, typer.Option("--jwk", help="File with the public key as a JWK, without `d`.")]
VouchedBy = Annotated[str, typer.Option(help="What says that it is theirs: number of the paper agreement.")]
KeyId = Annotated[str, typer.Argument(help="The key's id (`kid`), from `lintas keys list --json`.")]


def register(app: typer.Typer, keys: typer.Typer) -> None:
    """Add the commands of this module, and what an operator may do to the keys of `lintas keys`."""
    agencies = typer.Typer(no_args_is_help=True, help="The agencies that take part.")
    agencies.command("list")(list_agencies)
    agencies.command("add")(add_agency)
    agencies.command("suspend")(suspend)
    agencies.command("reinstate")(reinstate)
    app.add_typer(agencies, name="agencies", rich_help_panel=PANEL)
    systems = typer.Typer(no_args_is_help=True, help="Their systems: sources, portals, and the bus.")
    systems.command("list")(list_systems)
    systems.command("add")(add_system)
    systems.command("suspend")(suspend)
    systems.command("reinstate")(reinstate)
    app.add_typer(systems, name="systems", rich_help_panel=PANEL)
    officers = typer.Typer(no_args_is_help=True, help="Officers, by pseudonym, and what they may do.")
    officers.command("list")(list_officers)
    officers.command("add")(add_officer)
    app.add_typer(officers, name="officers", rich_help_panel=PANEL)
    keys.command("add")(add_key)
    keys.command("roll")(roll_key)
    keys.command("end")(end_key)


def list_agencies(as_json: AsJson = False) -> None:
    """The agencies that take part, and their systems."""
    from lintas.catalogue_view import agency_rows

    print_rows(agency_rows(), ("agency", "name", "kind", "systems"), as_json=as_json)


def add_agency(
    agency: AgencyId,
    name: Annotated[str, typer.Option(help="Its full name.")],
    kind: Annotated[str, typer.Option(help="Such as `civil-registry` or `office`.")],
    officer: Operator,
    as_json: AsJson = False,
) -> None:
    """Register an agency, or bring its name up to date."""
    from lintas import participant_desk as desk

    print_fields(desk.add_agency(agency, name, kind, operator=officer), as_json=as_json)


def suspend(participant: Participant, officer: Operator, reason: Reason, as_json: AsJson = False) -> None:
    """Take an agency or a system off the bus at once: every exchange with it is denied."""
    from lintas import participant_desk as desk

    print_fields(desk.suspend(participant, operator=officer, reason=reason), as_json=as_json)


def reinstate(participant: Participant, officer: Operator, reason: Reason, as_json: AsJson = False) -> None:
    """Let it take part again."""
    from lintas import participant_desk as desk

    print_fields(desk.reinstate(participant, operator=officer, reason=reason), as_json=as_json)


def list_systems(as_json: AsJson = False) -> None:
    """Every system: whose, what kind, at which address, whether it takes part."""
    from lintas.participant_desk import system_rows

    print_rows(system_rows(), ("system", "agency", "kind", "address", "state"), as_json=as_json)


def add_system(  # noqa: PLR0917 - an option each
    system: Annotated[str, typer.Argument(help="Id of the system, such as `siak`.")],
    agency: Annotated[str, typer.Option(help="Whose it is.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    officer: Operator,
    kind: Annotated[str, typer.Option(help="`source`, `portal` or `bus`.")] = "source",
    address: Annotated[
        str | None, typer.Option(help="The one address at which the bus may reach it.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificate authority of that address, if it is not a public one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a system of an agency; a contract names it and never holds an address itself."""
    from lintas import participant_desk as desk

    done = desk.add_system(system, agency, name, kind, address=address, ca_file=ca_file, operator=officer)
    print_fields(done, as_json=as_json)


def list_officers(as_json: AsJson = False) -> None:
    """The officers, by pseudonym, with the roles they hold now."""
    from lintas.catalogue_view import officer_rows

    print_rows(officer_rows(), ("pseudonym", "agency", "roles"), as_json=as_json)


def add_officer(  # noqa: PLR0917 - an option each
    officer_id: Annotated[str, typer.Argument(help="Id of the officer in their agency.")],
    agency: Annotated[str, typer.Option(help="Whose officer it is.")],
    pseudonym: Annotated[str, typer.Option(help="The name that stands in the log.")],
    role: Annotated[list[str], typer.Option(help="A role they hold; repeat it for several.")],
    officer: Operator,
    as_json: AsJson = False,
) -> None:
    """Register an officer with roles; the first operator of an installation registers themselves."""
    from lintas import participant_desk as desk

    print_fields(desk.add_officer(officer_id, agency, pseudonym, role, operator=officer), as_json=as_json)


def add_key(  # noqa: PLR0917 - an option each
    owner: Annotated[str, typer.Argument(help="Id of the agency, system or officer.")],
    kind: Annotated[str, typer.Option(help="`agency`, `system` or `officer`.")],
    use: Annotated[str, typer.Option(help="`agreement`, `auth` or `sign`.")],
    jwk: JwkFile,
    vouched_by: VouchedBy,
    officer: Operator,
    as_json: AsJson = False,
) -> None:
    """Register a public key that its owner made at home; compare its fingerprint with the paper."""
    from lintas import participant_desk as desk

    done = desk.add_key(kind, owner, use, jwk, vouched_by=vouched_by, operator=officer)
    print_fields(done, as_json=as_json)


def roll_key(
    kid: KeyId, jwk: JwkFile, vouched_by: VouchedBy, officer: Operator, as_json: AsJson = False
) -> None:
    """Let a new key take over; what the old one signed stays verifiable."""
    from lintas import participant_desk as desk

    print_fields(desk.roll_key(kid, jwk, vouched_by=vouched_by, operator=officer), as_json=as_json)


def end_key(kid: KeyId, officer: Operator, reason: Reason, as_json: AsJson = False) -> None:
    """End a key now, for one that was lost or stolen."""
    from lintas import participant_desk as desk

    print_fields(desk.end_key(kid, reason=reason, operator=officer), as_json=as_json)
