"""A REST service of an agency: its address, its token, its replies, and nothing else that could be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from connectors.configuration import RestConfiguration
from connectors.errors import PageUnreadable
from connectors.line import Line
from connectors.web_service import Manner, WebAddress
from foundation.http import HttpClient, OAuth2ClientCredentials


@dataclass(frozen=True, slots=True)
class RestService:
    """A service that lets the bus ask at one registered address."""

    configuration: RestConfiguration
    system_id: str
    address: WebAddress
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
        manner: Manner | None = None,
    ) -> RestService:
        """Bind a service; nothing is called yet.

        Raises:
            ConfigurationInvalid: When the registered address is none.
        """
        place = WebAddress.parse(address)
        client = place.client(system_id, ca_pem, manner or Manner.in_pages(configuration))
        credentials = OAuth2ClientCredentials(
            client,
            place.base + configuration.token_path,
            client_id.get_secret_value(),
            client_secret,
            scope=configuration.scope or None,
        )
        client.credentials = credentials
        return cls(configuration, system_id, place, place.line(ca_pem), client, credentials)

    @property
    def is_secured(self) -> bool:
        """Whether the address is one of TLS; without it only this machine itself can be called."""
        return self.address.is_secured

    def page(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Ask for one page of the collection."""
        reply = self.client.get_json(self.address.base + self.configuration.path, params=dict(parameters))
        return _object(reply)

    def ask(self, key: Mapping[str, str], seconds: float) -> Mapping[str, Any]:
        """Ask for the records of a key; it travels in the body, never in the address."""
        path = self.configuration.lookup_path or self.configuration.path
        reply = self.client.request_json(
            "POST", self.address.base + path, json=dict(key), idempotent=True, deadline=seconds
        )
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
