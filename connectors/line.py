"""A line to a server: resolve its name, connect, have it prove its name, each step tried on its own."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import closing
from dataclasses import dataclass, field

from foundation.http_errors import AgencyUnreachable, TlsRefused

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass(frozen=True, slots=True)
class Line:
    """Where a server listens, and how TLS begins there.

    Attributes:
        host: The server's name, which its certificate must prove.
        port: The server's port.
        timeout: Seconds that a step may take.
        ca_pem: Certificates that may vouch for the server; the machine's own when None.
        protocol: What is spoken inside TLS, as ALPN names it; nothing is offered when None.
        ask_first: Whether TLS is asked for in PostgreSQL's way instead of beginning at once.
    """

    host: str
    port: int
    timeout: float
    ca_pem: str | None = field(default=None, repr=False)
    protocol: str | None = None
    ask_first: bool = False

    def resolve(self) -> str:
        """Find the host's address."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            raise AgencyUnreachable(
                f"The name {self.host} cannot be resolved",
                remedy="Check the system's address with the agency, and the name server of this machine",
                host=self.host,
            ) from None
        return str(found[0][4][0])

    def connect(self) -> socket.socket:
        """Open a line to the server."""
        try:
            return socket.create_connection((self.host, self.port), timeout=self.timeout)
        except OSError as error:
            raise AgencyUnreachable(
                f"{self.host}:{self.port} does not accept connections",
                why="No answer in time" if isinstance(error, TimeoutError) else "The connection was refused",
                remedy="Ask the agency whether the system runs and lets this machine's address in",
                host=self.host,
                port=self.port,
            ) from None

    def secure(self) -> str:
        """Have the server prove its name; tells the protocol's version."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        if self.protocol:
            context.set_alpn_protocols([self.protocol])
        try:
            with closing(self.connect()) as line:
                if self.ask_first:
                    _ask_for_tls(line)
                with context.wrap_socket(line, server_hostname=self.host) as secured:
                    return str(secured.version())
        except ssl.SSLCertVerificationError as error:
            raise TlsRefused(
                f"The certificate of {self.host}:{self.port} does not prove its name",
                why=error.verify_message,
                remedy="Register the agency's CA certificate for this system, or have it renewed",
                host=self.host,
            ) from None
        except OSError:
            raise TlsRefused(
                f"{self.host}:{self.port} does not speak TLS",
                remedy="Have TLS switched on there; connections without it are never made",
                host=self.host,
            ) from None


def _ask_for_tls(line: socket.socket) -> None:
    line.sendall(_SSL_REQUEST)
    if line.recv(1) != b"S":
        raise OSError("TLS refused")
