"""What can go wrong when the bus calls another system, sorted by who has to act.

::

    RetryLater                            FixSource                     FixInstallation
    ├── AgencyUnreachable                 ├── LoginRefused              └── AddressRefused
    │   └── CircuitOpen                   ├── AccessRefused
    ├── AgencyFailing                     ├── TlsRefused
    ├── AgencyTooSlow                     ├── RequestRefused
    ├── RateLimited                       ├── NotFoundAtSource
    │   └── QuotaSpent                    ├── RedirectRefused
    └── BodyCut                           ├── UnexpectedContent
                                          └── BodyTooLarge

None of them carries a body, a query string or a header: those may hold personal data or secrets.
"""

from __future__ import annotations

from foundation.errors import FixInstallation, FixSource, RetryLater

__all__ = [
    "AccessRefused",
    "AddressRefused",
    "AgencyFailing",
    "AgencyTooSlow",
    "AgencyUnreachable",
    "BodyCut",
    "BodyTooLarge",
    "CircuitOpen",
    "LoginRefused",
    "NotFoundAtSource",
    "QuotaSpent",
    "RateLimited",
    "RedirectRefused",
    "RequestRefused",
    "TlsRefused",
    "UnexpectedContent",
]


class AgencyUnreachable(RetryLater):
    """No connection to the system came about, or it broke off."""


class CircuitOpen(AgencyUnreachable):
    """The system failed so often that it is left in peace for a moment."""


class AgencyFailing(RetryLater):
    """The system answered that it cannot answer (HTTP 5xx)."""


class AgencyTooSlow(RetryLater):
    """The system did not answer completely before the deadline."""


class RateLimited(RetryLater):
    """The system asks for a pause (HTTP 429)."""

    code = "rate-limited-by-agency"  # our own API says `rate-limited` to portals


class QuotaSpent(RateLimited):
    """The calls that were agreed for a day have been made."""


class BodyCut(RetryLater):
    """The body ended before it was complete."""


class LoginRefused(FixSource):
    """The system does not accept the credentials."""


class AccessRefused(FixSource):
    """The system accepts the credentials but not what they ask for (HTTP 403)."""


class TlsRefused(FixSource):
    """No trusted TLS connection came about."""


class RequestRefused(FixSource):
    """The system does not understand the request (HTTP 4xx)."""


class NotFoundAtSource(FixSource):
    """The system has nothing at this address (HTTP 404 or 410)."""


class RedirectRefused(FixSource):
    """The system sends us elsewhere; the bus does not follow."""


class UnexpectedContent(FixSource):
    """The system answered something else than it agreed to, such as a login page instead of JSON."""


class BodyTooLarge(FixSource):
    """The body is larger than the limit."""


class AddressRefused(FixInstallation):
    """The operator has not allowed the bus to call this address."""
