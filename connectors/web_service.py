"""What every connector over HTTP shares: the registered address, and the manner in which it is called."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from connectors.errors import ConfigurationInvalid
from connectors.line import Line
from connectors.lookups import LONGEST_ANSWER_MEGABYTES
from foundation.http import (
    AddressPolicy,
    CircuitBreaker,
    HttpClient,
    Limits,
    RetryPolicy,
    Timeouts,
    TlsPolicy,
)

_MEGABYTE = 1024 * 1024
_PORTS = {"https": 443, "http": 80}


class Patience(Protocol):
    """The part of a configuration that says what a page may cost."""

    @property
    def timeout_seconds(self) -> float:
        """Longest that one reply may take."""

    @property
    def page_megabytes(self) -> int:
        """Most that a page may hold."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a service is called."""

    timeouts: Timeouts
    limits: Limits
    retry: RetryPolicy
    breaker: CircuitBreaker

    @classmethod
    def in_pages(cls, patience: Patience) -> Manner:
        """Patiently: large replies, each asked for again when it fails."""
        seconds = patience.timeout_seconds
        return cls(
            Timeouts(read=seconds, total=4 * seconds),
            Limits(body_bytes=patience.page_megabytes * _MEGABYTE, connections=2),
            RetryPolicy(),
            CircuitBreaker(),
        )

    @classmethod
    def live(cls, patience: Patience) -> Manner:
        """Within somebody's budget: small replies, and one more try for a line that had gone stale.

        The circuit breaker of a look-up stands around the whole question, so that it sees also what never
        came as far as a call.
        """
        seconds = patience.timeout_seconds
        return cls(
            Timeouts(connect=min(5.0, seconds), read=seconds, total=seconds),
            Limits(body_bytes=LONGEST_ANSWER_MEGABYTES * _MEGABYTE, connections=8),
            RetryPolicy(attempts=2, first_wait=0.02, longest_wait=0.1),
            CircuitBreaker(sys.maxsize),
        )


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address of a service, as the operator registered it.

    Attributes:
        base: What every path of the service is put behind, without a slash at its end.
        host: The server's name.
        port: The server's port.
    """

    base: str
    host: str
    port: int

    @classmethod
    def parse(cls, address: str | None) -> WebAddress:
        """Read an address.

        Raises:
            ConfigurationInvalid: When it is none, or carries a secret.
        """
        try:
            parts = urlsplit(address or "")
            whole = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            whole = False
        if not whole:
            raise ConfigurationInvalid(["the system's endpoint_url is missing or is no http(s) address"])
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigurationInvalid(
                ["the system's endpoint_url must carry no credentials, query or fragment"]
            )
        return cls(
            f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}",
            parts.hostname or "",
            parts.port or _PORTS[parts.scheme],
        )

    @property
    def is_secured(self) -> bool:
        """Whether it is one of TLS; without it only this machine itself can be called."""
        return self.base.startswith("https:")

    def line(self, ca_pem: str | None) -> Line:
        """The way to the server."""
        return Line(host=self.host, port=self.port, timeout=10.0, ca_pem=ca_pem, protocol="http/1.1")

    def client(self, system_id: str, ca_pem: str | None, manner: Manner) -> HttpClient:
        """A client that may call this address and no other."""
        return HttpClient(
            AddressPolicy([f"{self.host}:{self.port}"]),
            system=system_id,
            tls=TlsPolicy(ca_pem=ca_pem),
            timeouts=manner.timeouts,
            limits=manner.limits,
            retry=manner.retry,
            breaker=manner.breaker,
        )
