"""Where the log is sent: SIEMs and other receivers, each with a format and a filter."""

from pathlib import Path
from typing import Annotated

import typer

from lintas.output import AsJson, print_fields, print_rows

__all__ = ["add_to"]

Officer = Annotated[str, typer.Option(help="Your officer pseudonym; it stands in the log.")]
Name = Annotated[str, typer.Argument(help="Name of the stream, such as `soc`.")]


def add_to(audit: typer.Typer) -> None:
    """Add the commands of this module to `lintas audit`."""
    group = typer.Typer(no_args_is_help=True, help="Send the log to SIEMs: OCSF, CEF over syslog, FHIR.")
    group.command("add")(add)
    group.command("list")(list_streams)
    group.command("test")(try_out)
    group.command("status")(status)
    group.command("remove")(remove)
    audit.add_typer(group, name="streams")


def add(
    name: Name,
    *,
    officer: Officer,
    format: Annotated[str, typer.Option("--format", help="`ocsf`, `cef` or `fhir`.")],
    to: Annotated[str, typer.Option(help="`https://…`, or `syslog+tls://host:port` for CEF.")],
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds, such as `exchange.*`.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Only data of these agencies.")] = None,
    consumer: Annotated[list[str] | None, typer.Option(help="Only what these agencies did.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Only for these purposes.")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only about these datasets, such as `dinkes-mojokerto/*`.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="File with the authority of the receiver's certificate (PEM).")
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(help="Name of our certificate: NAME.pem and NAME.key among the operator's secrets."),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="Reference to what is sent in the header, such as `file:soc-token`.")
    ] = None,
    header: Annotated[str, typer.Option(help="Header that carries the secret.")] = "Authorization",
    since: Annotated[
        int | None, typer.Option(min=0, help="Number of the first entry to send (default: from now on).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send entries to a receiver from now on; only the operator's stewards decide that."""
    from lintas.streams_view import add_stream

    filters = {
        "kinds": kind or (),
        "providers": provider or (),
        "consumers": consumer or (),
        "purposes": purpose or (),
        "datasets": dataset or (),
    }
    added = add_stream(
        name,
        format,
        to,
        officer=officer,
        filters=filters,
        ca=ca,
        client=client,
        credential=secret,
        header=header,
        since=since,
    )
    print_fields(added, as_json=as_json)


def list_streams(as_json: AsJson = False) -> None:
    """Where the log is sent, in which format, and which entries."""
    from lintas.streams_view import stream_rows

    columns = ("stream", "format", "to", "filter", "ca_pinned", "client")
    print_rows(stream_rows(), columns, as_json=as_json, empty="the log is sent nowhere")


def try_out(name: Name, officer: Officer, as_json: AsJson = False) -> None:
    """Send one trial entry to a receiver, and wait for its acknowledgement."""
    from lintas.streams_view import try_stream

    print_fields(try_stream(name, officer=officer), as_json=as_json)


def status(as_json: AsJson = False) -> None:
    """How far each stream has come, what waits, and what fails since when."""
    from lintas.streams_view import stream_states

    columns = ("stream", "state", "waiting", "sent", "delivered_at", "failures", "problem", "next_attempt_at")
    print_rows(stream_states(), columns, as_json=as_json, empty="the log is sent nowhere")


def remove(name: Name, officer: Officer, as_json: AsJson = False) -> None:
    """Send nothing more to a receiver, and forget how far it had come."""
    from lintas.streams_view import remove_stream

    print_fields(remove_stream(name, officer=officer), as_json=as_json)
