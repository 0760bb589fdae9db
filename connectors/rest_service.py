"""A REST service of an agency: its address, its token, its replies, and nothing else that could be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from connectors.configuration import RestConfiguration
from connectors.errors import ConfigurationInvalid, PageUnreadable
from connectors.line import Line
from foundation.http import (
    AddressPolicy,
    HttpClient,
    Limits,
    OAuth2ClientCredentials,
    RetryPolicy,
    Timeouts,
    TlsPolicy,
)

_MEGABYTE = 1024 * 1024
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class RestService:
    """A service that lets the bus ask at one registered address."""

    configuration: RestConfiguration
    system_id: str
    address: str
    line: Line
    client: HttpClient
    credentials: OAuth2ClientCredentials

    @classmethod
    def open(
        cls,
        configuration: RestConfiguration,
        *,
        system_id: str,
        address: str | None,
        ca_pem: str | None,
        client_id: SecretStr,
        client_secret: SecretStr,
        retry: RetryPolicy | None = None,
    ) -> RestService:
        """Bind a service; nothing is called yet.

        Raises:
            ConfigurationInvalid: When the registered address is none.
        """
        parts = _parts(address)
        line = Line(
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            timeout=10.0,
            ca_pem=ca_pem,
            protocol="http/1.1",
        )
        timeouts = Timeouts(read=configuration.timeout_seconds, total=4 * configuration.timeout_seconds)
        client = HttpClient(
            AddressPolicy([f"{line.host}:{line.port}"]),
            system=system_id,
            tls=TlsPolicy(ca_pem=ca_pem),
            timeouts=timeouts,
            limits=Limits(body_bytes=configuration.page_megabytes * _MEGABYTE, connections=2),
            retry=retry or RetryPolicy(),
        )
        base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        credentials = OAuth2ClientCredentials(
            client,
            base + configuration.token_path,
            client_id.get_secret_value(),
            client_secret,
            scope=configuration.scope or None,
        )
        client.credentials = credentials
        return cls(configuration, system_id, base, line, client, credentials)

    @property
    def is_secured(self) -> bool:
        """Whether the address is one of TLS; without it only this machine itself can be called."""
        return self.address.startswith("https:")

    def page(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Ask for one page of the collection."""
        reply = self.client.get_json(self.address + self.configuration.path, params=dict(parameters))
        return _object(reply)

    def ask(self, key: Mapping[str, str]) -> Mapping[str, Any]:
        """Ask for one record; the key travels in the body, never in the address."""
        path = self.configuration.lookup_path or self.configuration.path
        reply = self.client.request_json("POST", self.address + path, json=dict(key), idempotent=True)
        return _object(reply)

    def close(self) -> None:
        """Give back every connection."""
        self.client.close()


def at(reply: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path of a reply; None where the path ends early."""
    found: Any = reply
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def unreadable(what: str, remedy: str) -> PageUnreadable:
    """A reply that is JSON and yet not a page."""
    return PageUnreadable(
        what, why="The reply is JSON of another shape than the contract says", remedy=remedy
    )


def _object(reply: Any) -> Mapping[str, Any]:
    if not isinstance(reply, dict):
        raise unreadable(
            "The service answered with JSON that is not an object",
            "Compare records_at and next_cursor_at in the contract with a reply of the service",
        )
    return reply


def _parts(address: str | None) -> SplitResult:
    try:
        parts = urlsplit(address or "")
        whole = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise ConfigurationInvalid(["the system's endpoint_url is missing or is no http(s) address"])
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationInvalid(["the system's endpoint_url must carry no credentials, query or fragment"])
    return parts
