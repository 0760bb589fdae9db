"""What the API itself refuses.

::

    Refused      ClientUnauthenticated, ScopeInsufficient, TokenRequestInvalid, ConsentUnknown,
                 ApplicantInvalid, CursorInvalid, LogPartUnknown
    RetryLater   RateLimited
"""

from __future__ import annotations

from foundation.errors import Refused, RetryLater


class ClientUnauthenticated(Refused):
    """The client did not show who it is."""


class ScopeInsufficient(Refused):
    """The access token does not cover this operation."""


class TokenRequestInvalid(Refused):
    """A token request that RFC 6749 or RFC 7523 forbids; `oauth_error` names which error it is."""


class ConsentUnknown(Refused):
    """There is no such consent, or it was given to another agency."""


class RateLimited(RetryLater):
    """The client asks more often than it may."""


class ApplicantInvalid(Refused):
    """A number of the applicant cannot be one of its kind."""


class CursorInvalid(Refused):
    """A page cursor that this API did not hand out."""


class LogPartUnknown(Refused):
    """There is no such checkpoint or tile."""
