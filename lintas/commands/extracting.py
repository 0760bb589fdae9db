"""Take a part of the log out, so that others can check it, and check such a part."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lintas.commands.filters import Auditor, CaseFile, NikFile, asks_for
from lintas.output import AsJson, console, print_fields, print_json

__all__ = ["add_to"]


class Format(StrEnum):
    """How entries are written."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    group.command("extract")(extract)
    group.command("check-export")(check_export)


@asks_for
def extract(
    asked: dict[str, Any],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    auditor: Auditor = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it is taken out; it stands in the log.")],
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Besides NDJSON, which holds the proofs; may be given more than once."),
    ] = None,
    nik_file: NikFile = None,
    case_file: CaseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write exactly what a search finds, with proofs and a signed manifest. It is itself logged."""
    from lintas.extract_view import take
    from lintas.search_view import Look

    look = Look(asked=asked, auditor=auditor, reason=reason, nik_file=nik_file, case_file=case_file)
    chosen = [each.value for each in formats] if formats else [Format.CSV.value]
    print_fields(take(look, folder, chosen), as_json=as_json)


def check_export(
    folder: Annotated[Path, typer.Argument(help="Folder that `lintas audit extract` wrote.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="The log's verifier keys (default: this bus's).")
    ] = None,
    bus_keys: Annotated[
        Path | None, typer.Option("--bus-keys", help="JWK set of the bus (default: this bus's).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what was taken out of the log: signature, files, every proof, and the filter."""
    from lintas.extract_view import check

    checked = check(folder, keys, bus_keys)
    if as_json:
        print_json({"holds": checked.holds, "told": list(checked.lines)})
    else:
        out = console()
        for line in checked.lines:
            out.print(line, markup=False, soft_wrap=True)
    if not checked.holds:
        raise typer.Exit(70)
