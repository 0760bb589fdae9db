"""What can go wrong in the log, named by what the caller should do.

```
FixSource
└── AccessLogInvalid       an access log or a receipt folder given for comparison cannot be read
RetryLater
├── LogBehind              the log does not keep up, so no exchange is logged
├── QuorumMissing          too few witnesses stand behind the log for too long, so no exchange is logged
└── ReceiptNotReady        the entry is written, but no checkpoint covers it yet
IntegrityBroken
├── ProofError             a Merkle proof, receipt or tile does not prove what it claims
├── NoteInvalid            a signed note or verifier key is malformed, or its signature is false
├── LogDamaged             the stored log contradicts itself or a checkpoint
├── ProgressFalse          the progress kept by a verification was changed
├── LogForked              a witness has seen another history of this log
├── LogRolledBack          the database is behind a checkpoint that was already signed
└── SealBroken             sealed content does not open, or does not match its commitment
FixInstallation
├── PolicyInvalid          the tlog-policy file is malformed, or lets somebody count twice
└── WitnessUnfit           the folder of a witness is missing, damaged or lost what it had seen
FixInstallation
└── KeyEncryptionMisconfigured   the key-encryption key cannot be reached as the settings say
Refused
├── CursorInvalid          a cursor is malformed, or belongs to another search
├── KeyStillInUse          a version of the key-encryption key cannot be destroyed yet
├── ErasureRefused         a person cannot be erased now, or not by this officer
├── EntryRefused           the draft is not an entry of its kind, so nothing is written
├── ExtractRefused         a part of the log cannot be written as asked
├── FilterInvalid          what is searched for cannot stand in a filter
├── NotAnAuditor           the reader of the log is no registered auditor
├── PruningRefused         these entries cannot be pruned now, or not by this officer
├── UnknownEntry           no entry has this id
│   └── EntryPruned        the entry is older than what is kept
└── ViewUnknown            no saved view has this name
```
"""

from foundation.errors import FixInstallation, FixSource, IntegrityBroken, Refused, RetryLater

__all__ = [
    "AccessLogInvalid",
    "CursorInvalid",
    "EntryPruned",
    "EntryRefused",
    "ErasureRefused",
    "ExtractRefused",
    "FilterInvalid",
    "KeyEncryptionMisconfigured",
    "KeyStillInUse",
    "LogBehind",
    "LogDamaged",
    "LogFileMissing",
    "LogForked",
    "LogRolledBack",
    "NotAnAuditor",
    "NoteInvalid",
    "PolicyInvalid",
    "ProgressFalse",
    "ProofError",
    "PruningRefused",
    "QuorumMissing",
    "ReceiptNotReady",
    "SealBroken",
    "UnknownEntry",
    "ViewUnknown",
    "WitnessUnfit",
]


class AccessLogInvalid(FixSource):
    """What was given for a comparison cannot be read."""

    code = "access-log-invalid"


class LogFileMissing(FixSource):
    """A file of a published log is missing, so that the log cannot be checked."""

    code = "log-file-missing"


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


class ProgressFalse(IntegrityBroken):
    """The file in which a verification keeps its progress was changed."""

    code = "progress-false"


class LogForked(IntegrityBroken):
    """A witness has seen another history of this log, or a longer one."""

    code = "log-forked"


class LogRolledBack(IntegrityBroken):
    """The database is behind a checkpoint that was already signed."""

    code = "log-rolled-back"


class SealBroken(IntegrityBroken):
    """Sealed content does not open, or does not match its commitment."""

    code = "seal-broken"


class KeyEncryptionMisconfigured(FixInstallation):
    """The key-encryption key cannot be reached as the settings say."""

    code = "key-encryption-misconfigured"


class KeyStillInUse(Refused):
    """A version of the key-encryption key cannot be destroyed yet."""

    code = "key-still-in-use"


class ErasureRefused(Refused):
    """A person cannot be erased now, or not by this officer."""

    code = "erasure-refused"


class EntryRefused(Refused):
    """The draft is not an entry of its kind; nothing is written."""

    code = "entry-refused"


class UnknownEntry(Refused):
    """No entry has this id."""

    code = "entry-unknown"


class EntryPruned(UnknownEntry):
    """The entry is older than what is kept: it was pruned, or was never there."""

    code = "entry-pruned"


class QuorumMissing(RetryLater):
    """Too few witnesses have stood behind the log for too long; exchanges are not logged, so they stop."""

    code = "quorum-missing"


class LogBehind(RetryLater):
    """Nobody numbers the entries of the log, or too many wait; exchanges are not logged, so they stop."""

    code = "log-behind"


class PolicyInvalid(FixInstallation):
    """The tlog-policy file is malformed, or lets one administration count twice."""

    code = "policy-invalid"


class WitnessUnfit(FixInstallation):
    """The folder of a witness is missing, damaged, or has lost what it had seen."""

    code = "witness-unfit"


class CursorInvalid(Refused):
    """A cursor is malformed, or belongs to another search."""

    code = "cursor-invalid"


class ExtractRefused(Refused):
    """A part of the log cannot be written as asked."""

    code = "extract-refused"


class FilterInvalid(Refused):
    """What is searched for cannot stand in a filter."""

    code = "filter-invalid"


class NotAnAuditor(Refused):
    """The reader of the log is no registered auditor."""

    code = "not-an-auditor"


class PruningRefused(Refused):
    """These entries cannot be pruned now, or not by this officer."""

    code = "pruning-refused"


class ViewUnknown(Refused):
    """No saved view has this name."""

    code = "view-unknown"
