"""Quarantined rows that are wrong in form only, and those that go back to their producer."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields

__all__ = ["register"]

Dataset = Annotated[str, typer.Argument(help="The dataset, as `agency/dataset`.")]
Officer = Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")]
Reason = Annotated[str, typer.Option(help="Why, without personal values; it stands in the log.")]
Rows = Annotated[list[int] | None, typer.Option("--row", help="Only this row; may be given several times.")]


def register(quarantine: typer.Typer) -> None:
    """Add the commands of this module to `lintas quarantine`."""
    quarantine.command("repair")(repair)
    quarantine.command("return")(hand_back)


def repair(  # noqa: PLR0917 - an option each
    dataset: Dataset,
    rule: Annotated[
        str, typer.Option(help="`strip-separators`, `pad`, `date-form` or `upper-case`: form only.")
    ],
    column: Annotated[str, typer.Option(help="The column as the source calls it.")],
    officer: Officer,
    reason: Reason,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what it would do and write nothing; the look is logged.")
    ] = False,
    length: Annotated[int | None, typer.Option(help="For `pad`: how long the cell should be.")] = None,
    read_as: Annotated[
        str | None, typer.Option("--from", help="For `date-form`: how the day stands there, as dd/MM/yyyy.")
    ] = None,
    write_as: Annotated[
        str, typer.Option("--to", help="For `date-form`: how the contract reads it.")
    ] = "yyyy-MM-dd",
    row: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Repair rows by rule; those that are whole then go through the pipeline, the others stay as they are."""
    from lintas.steward_view import repair_rows
    from records.repair import Repair, RepairRule

    if rule not in set(RepairRule):
        raise typer.BadParameter(f"choose one of {', '.join(RepairRule)}", param_hint="--rule")
    wanted = Repair(RepairRule(rule), column, length, read_as, write_as)
    done = repair_rows(dataset, wanted, row, officer=officer, reason=reason, preview=preview)
    print_fields(done, as_json=as_json)


def hand_back(  # noqa: PLR0917 - an option each
    dataset: Dataset,
    output: Annotated[Path, typer.Option(help="The CSV file to make; it must not exist yet.")],
    officer: Officer,
    reason: Reason,
    row: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Write open rows to a file for their producer, with what is wrong and what to do; logged first."""
    from lintas.steward_view import return_rows

    print_fields(return_rows(dataset, row, output, officer=officer, reason=reason), as_json=as_json)
