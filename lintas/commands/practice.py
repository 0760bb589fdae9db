"""The practice agencies: introduced to the bus once, then changed on purpose to see what happens."""

import typer

from lintas.output import AsJson, print_fields

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="The practice agencies and their made-up people.")
    group.command("introduce")(introduce)
    group.command("people")(people)
    app.add_typer(group, name="practice", rich_help_panel="The bus")


def introduce(as_json: AsJson = False) -> None:
    """Register the running practice agencies, their keys, agreements and contracts; safe to repeat."""
    from foundation import telemetry
    from foundation.installation import Installation
    from lintas.practice import introduce_practice_agencies

    telemetry.configure("introduction")
    print_fields(introduce_practice_agencies(Installation.open()), as_json=as_json)


def people(as_json: AsJson = False) -> None:
    """The made-up people whose applications end in a known way; none of them exists."""
    from lintas.output import print_rows
    from sandbox.fixed_people import FIXED

    rows = [
        {
            "role": role,
            "nik": person.nik,
            "name": person.name,
            "birth_date": person.birth_date,
            "nib": person.nib if person.business else None,
            "service": person.service,
            "expected": person.expected,
            "outcome": person.outcome,
        }
        for role, person in ((name, getattr(FIXED, name)) for name in FIXED.__dataclass_fields__)
    ]
    print_rows(rows, ("role", "nik", "name", "birth_date", "service", "expected", "outcome"), as_json=as_json)
