"""A FHIR server of an agency: its address, its token, its searches, and nothing else that could be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
from pydantic import SecretStr

from connectors.configuration import FhirConfiguration
from connectors.errors import FhirVersionRefused, NextLinkForeign
from connectors.line import Line
from connectors.web_service import Manner, WebAddress
from foundation.collector import collection_paused
from foundation.http import (
    BodyCut,
    HttpClient,
    HttpResponse,
    OAuth2ClientCredentials,
    UnexpectedContent,
)

T = TypeVar("T")

_MEDIA_TYPE = "application/fhir+json"
_TRIES = 3
_LONGEST_LINK = 8_192


@dataclass(frozen=True, slots=True)
class FhirService:
    """A server that lets the bus search at one registered address."""

    configuration: FhirConfiguration
    system_id: str
    address: WebAddress
    line: Line
    client: HttpClient
    credentials: OAuth2ClientCredentials

    @classmethod
    def open(
        cls,
        configuration: FhirConfiguration,
        *,
        system_id: str,
        address: str | None,
        ca_pem: str | None,
        client_id: SecretStr,
        client_secret: SecretStr,
        manner: Manner | None = None,
    ) -> FhirService:
        """Bind a server; nothing is called yet.

        Raises:
            ConfigurationInvalid: When the registered address is none.
        """
        place = WebAddress.parse(address)
        client = place.client(system_id, ca_pem, manner or Manner.in_pages(configuration))
        grant = "?grant_type=client_credentials" if configuration.grant_type_in_url else ""
        credentials = OAuth2ClientCredentials(
            client,
            f"{place.base}{configuration.token_path}{grant}",
            client_id.get_secret_value(),
            client_secret,
            scope=configuration.scope or None,
            in_body=True,
            pause_after_refusal=configuration.login_pause_seconds,
            shared=True,
        )
        client.credentials = credentials
        return cls(configuration, system_id, place, place.line(ca_pem), client, credentials)

    @property
    def base(self) -> str:
        """What every search is put behind."""
        return self.address.base + self.configuration.base_path.rstrip("/")

    def first(self, parameters: Mapping[str, str]) -> str:
        """The address of the first page of a search, below `base`."""
        return f"/{self.configuration.resource}?{urlencode(parameters)}"

    def ask(self, path: str) -> HttpResponse:
        """Ask for one page of a search."""
        return self.client.request("GET", self.base + path, headers=self._accepting)

    def page(self, path: str, read: Callable[[Mapping[str, Any]], T], reply: HttpResponse | None = None) -> T:
        """Read one page of a search; a document that ends too early is asked for again.

        Args:
            path: The page, below `base`.
            read: What is made of the document; the document itself is let go at once.
            reply: The page, where it has been asked for already.
        """
        for left in reversed(range(_TRIES)):
            reply = reply or self.ask(path)
            try:
                with collection_paused():
                    return read(self._read(reply))
            except BodyCut:
                reply = None
                if not left:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")  # pragma: no cover

    def search(self, question: Mapping[str, str], seconds: float) -> Mapping[str, Any]:
        """Search for somebody; the question travels in the body (`POST …/_search`), never in the address."""
        reply = self.client.request(
            "POST",
            f"{self.base}/{self.configuration.resource}/_search",
            form=question,
            headers=self._accepting,
            idempotent=True,
            deadline=seconds,
        )
        return self._read(reply)

    def capabilities(self) -> Mapping[str, Any]:
        """What the server says of itself."""
        return self._read(self.client.request("GET", f"{self.base}/metadata", headers=self._accepting))

    def below(self, link: str, path: str) -> str:
        """A link of a page as a path below `base`.

        Args:
            link: The link, whole or relative.
            path: The page that it stood on.

        Raises:
            NextLinkForeign: When it leads anywhere else.
        """
        try:
            found = urlsplit(urljoin(self.base + path, link))
            ours = urlsplit(self.base)
            home = (found.scheme, found.hostname, found.port or self.address.port) == (
                ours.scheme,
                ours.hostname,
                self.address.port,
            )
        except ValueError:
            home = False
        inside = home and (found.path == ours.path or found.path.startswith(f"{ours.path}/"))
        if not inside or found.username or "/../" in f"{found.path}/" or len(link) > _LONGEST_LINK:
            raise NextLinkForeign(
                "The link to the next page leads away from the registered address",
                why="Our token would go there with the question",
                remedy="Tell the agency: links must begin with the address at which the server was called; a "
                "proxy in front of it may have to be told its outer name",
            )
        rest = found.path[len(ours.path) :]
        return f"{rest}?{found.query}" if found.query else rest

    def close(self) -> None:
        """Give back every connection."""
        self.client.close()

    @property
    def _accepting(self) -> dict[str, str]:
        return {"Accept": f"{_MEDIA_TYPE}; fhirVersion={self.configuration.fhir_version}"}

    def _read(self, reply: HttpResponse) -> Mapping[str, Any]:
        told = reply.headers.get("content-type", "").replace(" ", "").partition("fhirVersion=")[2]
        if told and not told.startswith(self.configuration.fhir_version):
            raise version_refused(self.configuration.fhir_version, "The server's reply is of another version")
        try:
            document = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            document = reply.json()  # names what is wrong with it
        if not isinstance(document, dict):
            raise UnexpectedContent(
                f"{reply.endpoint} answered JSON that is no FHIR resource",
                remedy="Check base_path in the contract",
                endpoint=reply.endpoint,
            )
        return document


def version_refused(agreed: str, why: str) -> FhirVersionRefused:
    """The error of a version that was not agreed."""
    return FhirVersionRefused(
        f"This is not FHIR {agreed}, which the contract agrees on",
        why=why,
        remedy="Ask the agency for the address of that version of its server; under the same names another "
        "version means other things, so none of it is read",
        agreed=agreed,
    )
