"""Asking one authority for a token, over HTTP (RFC 3161 section 3.4)."""

from __future__ import annotations

from types import TracebackType
from urllib.parse import urlsplit

from audit.timestamps.authorities import Authority
from audit.timestamps.token import Query, Timestamp, open_reply
from foundation.http import (
    AddressPolicy,
    BasicCredentials,
    HttpClient,
    Limits,
    RetryPolicy,
    Timeouts,
    TlsPolicy,
)

__all__ = ["AuthorityClient"]

_TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=15.0)
_LARGEST_REPLY = 64 * 1024
"""A token with a long chain has about 10 kB."""
_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}


class AuthorityClient:
    """Speaks to one authority; not for several threads at once. Close it after use."""

    def __init__(self, authority: Authority) -> None:
        parts = urlsplit(authority.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        credentials = None
        if authority.user is not None and authority.password is not None:
            credentials = BasicCredentials(authority.user, authority.password)
        self._authority = authority
        self._http = HttpClient(
            AddressPolicy([f"{host}:{port}"]),
            system=f"the timestamping authority {authority.name}",
            tls=TlsPolicy(ca_file=authority.tls_authority),
            timeouts=_TIMEOUTS,
            limits=Limits(body_bytes=_LARGEST_REPLY, connections=1),
            retry=RetryPolicy.never(),
            credentials=credentials,
        )

    def __enter__(self) -> AuthorityClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def stamp(self, message: bytes) -> Timestamp:
        """A token on these bytes, verified.

        Raises:
            TimestampDeclined: when the authority gives none now.
            TimestampInvalid: when what it gives is not exactly what was asked for.
            LintasError: when it cannot be reached.
        """
        query = Query.of(message)
        reply = self._http.request("POST", self._authority.url, content=query.body, headers=_HEADERS)
        return open_reply(reply.body, query, self._authority)
