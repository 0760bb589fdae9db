"""Syslog messages (RFC 5424) in frames that count octets, over TLS (RFC 5425).

Syslog has no acknowledgement of its own. What comes nearest is the end of the connection: after each batch
we say `close_notify` and wait for the receiver's, which by RFC 5425 §4.4 it sends when it has taken what came
before. Only then is a batch delivered. `sequenceId` counts the messages of one stream, so a receiver sees a
gap, and a message that comes twice has the same number both times.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from audit.streaming.cef import cef, severity
from audit.streaming.destination import Destination
from audit.streaming.errors import NotAcknowledged, ReceiverRefused, StreamUnreachable
from audit.streaming.logged import LoggedEntry, Origin
from foundation.http import TlsPolicy

__all__ = ["SyslogDelivery", "frame", "message"]

_FACILITY = 13  # log audit
_WARNING, _NOTICE, _INFORMATIONAL = 4, 5, 6
_LARGEST_SEQUENCE = 2**31 - 1
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0


class SyslogDelivery:
    """Sends batches to one syslog receiver; each batch on a connection of its own.

    Args:
        destination: the receiver.
        origin: the log that speaks.
        tls: whom to trust and who we are.
    """

    def __init__(self, destination: Destination, origin: Origin, tls: TlsPolicy) -> None:
        self._destination = destination
        self._origin = origin
        self._context = tls.context()

    def send(self, batch: Sequence[LoggedEntry], sequence: int) -> None:
        """Send a batch, and return when the receiver has acknowledged it.

        Raises:
            StreamUnreachable, NotAcknowledged: to be tried again.
            ReceiverRefused: when there is no trust between us.
        """
        frames = [
            frame(message(entry, self._origin, sequence + offset)) for offset, entry in enumerate(batch)
        ]
        name = self._destination.name
        try:
            with self._connect() as connection:
                connection.sendall(b"".join(frames))
                self._await_acknowledgement(connection)
        except ssl.SSLCertVerificationError as error:
            raise ReceiverRefused(
                f"The certificate of the receiver of {name} is not to be trusted",
                why=error.verify_message,
                remedy="Register the stream with the authority of the receiver's certificate (--ca)",
            ) from None
        except ssl.SSLError as error:
            raise NotAcknowledged(
                f"The receiver of {name} did not end the connection as RFC 5425 asks",
                why=error.reason or type(error).__name__,
                remedy="Look at the receiver's log; it may want a client certificate",
            ) from None
        except OSError as error:
            raise StreamUnreachable(
                f"The connection to the receiver of {name} did not come about, or broke",
                why=type(error).__name__,
                remedy="It is tried again",
            ) from None

    def close(self) -> None:
        """Nothing stays open between batches."""

    def _connect(self) -> ssl.SSLSocket:
        to = self._destination
        failed: OSError | None = None
        for address in to.addresses.resolve(to.host, to.port):
            try:
                plain = socket.create_connection((address, to.port), timeout=_CONNECT_SECONDS)
            except OSError as error:
                failed = error
                continue
            try:
                plain.settimeout(_ANSWER_SECONDS)
                return self._context.wrap_socket(plain, server_hostname=to.host)
            except BaseException:
                plain.close()
                raise
        raise failed or OSError("no address")

    def _await_acknowledgement(self, connection: ssl.SSLSocket) -> None:
        """Our `close_notify`, then the receiver's, then the end of the connection (a reset is none)."""
        plain = connection.unwrap()
        try:
            rest = plain.recv(1)
        finally:
            plain.close()
        if rest:
            raise NotAcknowledged("The receiver went on after the end of the connection")


def message(entry: LoggedEntry, origin: Origin, sequence: int) -> bytes:
    """One entry as an RFC 5424 message."""
    priority = _FACILITY * 8 + _level(entry)
    number = (sequence - 1) % _LARGEST_SEQUENCE + 1
    structured = (
        f'[meta sequenceId="{number}"][origin software="Lintas" swVersion="{_parameter(origin.version)}"]'
    )
    head = f"<{priority}>1 {entry.time} {_printable(origin.host)} lintas - {_printable(entry.kind)[:32]}"
    return f"{head} {structured} {cef(entry, origin)}".encode()


def frame(content: bytes) -> bytes:
    """A message with its length in octets before it (RFC 5425 §4.3)."""
    return str(len(content)).encode() + b" " + content


def _level(entry: LoggedEntry) -> int:
    found = severity(entry)
    return _WARNING if found > 5 else _NOTICE if found == 5 else _INFORMATIONAL


def _parameter(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _printable(text: str) -> str:
    return "".join(each for each in text if "!" <= each <= "~") or "-"
