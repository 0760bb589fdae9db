"""A real HTTPS server whose replies a test scripts, raw bytes included."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Reply = bytes | Callable[[socket.socket, Received], None]


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def json_reply(document: object, status: int = 200, **headers: str) -> bytes:
    return reply(status, json.dumps(document).encode(), **headers)


@dataclass
class HttpsServer:
    """Answers each request with the next scripted reply; the last one repeats."""

    context: ssl.SSLContext | None
    replies: list[Reply] = field(default_factory=lambda: [reply()])
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> HttpsServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._loop = threading.Thread(target=self._accept)
        self._loop.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping = True
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._loop.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._stopping:
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=[connection])
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)
        except OSError:
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        text = b""
        while b"\r\n\r\n" not in text:
            chunk = connection.recv(65536)
            if not chunk:
                return
            text += chunk
        head, _, body = text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, target, _ = first.split(" ")
        self.received.append(Received(method, target, headers, body))
        answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(answer):
            answer(connection, self.received[-1])
        else:
            connection.sendall(answer)
