"""A syslog receiver as RFC 5425 describes one: TLS, frames that count octets, and a last word at the end."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path

MESSAGE = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<process>\S+) (?P<kind>\S+) "
    r"(?P<data>(?:\[(?:[^\]\\]|\\.)*\])+) (?P<text>CEF:.*)",
    re.DOTALL,
)


@dataclass
class SyslogReceiver:
    """Keeps what arrives; `manners` says how it ends a connection: polite, rude, or deaf (it never reads)."""

    context: ssl.SSLContext
    manners: str = "polite"
    messages: list[str] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> SyslogReceiver:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stopping = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"syslog+tls://localhost:{self.port}"

    @property
    def parsed(self) -> list[dict[str, str]]:
        found = [MESSAGE.fullmatch(message) for message in self.messages]
        assert all(found), "not RFC 5424"
        return [each.groupdict() for each in found]

    def _accept(self) -> None:
        while True:
            plain, _ = self._listener.accept()
            if self._stopping:
                plain.close()
                return
            self.connections += 1
            plain.settimeout(5)
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self._serve(connection)
            except OSError:
                plain.close()

    def _serve(self, connection: ssl.SSLSocket) -> None:
        if self.manners == "deaf":
            connection.shutdown(socket.SHUT_RDWR)
            return
        text = b""
        while chunk := connection.recv(65_536):
            text += chunk
        if self.manners == "rude":
            return
        self.messages += [each.decode() for each in unframed(text)]
        connection.unwrap().close()


def unframed(text: bytes) -> list[bytes]:
    found = []
    while text:
        length, _, rest = text.partition(b" ")
        found.append(rest[: int(length)])
        assert len(found[-1]) == int(length)
        text = rest[int(length) :]
    return found


def server_context(authority, client_ca: Path | None = None) -> ssl.SSLContext:
    certificate, key = authority.issue("receiver", ["localhost", "127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca and str(client_ca))
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


_EXTENSION = re.compile(r"(?:^| )([A-Za-z0-9]+)=((?:[^\\=]|\\.)*?)(?= [A-Za-z0-9]+=|$)", re.DOTALL)


def read_cef(text: str) -> tuple[list[str], dict[str, str]]:
    """Header and extension of a CEF line, unescaped; written from the format's description."""
    parts, current, position = [], "", 0
    while len(parts) < 7:
        character = text[position]
        if character == "\\":
            position += 1
            current += text[position]
        elif character == "|":
            parts.append(current)
            current = ""
        else:
            current += character
        position += 1
    plain = {"n": "\n", "r": "\r"}
    extension = {
        key: re.sub(r"\\(.)", lambda found: plain.get(found[1], found[1]), value)
        for key, value in _EXTENSION.findall(text[position:])
    }
    return parts, extension
