"""Asks the group's own processes how they are: on 127.0.0.1, or on the network of their containers.

Everything that leaves the installation goes through `foundation.http`; this speaks only to the installation's
own processes, so it needs no retries, proxies or certificates of others.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LoopbackAnswer", "ask", "port_answers"]

HOST = "127.0.0.1"


@dataclass(frozen=True)
class LoopbackAnswer:
    """Status and decoded JSON body of an answer; the body is None when it is not JSON."""

    status: int
    body: Any


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: Mapping[str, Any] | None = None,
    token: str | None = None,
    ca_file: Path | None = None,
    timeout: float = 5.0,
    host: str = HOST,
) -> LoopbackAnswer:
    """Send one request to a process of the group.

    Raises:
        OSError: When nobody listens or the answer is cut off.
    """
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = _connection(host, port, ca_file, timeout)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        return LoopbackAnswer(response.status, _decoded(response.read()))
    except http.client.HTTPException as error:
        raise ConnectionError(type(error).__name__) from None
    finally:
        connection.close()


def port_answers(port: int) -> bool:
    """Whether somebody listens on the port."""
    try:
        ask(port, "/", timeout=1.0)
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def _connection(host: str, port: int, ca_file: Path | None, timeout: float) -> http.client.HTTPConnection:
    if ca_file is None:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    context = ssl.create_default_context(cafile=str(ca_file))
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
