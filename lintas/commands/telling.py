"""How portals are told that an answer changed: the notices that wait, and the addresses they go to."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["register"]

PANEL = "Portals"
Officer = Annotated[str, typer.Option(help="Your officer pseudonym; it stands in the log.")]
Notice = Annotated[str, typer.Argument(help="The notice's id.")]
System = Annotated[str, typer.Argument(help="The portal's system, such as `palapa-mojo`.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    notices = typer.Typer(no_args_is_help=True, help="What portals are told: that an answer was reviewed.")
    notices.command("list")(list_notices)
    notices.command("show")(show_notice)
    notices.command("retry")(retry)
    notices.command("discard")(discard)
    app.add_typer(notices, name="notices", rich_help_panel=PANEL)
    webhooks = typer.Typer(no_args_is_help=True, help="The addresses to which notices are sent.")
    webhooks.command("list")(list_webhooks)
    webhooks.command("add")(add)
    webhooks.command("approve")(approve)
    webhooks.command("pause")(pause)
    webhooks.command("remove")(remove)
    app.add_typer(webhooks, name="webhooks", rich_help_panel=PANEL)


def list_notices(
    system: Annotated[str | None, typer.Option(help="Only this portal's system.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only `queued`, `delivered`, `dead`, `dropped` or `discarded`.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Notices, the newest first; `--state dead` lists those that could not be delivered."""
    from lintas.notices_view import notice_rows

    columns = ("notice", "system", "number", "service", "state", "attempts", "problem", "due_at")
    print_rows(notice_rows(system, state, limit), columns, as_json=as_json, empty="there are no notices")


def show_notice(notice: Notice, as_json: AsJson = False) -> None:
    """One notice with everything about it but the person."""
    from lintas.notices_view import notice_fields

    print_fields(notice_fields(notice), as_json=as_json)


def retry(
    notice: Notice,
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Send a notice again from the beginning, under its own id: one that is dead, or was delivered."""
    from lintas.notices_view import retry_notice

    print_fields(retry_notice(notice, officer=officer), as_json=as_json)


def discard(
    notice: Notice,
    officer: Officer,
    reason: Annotated[str, typer.Option(help="Why, as a code such as `told-by-telephone`.")],
    as_json: AsJson = False,
) -> None:
    """Give a notice up, so that later ones of its application may be sent; only the portal's agency may."""
    from lintas.notices_view import discard_notice

    print_fields(discard_notice(notice, officer=officer, reason=reason), as_json=as_json)


def list_webhooks(as_json: AsJson = False) -> None:
    """Every registered address, and whether it is used."""
    from lintas.notices_view import webhook_rows

    columns = ("system", "url", "status", "ca_pinned", "reason", "approved_by")
    print_rows(webhook_rows(), columns, as_json=as_json, empty="no portal has a webhook")


def add(
    system: System,
    url: Annotated[str, typer.Argument(help="An https address without login, query or fragment.")],
    officer: Officer,
    ca: Annotated[
        Path | None, typer.Option(help="File with the certificate (PEM) of the authority to trust for it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register where a portal is told; active at once by a steward of the operator, else it waits for one."""
    from lintas.notices_view import add_webhook

    print_fields(add_webhook(system, url, ca, officer=officer), as_json=as_json)


def approve(
    system: System,
    url: Annotated[
        str, typer.Argument(help="The address that you looked at, as `lintas webhooks list` shows it.")
    ],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Let notices be sent to the address that a portal registered, or again after a pause; the operator's."""
    from lintas.notices_view import approve_webhook

    print_fields(approve_webhook(system, url, officer=officer), as_json=as_json)


def pause(
    system: System,
    officer: Officer,
    reason: Annotated[str, typer.Option(help="Why; `lintas webhooks list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Send nothing to a portal for the time being; its notices are kept in their order."""
    from lintas.notices_view import pause_webhook

    print_fields(pause_webhook(system, officer=officer, reason=reason), as_json=as_json)


def remove(system: System, officer: Officer, as_json: AsJson = False) -> None:
    """Forget a portal's address; it still reads its notices by itself."""
    from lintas.notices_view import remove_webhook

    print_fields(remove_webhook(system, officer=officer), as_json=as_json)
