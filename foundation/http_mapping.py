"""From httpx's exceptions and status codes to our errors."""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from foundation import clock
from foundation.errors import LintasError
from foundation.http_errors import (
    AccessRefused,
    AgencyFailing,
    AgencyTooSlow,
    AgencyUnreachable,
    BodyCut,
    LoginRefused,
    NotFoundAtSource,
    RateLimited,
    RedirectRefused,
    RequestRefused,
    TlsRefused,
    UnexpectedContent,
)

__all__ = ["map_http_error", "mapped", "refusal", "too_slow", "undecodable"]


@contextmanager
def mapped(endpoint: str) -> Iterator[None]:
    """Let httpx's errors leave the block as ours; their text, which may hold a URL, is removed."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict) as error:
        ours = map_http_error(error, endpoint)
        error.args = (type(error).__name__,)  # it stays reachable as the context of ours
        raise ours from None


def map_http_error(error: Exception, endpoint: str) -> LintasError:
    """Return our error for one of httpx's."""
    tls = _tls_error(error)
    if tls is not None:
        return _tls_refused(tls, endpoint)
    if isinstance(error, httpx.RemoteProtocolError) and "body" in str(error):
        return BodyCut(
            f"The reply of {endpoint} was cut off",
            remedy="Try again; if it stays, ask the agency about its network or proxy",
            endpoint=endpoint,
        )
    for kinds, make in _MAPPING:
        if isinstance(error, kinds):
            return make(endpoint)
    return RequestRefused(
        f"The request to {endpoint} cannot be sent",
        why=type(error).__name__,
        remedy="Check the address of the system",
        endpoint=endpoint,
    )


def too_slow(endpoint: str) -> AgencyTooSlow:
    """Return the error of a call that ran into its deadline."""
    return AgencyTooSlow(
        f"{endpoint} did not answer completely in time",
        remedy="Try again later; ask for smaller pages or agree a longer timeout",
        endpoint=endpoint,
    )


def refusal(status: int, headers: Mapping[str, str], endpoint: str) -> LintasError:
    """Return the error of a status code that is no answer."""
    facts: dict[str, Any] = {"endpoint": endpoint, "status": status}
    pause = _retry_after(headers)
    if pause is not None:
        facts["retry_after"] = pause
    if status == 429:
        return RateLimited(f"{endpoint} asks for a pause", remedy="Call less often", **facts)
    if status >= 500 or status in (408, 425):
        return AgencyFailing(
            f"{endpoint} answered with status {status}",
            remedy="Try again later; if it stays, tell the agency",
            **facts,
        )
    what, remedy, cls = _REFUSALS.get(status, _OTHER)
    if 300 <= status < 400:
        what, remedy, cls = _REDIRECT
    return cls(f"{endpoint} {what} (status {status})", remedy=remedy, **facts)


_REFUSALS: dict[int, tuple[str, str, type[LintasError]]] = {
    401: ("does not accept our credentials", "Check the system's secrets", LoginRefused),
    403: ("does not let us do this", "Ask the agency to grant the access it agreed to", AccessRefused),
    404: ("has nothing there", "Check the path in the contract", NotFoundAtSource),
    410: ("has nothing there any more", "Check the path in the contract", NotFoundAtSource),
}
_OTHER = ("does not understand the request", "Check the contract's server section", RequestRefused)
_REDIRECT = ("sends us elsewhere", "Register the address it should be called at", RedirectRefused)


def _unreachable(what: str, endpoint: str, *, never_sent: bool = False) -> AgencyUnreachable:
    return AgencyUnreachable(
        what,
        remedy="Check that the system runs, and the network and firewall in between",
        endpoint=endpoint,
        never_sent=never_sent,
    )


def _tls_refused(error: ssl.SSLError, endpoint: str) -> TlsRefused:
    why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
    return TlsRefused(
        f"No trusted TLS connection to {endpoint} came about",
        why=(why or type(error).__name__).replace("_", " ").lower(),
        remedy="Check the system's certificate, its name, and the CA that was registered for it",
        endpoint=endpoint,
    )


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Find the TLS error behind an error; an end of stream or a time-out is none."""
    cause: BaseException | None = error
    while cause is not None:
        harmless = ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLWantReadError | ssl.SSLWantWriteError
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, harmless | TimeoutError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3): seconds or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - clock.now()).total_seconds()) if moment.tzinfo else None


def _no_connection(endpoint: str) -> LintasError:
    return _unreachable(f"No connection to {endpoint} came about", endpoint, never_sent=True)


def _all_busy(endpoint: str) -> LintasError:
    return _unreachable(f"All connections to {endpoint} are busy", endpoint, never_sent=True)


def _broken_off(endpoint: str) -> LintasError:
    return _unreachable(f"The connection to {endpoint} broke off", endpoint)


def undecodable(endpoint: str) -> LintasError:
    """Return the error of a body that is packed wrongly, or in a way that was not asked for."""
    return UnexpectedContent(
        f"The reply of {endpoint} cannot be decompressed",
        remedy="Ask the agency to check the compression of its server",
        endpoint=endpoint,
    )


_MAPPING: tuple[tuple[tuple[type[Exception], ...], Callable[[str], LintasError]], ...] = (
    ((httpx.ConnectTimeout, httpx.ConnectError, httpx.ProxyError), _no_connection),
    ((httpx.PoolTimeout,), _all_busy),
    ((httpx.TimeoutException,), too_slow),
    ((httpx.NetworkError, httpx.RemoteProtocolError), _broken_off),
    ((httpx.DecodingError,), undecodable),
)
