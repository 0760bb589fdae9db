"""What is true: batches, staging, assessment, quarantine, versioned records, identity, evidence.

In flow pages of an agency's own cells (`connectors`), the contract that gives them a meaning (`schemas`),
and the decision that lets them in (`consent`). Out flow records with their history, a change feed, evidence
about a confirmed subject, and for every batch entries in the log (`audit`).

The way of a row: `sync.open_batch` → `sync.land` → `sync.assess` → `sync.publish`. Whoever asks about
a person calls `identity.confirm` and then `evidence.evidence`.
"""

from records.errors import (
    AssessmentBroken,
    BatchHeld,
    BatchNotFound,
    BatchNotReleasable,
    BatchRejected,
    ConflictNotFound,
    ContractReplaced,
    DatasetBusy,
    DatasetNotPublished,
    FileExists,
    LedgerMismatch,
    NeedUnknown,
    PageOutOfOrder,
    PageRepeated,
    QualityRuleUnknown,
    QuarantineRowGone,
    RepairNotAllowed,
    RowNotReplayable,
    StrangersShown,
    SubjectNotMatched,
    TooManyAttempts,
    WorkerFenced,
)

__all__ = [
    "AssessmentBroken",
    "BatchHeld",
    "BatchNotFound",
    "BatchNotReleasable",
    "BatchRejected",
    "ConflictNotFound",
    "ContractReplaced",
    "DatasetBusy",
    "DatasetNotPublished",
    "FileExists",
    "LedgerMismatch",
    "NeedUnknown",
    "PageOutOfOrder",
    "PageRepeated",
    "QualityRuleUnknown",
    "QuarantineRowGone",
    "RepairNotAllowed",
    "RowNotReplayable",
    "StrangersShown",
    "SubjectNotMatched",
    "TooManyAttempts",
    "WorkerFenced",
]
