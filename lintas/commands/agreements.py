"""Agreements: drafted, signed at each agency, put into force, and looked at."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields

__all__ = ["register"]

Officer = Annotated[str, typer.Option(help="Your pseudonym as a steward; it stands in the log.")]
RevisionFile = Annotated[Path, typer.Argument(help="The revision, as `lintas agreements draft` wrote it.")]


def register(agreements: typer.Typer) -> None:
    """Add what makes, signs and ends agreements to `lintas agreements`."""
    agreements.command("draft")(draft)
    agreements.command("sign")(sign)
    agreements.command("publish")(publish)
    agreements.command("end")(end)


def draft(
    terms: Annotated[Path, typer.Argument(help="The terms, as YAML or JSON.")],
    output: Annotated[Path, typer.Option(help="Where the exact bytes to sign are written.")],
    after: Annotated[
        Path | None, typer.Option(help="The revision before, when this one revises an agreement.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check terms and write the exact bytes that both sides sign; needs no bus."""
    from lintas.agreement_desk import draft as write_draft

    print_fields(write_draft(terms, output, after=after), as_json=as_json)


def sign(
    revision: RevisionFile,
    keys: Annotated[Path, typer.Option(help="Folder of the agency's own key ring.")],
    output: Annotated[Path, typer.Option(help="Where the signature is written.")],
    name: Annotated[str, typer.Option(help="Name of the key in the ring.")] = "agreement",
    as_json: AsJson = False,
) -> None:
    """Sign a revision at home, with the agency's own key; needs no bus."""
    from lintas.agreement_desk import sign_file

    print_fields(sign_file(revision, keys, name, output), as_json=as_json)


def publish(
    revision: RevisionFile,
    provider_signature: Annotated[Path, typer.Option(help="What the provider signed.")],
    consumer_signature: Annotated[Path, typer.Option(help="What the consumer signed.")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Check both signatures against the registered keys and put the revision into force."""
    from lintas.agreement_desk import publish as put_into_force

    done = put_into_force(revision, provider_signature, consumer_signature, officer=officer)
    print_fields(done, as_json=as_json)


def end(
    agreement: Annotated[str, typer.Argument(help="Id of the agreement.")],
    ended_by: Annotated[str, typer.Option(help="The agency that ends it: provider or consumer.")],
    reason: Annotated[str, typer.Option(help="Why, as a short code; it stands in the log.")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """End an agreement at once; what commits at that moment finishes, everything else is denied."""
    from lintas.agreement_desk import end as end_now

    print_fields(end_now(agreement, ended_by=ended_by, reason=reason, officer=officer), as_json=as_json)
