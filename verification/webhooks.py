"""Where portals are told: one https address per system, nothing sent to it before the operator agreed.

Invariant: an address becomes active only by the operator's word, or when it is at the host and port of the
endpoint under which the operator registered the system. A portal by itself can make the bus call nobody else,
and cannot end a pause. The database keeps it: standing is made by a trigger, and only the steward's role may
write another.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg

from audit.entry import EntryDraft, EntryKind, looks_personal
from audit.log import append
from foundation import clock
from foundation.http import AddressPolicy, TlsPolicy
from participants.registry import system as registered_system
from verification.errors import WebhookInvalid, WebhookUnknown

Connection = psycopg.Connection[Any]
Status = Literal["pending", "active", "paused"]

LONGEST_URL = 300
LONGEST_CA = 20_000


@dataclass(frozen=True)
class Webhook:
    """An address to which a system's notices are sent; `ca_pem` pins the authority of its certificate."""

    system: str
    url: str
    ca_pem: str | None = field(repr=False)
    status: Status
    reason: str | None
    registered_by: str
    approved_by: str | None
    changed_at: datetime

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return _address(self.url)

    @property
    def addresses(self) -> AddressPolicy:
        """What may be called for it: this one address."""
        return AddressPolicy([self.address])


_COLUMNS = "system, url, ca_pem, status, reason, registered_by, approved_by, changed_at"
_FIND = f"SELECT {_COLUMNS} FROM verification.webhook WHERE system = %s"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM verification.webhook ORDER BY system"  # noqa: S608
_SAVE = """
INSERT INTO verification.webhook (system, url, ca_pem, registered_by, changed_at)
VALUES (%(system)s, %(url)s, %(ca)s, %(by)s, %(at)s)
ON CONFLICT (system) DO UPDATE SET url = excluded.url, ca_pem = excluded.ca_pem,
    registered_by = excluded.registered_by, changed_at = excluded.changed_at
"""
_APPROVE = """
UPDATE verification.webhook SET status = 'active', reason = NULL, approved_by = %s, changed_at = %s
 WHERE system = %s
"""
_PAUSE = """
UPDATE verification.webhook SET status = 'paused', reason = %s, changed_at = %s
 WHERE system = %s AND status = 'active'
"""


def register(
    connection: Connection,
    system: str,
    url: str,
    *,
    by: str,
    ca_pem: str | None = None,
    is_operator: bool = False,
) -> Webhook:
    """Register where a system is told, in the caller's transaction, with an entry.

    Args:
        connection: In a role that registers.
        system: The portal's system.
        url: An https address without login, query or fragment.
        by: Who registers: the system itself, or the operator's officer.
        ca_pem: Authority of the address's certificate; that of the system by default, else the machine's.
        is_operator: Whether the operator says so; then the address is active at once.

    Raises:
        WebhookInvalid: When the address or the authority cannot be used.
        ParticipantUnknown: When there is no such system.
    """
    registered = registered_system(connection, system)
    check(url, ca_pem)
    now, ca = clock.now(), ca_pem or registered.ca_certificate_pem
    connection.execute(_SAVE, {"system": system, "url": url, "ca": ca, "by": by, "at": now})
    if is_operator:
        connection.execute(_APPROVE, (by, now, system))
    found = find(connection, system)
    _log(connection, system, "registered" if found.status == "pending" else found.status, by, found.address)
    return found


def check(url: str, ca_pem: str | None) -> None:
    """Refuse an address or an authority that no webhook may have.

    Raises:
        WebhookInvalid: Saying what is wrong with it.
    """
    _check_url(url)
    _check_authority(ca_pem)


def approve(connection: Connection, system: str, *, by: str, url: str | None = None) -> Webhook:
    """Let notices be sent to the registered address, or again after a pause.

    Args:
        connection: In a role that registers.
        system: The portal's system.
        by: The operator's officer.
        url: The address that the officer looked at; the portal may have registered another one meanwhile.

    Raises:
        WebhookUnknown: When the system has registered none.
        WebhookInvalid: When the registered address is another one.
    """
    found = _locked(connection, system) or find(connection, system)
    if url is not None and url != found.url:
        raise WebhookInvalid(
            "The registered address is not the one that you approve",
            remedy="Look at it again: `lintas webhooks list`",
            errors=[{"field": "url", "problem": "is not the registered one"}],
        )
    connection.execute(_APPROVE, (by, clock.now(), system))
    _log(connection, system, "active", by, found.address)
    return find(connection, system)


def pause(connection: Connection, system: str, *, by: str, reason: str) -> Webhook:
    """Send nothing for the time being; notices are kept in their order.

    Raises:
        WebhookUnknown: When the system has registered none.
    """
    found = find(connection, system)
    if connection.execute(_PAUSE, (reason, clock.now(), system)).rowcount:
        _log(connection, system, "paused", by, found.address)
    return find(connection, system)


def remove(connection: Connection, system: str, *, by: str, is_operator: bool = False) -> None:
    """Forget the address; the system reads its notices by itself.

    One that is paused stays on record until the operator removes it, or a portal could end the pause by
    registering anew.

    Raises:
        WebhookUnknown: When the system has registered none.
    """
    if not is_operator and _paused(connection, system) is not None:
        return
    found = find(connection, system)
    connection.execute("DELETE FROM verification.webhook WHERE system = %s", (system,))
    _log(connection, system, "removed", by, found.address)


def find(connection: Connection, system: str) -> Webhook:
    """The webhook of a system.

    Raises:
        WebhookUnknown: When it has none.
    """
    row = connection.execute(_FIND, (system,)).fetchone()
    if row is None:
        raise WebhookUnknown(
            "The system has no webhook", remedy="Register one, or read the notices at /v1/notices"
        )
    return Webhook(*row)


def _locked(connection: Connection, system: str) -> Webhook | None:
    row = connection.execute(f"{_FIND} FOR UPDATE", (system,)).fetchone()
    return Webhook(*row) if row else None


def _paused(connection: Connection, system: str) -> Webhook | None:
    found = _locked(connection, system)
    return found if found is not None and found.status == "paused" else None


def listed(connection: Connection) -> list[Webhook]:
    """Every webhook."""
    return [Webhook(*row) for row in connection.execute(_LIST).fetchall()]


def _log(connection: Connection, system: str, outcome: str, by: str, address: str) -> None:
    draft = EntryDraft(
        kind=EntryKind.WEBHOOK_CHANGED, system=system, actor=by, outcome=outcome, details={"host": address}
    )
    append(connection, draft)


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{(parts.hostname or '').lower()}:{parts.port or 443}"


def _check_url(url: str) -> None:
    problem = _problem_of(url)
    if problem is not None:
        raise WebhookInvalid(
            f"The address of the webhook {problem}",
            remedy="Give an https address such as https://portal.example.go.id/hooks/lintas",
            errors=[{"field": "url", "problem": problem}],
        )


def _problem_of(url: str) -> str | None:
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return "is too long, or has characters that no address has"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    found = [
        ("is not https", parts.scheme != "https"),
        ("names no host", not host),
        ("names a port that is none", port == 0),
        ("holds a login", parts.username is not None or parts.password is not None),
        ("has a query or a fragment", bool(parts.query or parts.fragment or url.endswith(("?", "#")))),
        ("looks as if it named a person", looks_personal(url)),
        ("leads to an address that is never called", _is_never_called(host or "")),
    ]
    return next((problem for problem, is_so in found if is_so), None)


def _is_never_called(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return bool(plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved)


def _check_authority(ca_pem: str | None) -> None:
    if ca_pem is None:
        return
    try:
        if "BEGIN CERTIFICATE" not in ca_pem or len(ca_pem) > LONGEST_CA or "PRIVATE KEY" in ca_pem:
            raise ValueError
        TlsPolicy(ca_pem=ca_pem).context()
    except Exception:
        raise WebhookInvalid(
            "The authority of the webhook is not a certificate in PEM",
            remedy="Give the certificate of the authority, and no key",
            errors=[{"field": "ca_certificate_pem", "problem": "is not a certificate in PEM"}],
        ) from None
