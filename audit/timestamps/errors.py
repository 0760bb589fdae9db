"""What can go wrong with timestamps, named by what the caller should do.

```
RetryLater
└── TimestampDeclined        the authority answers, but gives no token now
IntegrityBroken
└── TimestampInvalid         a token does not prove what it should; `flaw` says why
FixInstallation
└── TimestampMisconfigured   the file of authorities cannot be used
```
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from foundation.errors import FixInstallation, IntegrityBroken, RetryLater

__all__ = ["Flaw", "TimestampDeclined", "TimestampInvalid", "TimestampMisconfigured"]


class Flaw(StrEnum):
    """Why a token is refused."""

    MALFORMED = "malformed"
    WRONG_NONCE = "wrong-nonce"
    WRONG_IMPRINT = "wrong-imprint"
    WRONG_POLICY = "wrong-policy"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_UNFIT = "certificate-unfit"
    SIGNER_UNNAMED = "signer-unnamed"
    UNTRUSTED = "untrusted"


_MEANINGS = {
    Flaw.MALFORMED: "The answer of {name} is no timestamp.",
    Flaw.WRONG_NONCE: "The token of {name} answers another request.",
    Flaw.WRONG_IMPRINT: "The token of {name} stamps something else.",
    Flaw.WRONG_POLICY: "The token of {name} was made under another policy.",
    Flaw.CERTIFICATE_EXPIRED: "The certificate of {name} was not valid when it stamped.",
    Flaw.CERTIFICATE_UNFIT: "The certificate of {name} is not one for timestamping, and nothing else.",
    Flaw.SIGNER_UNNAMED: "The token of {name} does not say with which certificate it was signed.",
    Flaw.UNTRUSTED: "The token of {name} is not signed by anybody whom its roots vouch for.",
}
_REMEDIES = {
    Flaw.WRONG_POLICY: "Compare `policy` in the file of authorities with what the authority publishes.",
    Flaw.CERTIFICATE_EXPIRED: "Tell the authority; take another one meanwhile.",
    Flaw.UNTRUSTED: "Compare `roots` in the file of authorities with what the authority publishes.",
}


class TimestampDeclined(RetryLater):
    """The authority answers, but gives no token now."""

    code = "timestamp-declined"


class TimestampInvalid(IntegrityBroken):
    """A timestamp token does not prove what it should."""

    code = "timestamp-invalid"

    @classmethod
    def of(cls, flaw: Flaw, name: str, **attributes: Any) -> TimestampInvalid:
        """The error for a flaw in a token of an authority."""
        remedy = _REMEDIES.get(flaw, "Ask the authority, and keep what it answered.")
        return cls(
            _MEANINGS[flaw].format(name=name), remedy=remedy, flaw=str(flaw), authority=name, **attributes
        )


class TimestampMisconfigured(FixInstallation):
    """The file of timestamping authorities cannot be used."""

    code = "timestamp-misconfigured"
