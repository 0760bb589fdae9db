"""Streams to SIEMs as the command line shows and changes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from lintas.access import OPERATOR, connected

if TYPE_CHECKING:
    from audit.streaming import Destination

__all__ = ["add_stream", "remove_stream", "stream_rows", "stream_states", "try_stream"]


def add_stream(
    name: str,
    kind: str,
    url: str,
    *,
    officer: str,
    filters: Mapping[str, Sequence[str]],
    ca: Path | None = None,
    client: str | None = None,
    credential: str | None = None,
    header: str = "Authorization",
    since: int | None = None,
) -> dict[str, Any]:
    """Register a destination; only the operator decides where the log is sent."""
    from audit.streaming import Destination, StreamFilter
    from audit.streaming.destination import StreamFormat, add
    from audit.streaming.errors import StreamInvalid
    from participants.stewards import steward

    if kind not in list(StreamFormat):
        raise StreamInvalid(
            "The stream has no known format", remedy=f"Choose one of {', '.join(StreamFormat)}"
        )
    destination = Destination(
        name=name,
        format=StreamFormat(kind),
        url=url,
        filter=StreamFilter(**{field: tuple(values) for field, values in filters.items()}),
        ca_pem=ca.read_text(encoding="utf-8") if ca else None,
        client=client,
        credential=credential,
        credential_header=header,
    )
    with connected(Role.STEWARD) as (_, connection):
        steward(connection, officer).for_operator()
        add(connection, destination, by=officer, since=since)
    return _shown(destination)


def stream_rows() -> list[dict[str, Any]]:
    """Every destination."""
    from audit.streaming.destination import listed

    with connected(Role.STEWARD) as (_, connection):
        return [_shown(each) for each in listed(connection)]


def stream_states() -> list[dict[str, Any]]:
    """How far each stream has come."""
    from audit.streaming.destination import states

    with connected(Role.STEWARD) as (_, connection):
        return [
            {
                "stream": each.name,
                "state": "failing" if each.is_failing else "well",
                "waiting": each.waiting,
                "position": each.position,
                "sent": each.sent,
                "delivered_at": each.delivered_at,
                "failures": each.failures,
                "problem": each.problem,
                "failing_since": each.failing_since,
                "next_attempt_at": each.next_attempt_at,
            }
            for each in states(connection)
        ]


def try_stream(name: str, *, officer: str) -> dict[str, Any]:
    """Send one trial entry, and record that it was tried and how it went."""
    from audit.streaming.destination import find, log_test
    from audit.streaming.trial import send_trial
    from foundation.errors import LintasError
    from participants.stewards import steward

    with connected(Role.STEWARD) as (installation, connection):
        steward(connection, officer).for_operator()
        destination = find(connection, name)
        connection.commit()  # nothing stays open while the receiver is asked
        try:
            sent = send_trial(destination, installation.settings, OPERATOR, officer)
        except LintasError as error:
            log_test(connection, destination, by=officer, problem=error.code)
            connection.commit()
            raise
        log_test(connection, destination, by=officer, problem=None)
    return {"stream": name, "acknowledged": True, "trial": sent}


def remove_stream(name: str, *, officer: str) -> dict[str, Any]:
    """Send no more to a destination."""
    from audit.streaming.destination import remove
    from participants.stewards import steward

    with connected(Role.STEWARD) as (_, connection):
        steward(connection, officer).for_operator()
        remove(connection, name, by=officer)
    return {"stream": name, "status": "removed"}


def _shown(destination: "Destination") -> dict[str, Any]:
    return {
        "stream": destination.name,
        "format": str(destination.format),
        "to": destination.url,
        "filter": str(destination.filter),
        "ca_pinned": destination.ca_pem is not None,
        "client": destination.client,
        "credential": destination.credential,
    }
