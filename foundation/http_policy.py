"""How the bus calls other systems, as small values: timeouts, limits, retries, TLS, addresses."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from foundation.errors import FixInstallation
from foundation.http_errors import AddressRefused, AgencyUnreachable

__all__ = ["AddressPolicy", "Limits", "RetryPolicy", "Timeouts", "TlsFilesBroken", "TlsPolicy"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TlsFilesBroken(FixInstallation):
    """A certificate or key file for outgoing TLS cannot be used."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a call may take: to connect, between two reads, and in all."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 120.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reply may cost us."""

    body_bytes: int = 64 * 1024 * 1024
    connections: int = 10


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is repeated (exponential back-off with jitter).

    A pause that the other side asks for (``Retry-After``) is kept when it is no longer than
    ``longest_pause``; a longer one is handed to the caller as an error at once.
    """

    attempts: int = 4
    first_wait: float = 0.25
    longest_wait: float = 10.0
    jitter: float = 0.5
    longest_pause: float = 60.0

    @classmethod
    def never(cls) -> RetryPolicy:
        """Return a policy that tries once."""
        return cls(attempts=1)


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """Whom we trust and who we are; verification cannot be turned off.

    Attributes:
        ca_file: Authority of the other side (default: the system's authorities).
        ca_pem: The same as PEM text.
        client_certificate: Our certificate chain, where the other side asks for one (mTLS).
        client_key: Its private key.
    """

    ca_file: Path | None = None
    ca_pem: str | None = field(default=None, repr=False)
    client_certificate: Path | None = None
    client_key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the TLS context.

        Raises:
            TlsFilesBroken: When a file is missing or holds no certificate.
        """
        try:
            cafile = str(self.ca_file) if self.ca_file else None
            context = ssl.create_default_context(cafile=cafile, cadata=self.ca_pem)
            if self.client_certificate:
                key = str(self.client_key) if self.client_key else None
                context.load_cert_chain(str(self.client_certificate), key)
        except (OSError, ValueError) as error:
            raise TlsFilesBroken(
                "A certificate for calling an agency's system cannot be read",
                why=type(error).__name__,
                remedy="Check the CA file and the client certificate of the system",
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class AddressPolicy:
    """Which addresses may be called: an allow-list of ``host:port``, and what the names may mean.

    Invariant: a connection goes to an address that was checked, not to a name that could be resolved
    again to something else. Link-local, multicast and unspecified addresses are never called (cloud
    metadata services live there), and loopback only when the list says so in its own words.

    Args:
        allowed: ``host:port`` entries.
        networks: When given, resolved addresses must lie in one of these networks.
    """

    def __init__(self, allowed: Iterable[str], networks: Iterable[str] = ()) -> None:
        self.allowed = frozenset(_endpoint(entry) for entry in allowed)
        self.networks: tuple[_Network, ...] = tuple(ipaddress.ip_network(entry) for entry in networks)

    def check(self, scheme: str, host: str, port: int) -> None:
        """Refuse what is not on the list, and anything unencrypted that leaves this machine.

        Raises:
            AddressRefused: When the bus may not call the address.
        """
        if (host.lower(), port) not in self.allowed:
            raise _refused(host, port, "it is not among the addresses that the operator allowed")
        if scheme != "https" and not (scheme == "http" and _names_loopback(host)):
            raise _refused(host, port, "only https may be used beyond this machine")

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be called.

        Raises:
            AgencyUnreachable: When the name does not resolve.
            AddressRefused: When it resolves to an address that must not be called.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise AgencyUnreachable(
                f"The name {host} does not resolve",
                remedy="Check the system's endpoint and the name server",
                host=host,
                port=port,
            ) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._check_address(host, port, _plain(ipaddress.ip_address(address)))
        return addresses

    def _check_address(self, host: str, port: int, address: _Address) -> None:
        never = address.is_link_local or address.is_multicast or address.is_unspecified
        if never or (address.is_loopback and not _names_loopback(host)):
            raise _refused(host, port, "it resolves to an address that must not be called")
        if self.networks and not any(address in network for network in self.networks):
            raise _refused(host, port, "it resolves to an address outside the allowed networks")


def _plain(address: _Address) -> _Address:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _names_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return _plain(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return False


def _endpoint(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not host or not port.isdigit():
        raise AddressRefused(
            f"{entry!r} is not an address", remedy="Write host:port, such as siak.example.go.id:443"
        )
    return host.strip("[]").lower(), int(port)


def _refused(host: str, port: int, why: str) -> AddressRefused:
    return AddressRefused(
        f"The bus may not call {host}:{port}",
        why=why,
        remedy="Let the operator register the system, or add it to LINTAS_ALLOWED_ADDRESSES",
        host=host,
        port=port,
    )
