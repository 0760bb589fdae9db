"""How a batch reaches a receiver: what is common to all, HTTPS, and the choice of the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from audit.streaming.destination import Destination, StreamFormat
from audit.streaming.errors import NotAcknowledged
from audit.streaming.fhir import audit_events, bundle
from audit.streaming.logged import LoggedEntry, Origin, product_version
from audit.streaming.ocsf import ocsf
from audit.streaming.syslog import SyslogDelivery
from foundation.http import HeaderCredentials, HttpClient, Limits, RetryPolicy, Timeouts, TlsPolicy
from foundation.secrets import SecretResolver

if TYPE_CHECKING:
    from foundation.settings import Settings

__all__ = ["Delivery", "delivery_to", "origin_of"]

_REPLY_BYTES = 4 * 1024 * 1024
_TIMEOUTS = Timeouts(connect=5.0, read=20.0, total=30.0)


class Delivery(Protocol):
    """A way to one receiver."""

    def send(self, batch: Sequence[LoggedEntry], sequence: int) -> None:
        """Send a batch and return once the receiver has acknowledged all of it."""

    def close(self) -> None:
        """Close what is open."""


def delivery_to(destination: Destination, settings: Settings, namespace: str) -> Delivery:
    """The way to a destination.

    Args:
        destination: the receiver.
        settings: of the installation.
        namespace: agency whose secrets hold credentials and client certificates: the operator's.

    Raises:
        SecretMissing: when the destination's secret is not there.
        TlsFilesBroken: when a certificate cannot be read.
    """
    secrets = SecretResolver(namespace, settings)
    tls = TlsPolicy(ca_pem=destination.ca_pem, **_client_files(destination, secrets.directory))
    origin = origin_of(settings)
    if destination.format is StreamFormat.CEF:
        return SyslogDelivery(destination, origin, tls)
    credentials = None
    if destination.credential is not None:
        credentials = HeaderCredentials(
            destination.credential_header, secrets.resolve(destination.credential)
        )
    client = HttpClient(
        destination.addresses,
        system=f"the receiver of {destination.name}",
        tls=tls,
        timeouts=_TIMEOUTS,
        limits=Limits(body_bytes=_REPLY_BYTES, connections=2),
        retry=RetryPolicy.never(),
        credentials=credentials,
    )
    return _HttpsDelivery(destination, origin, client)


def origin_of(settings: Settings) -> Origin:
    """The log of an installation, as streams name it."""
    url = settings.api_public_url or f"https://{settings.api_host}:{settings.api_port}"
    return Origin(log=settings.log_origin, url=url, version=product_version())


class _HttpsDelivery:
    """Posts batches: OCSF as a JSON array, FHIR as a Bundle whose every part must have been taken."""

    def __init__(self, destination: Destination, origin: Origin, client: HttpClient) -> None:
        self._destination = destination
        self._origin = origin
        self._client = client

    def send(self, batch: Sequence[LoggedEntry], sequence: int) -> None:  # noqa: ARG002 - ids say it all
        is_fhir = self._destination.format is StreamFormat.FHIR
        body: Any
        if is_fhir:
            body = bundle([event for entry in batch for event in audit_events(entry, self._origin)])
        else:
            body = [ocsf(entry, self._origin) for entry in batch]
        headers = {
            "Content-Type": "application/fhir+json" if is_fhir else "application/json",
            "Idempotency-Key": f"{self._destination.name}:{batch[0].entry_id}:{batch[-1].entry_id}",
        }
        reply = self._client.request(
            "POST", self._destination.url, content=orjson.dumps(body), headers=headers
        )
        if is_fhir:
            _require_all_taken(reply.json(), len(body["entry"]))

    def close(self) -> None:
        self._client.close()


def _require_all_taken(reply: Any, expected: int) -> None:
    """A FHIR server answers a batch with one status for each part."""
    parts = reply.get("entry", []) if isinstance(reply, dict) else []
    statuses = [str(part.get("response", {}).get("status", "")) for part in parts if isinstance(part, dict)]
    taken = sum(status.startswith("2") for status in statuses)
    if taken != expected or len(statuses) != expected:
        raise NotAcknowledged(
            f"The FHIR server took {taken} of {expected} events",
            why="a batch is delivered when every part of it was taken",
            remedy="Look at the server's log; all of them are sent again under the same ids",
            statuses=sorted({status[:3] for status in statuses}),
        )


def _client_files(destination: Destination, directory: Path) -> dict[str, Path]:
    if destination.client is None:
        return {}
    return {
        "client_certificate": directory / f"{destination.client}.pem",
        "client_key": directory / f"{destination.client}.key",
    }
