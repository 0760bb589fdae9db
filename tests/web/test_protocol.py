"""What a caller that nobody knows can hold up: nothing for long, and little memory."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from tests.verification.city import City
from tests.web.serving import browser
from web.protocol import MOST_HEAD_BYTES, BoundedProtocol

Connect = Callable[[], ssl.SSLSocket]


@pytest.fixture
def connect(api: str, city: City) -> Connect:
    trust = ssl.create_default_context(cafile=str(city.installation.authority.ca_path))
    place = urlsplit(api)

    def opened() -> ssl.SSLSocket:
        plain = socket.create_connection((place.hostname, place.port), timeout=20)
        return trust.wrap_socket(plain, server_hostname=place.hostname)

    return opened


@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\n", b"x-filler: " + b"y" * 900 + b"\r\n"),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-filler: ", b"y" * 1000),
        (b"GET /", b"y" * 1000),
    ],
    ids=["ever more headers", "one header", "the path"],
)
def test_a_head_without_end_is_cut_off(connect: Connect, begun: bytes, endless: bytes) -> None:
    def goes_on() -> bool:
        try:
            line.sendall(endless)
        except OSError:
            return False
        return True

    with connect() as line:
        line.sendall(begun)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and goes_on():
            pass
        assert time.monotonic() < deadline


def test_a_head_that_is_too_long_is_told_so(connect: Connect) -> None:
    with connect() as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-filler: " + b"y" * MOST_HEAD_BYTES)
        assert line.recv(1000).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /health/live HT", b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_request_that_never_comes_is_not_waited_for(
    connect: Connect, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "longest_seconds", 0.3)
    started = time.monotonic()
    with connect() as line:
        line.sendall(begun)
        with contextlib.suppress(ConnectionError):
            assert line.recv(1000) == b""
    assert time.monotonic() - started < 10


def test_many_requests_over_one_connection_are_none_of_this(
    api: str, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "longest_seconds", 1.0)
    with browser(api, city) as client:
        for _ in range(3):
            for _ in range(20):
                assert client.get("/health/live", headers={"x-filler": "y" * 4000}).status_code == 200
            body = {"client_assertion": "y" * 50_000}
            assert client.post("/oauth/token", data=body).status_code == 400
            time.sleep(0.6)
        assert isinstance(client, httpx.Client)
