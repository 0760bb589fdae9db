"""The steward's and the officer's work: what was rejected, and what waits for a human decision."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.commands import batches, conflicts
from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

PANEL = "Data"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    quarantine = typer.Typer(no_args_is_help=True, help="Rows that were rejected, and why.")
    quarantine.command("list")(list_quarantine)
    quarantine.command("show")(show_quarantined)
    batches.register(app, quarantine, PANEL)
    app.add_typer(quarantine, name="quarantine", rich_help_panel=PANEL)
    conflicts.register(app, PANEL)
    referrals = typer.Typer(no_args_is_help=True, help="Applications that an officer has to decide.")
    referrals.command("list")(list_referrals)
    referrals.command("decide")(decide)
    app.add_typer(referrals, name="referrals", rich_help_panel=PANEL)


def list_quarantine(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Rejected rows by position, field and rule; never their values."""
    from lintas.review_view import quarantine_rows

    columns = ("id", "dataset", "place", "field", "rule", "message", "returned_at")
    print_rows(quarantine_rows(dataset, limit), columns, as_json=as_json, empty="nothing is in quarantine")


def show_quarantined(
    row: Annotated[str, typer.Argument(help="The id from `lintas quarantine list`.")],
    reason: Annotated[str, typer.Option(help="Why you need to see it; it stands in the log.")],
    officer: Annotated[str, typer.Option(help="Your officer pseudonym.")],
    as_json: AsJson = False,
) -> None:
    """Open one rejected row. Opening is logged with your pseudonym and reason."""
    from lintas.review_view import open_quarantined

    print_fields(open_quarantined(row, officer=officer, reason=reason), as_json=as_json)


def list_referrals(as_json: AsJson = False) -> None:
    """Applications that could not be answered `verified` and wait for an officer."""
    from lintas.review_view import referral_rows

    columns = ("referral_id", "service", "owner", "state", "opened_at", "due_at")
    print_rows(referral_rows(), columns, as_json=as_json, empty="nothing waits for an officer")


def decide(  # noqa: PLR0917 - an option each
    referral: Annotated[str, typer.Argument(help="The referral's id.")],
    verdict: Annotated[str, typer.Option(help="`approved` or `rejected`.")],
    owner: Annotated[str, typer.Option(help="Your office.")],
    officer: Annotated[str, typer.Option(help="Your pseudonym, which is the name of your key.")],
    keys: Annotated[Path, typer.Option(help="Folder of your office's key ring.")],
    reason_file: Annotated[Path, typer.Option(help="File with the reason as the applicant will read it.")],
    as_json: AsJson = False,
) -> None:
    """Decide a referral with a reason: signed with your own key, checked, stored and logged."""
    from lintas.review_view import Verdict, decide_referral

    wanted = Verdict(verdict, reason_file.read_text(encoding="utf-8").strip(), officer, keys)
    print_fields(decide_referral(referral, owner, wanted), as_json=as_json)
