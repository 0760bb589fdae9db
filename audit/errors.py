"""What can go wrong in the log, named by what the caller should do.

```
RetryLater
└── ReceiptNotReady        the entry is written, but no checkpoint covers it yet
IntegrityBroken
├── ProofError             a Merkle proof, receipt or tile does not prove what it claims
├── NoteInvalid            a signed note or verifier key is malformed, or its signature is false
├── LogDamaged             the stored log contradicts itself or a checkpoint
├── LogRolledBack          the database is behind a checkpoint that was already signed
└── SealBroken             sealed content does not open, or does not match its commitment
Refused
├── EntryRefused           the draft is not an entry of its kind, so nothing is written
└── UnknownEntry           no entry has this id
```
"""

from foundation.errors import IntegrityBroken, Refused, RetryLater

__all__ = [
    "EntryRefused",
    "LogDamaged",
    "LogRolledBack",
    "NoteInvalid",
    "ProofError",
    "ReceiptNotReady",
    "SealBroken",
    "UnknownEntry",
]


class ReceiptNotReady(RetryLater):
    """The entry is written, but no checkpoint covers it yet."""

    code = "receipt-not-ready"


class ProofError(IntegrityBroken):
    """A Merkle proof does not prove what it claims."""

    code = "proof-invalid"


class NoteInvalid(IntegrityBroken):
    """A signed note or a verifier key is malformed, or its signature is false."""

    code = "note-invalid"


class LogDamaged(IntegrityBroken):
    """The stored log contradicts itself or a checkpoint."""

    code = "log-damaged"


class LogRolledBack(IntegrityBroken):
    """The database is behind a checkpoint that was already signed."""

    code = "log-rolled-back"


class SealBroken(IntegrityBroken):
    """Sealed content does not open, or does not match its commitment."""

    code = "seal-broken"


class EntryRefused(Refused):
    """The draft is not an entry of its kind; nothing is written."""

    code = "entry-refused"


class UnknownEntry(Refused):
    """No entry has this id."""

    code = "entry-unknown"
