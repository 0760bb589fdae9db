"""Receipts: that an entry stands in the log, for everybody to check offline, years later."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields

__all__ = ["add_to"]


class Form(StrEnum):
    """How a receipt is written."""

    TLOG = "tlog"
    COSE = "cose"


def add_to(group: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    group.command("prove")(prove)
    group.command("check-receipt")(check_receipt)


def prove(
    entry: Annotated[str, typer.Argument(help="The entry's id.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="File for the receipt (default: standard output).")
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="`tlog`: one file with the entry in it (C2SP tlog-proof). `cose`: a COSE receipt (RFC 9942),"
            " with the entry in FILE.entry.",
        ),
    ] = Form.TLOG,
    timestamped: Annotated[
        bool,
        typer.Option("--timestamped", help="Under a stamped checkpoint; its tokens go to FILE.NAME.tst."),
    ] = False,
) -> None:
    """Write the receipt of an entry: its bytes and the proof that the log holds them."""
    from lintas.receipt_view import cose_receipt_of, receipt_of, timestamped_receipt_of

    if to is None and (timestamped or form is Form.COSE):
        raise typer.BadParameter("this takes more than one file: name the first", param_hint="--to")
    if timestamped and form is Form.COSE:
        raise typer.BadParameter("a COSE receipt carries no checkpoint to be stamped", param_hint="--format")
    if to is None:
        typer.echo(receipt_of(entry), nl=False)
    elif timestamped:
        text, tokens = timestamped_receipt_of(entry)
        to.write_text(text, encoding="utf-8")
        for name, token in tokens.items():
            to.with_name(f"{to.name}.{name}.tst").write_bytes(token)
    elif form is Form.COSE:
        receipt, encoded = cose_receipt_of(entry)
        to.write_bytes(receipt)
        to.with_name(f"{to.name}.entry").write_bytes(encoded)
    else:
        to.write_text(receipt_of(entry), encoding="utf-8")


def check_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt: C2SP tlog-proof, or COSE.", exists=True)],
    *,
    entry: Annotated[
        Path | None,
        typer.Option(
            "--entry", help="The entry, where the receipt does not carry it (COSE: FILE.entry).", exists=True
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="The log's verifier keys (default: this bus's).", exists=True),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="A tlog-policy file that says whom you trust.", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a receipt, and say what it proves. With `--keys` it needs no bus."""
    from lintas.receipt_view import check_receipt as checked

    print_fields(checked(file, entry, keys, policy), as_json=as_json)
