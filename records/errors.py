"""What can go wrong between an agency's rows and the records, by what to do about it.

::

    RetryLater        WorkerFenced, DatasetBusy
    FixContract       DatasetNotPublished, QualityRuleUnknown, ContractReplaced, NeedUnknown
    FixSource         PageRepeated, PageOutOfOrder, BatchRejected, StrangersShown
    Refused           BatchHeld, BatchNotReleasable, SubjectNotMatched, TooManyAttempts, QuarantineRowGone,
                      RowNotReplayable, BatchNotFound, RepairNotAllowed, FileExists, ConflictNotFound
    IntegrityBroken   LedgerMismatch, AssessmentBroken
"""

from __future__ import annotations

from foundation.errors import FixContract, FixSource, IntegrityBroken, Refused, RetryLater

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


class WorkerFenced(RetryLater):
    """Another worker has taken the batch over; what this one still held was not written."""


class DatasetBusy(RetryLater):
    """Another transaction is publishing the dataset."""


class DatasetNotPublished(FixContract):
    """No contract of this dataset is in force, so there is no table to write to."""


class ContractReplaced(FixContract):
    """The batch was begun under another version of the contract."""


class QualityRuleUnknown(FixContract):
    """A quality rule of the contract names a metric that the bus cannot check."""


class NeedUnknown(FixContract):
    """A service needs a field that the dataset does not have."""


class PageRepeated(FixSource):
    """The source handed out a page that was landed before in this batch."""


class PageOutOfOrder(FixSource):
    """The source skipped a page, or ended a slice without saying that it is complete."""


class BatchRejected(FixSource):
    """Too many rows of the batch cannot be used; nothing of it is published."""


class StrangersShown(FixSource):
    """Asked live for one person, the source answered with a record of another."""


class BatchHeld(Refused):
    """The assessment held the batch; a steward must release or reject it."""


class BatchNotFound(Refused):
    """There is no such batch."""


class BatchNotReleasable(Refused):
    """The batch is not held, or a newer one has been published since."""


class SubjectNotMatched(Refused):
    """No person was found whose number and second element both match; it never says which."""


class TooManyAttempts(Refused):
    """This consumer has tried too often without a match, on one number or over all."""


class RowNotReplayable(Refused):
    """The row's trouble is one of meaning: only the producer can say what is right."""


class RepairNotAllowed(Refused):
    """The repair would change more than the form of a cell."""


class FileExists(Refused):
    """Something would be written over a file that is there already."""


class ConflictNotFound(Refused):
    """There is no such contradiction."""


class QuarantineRowGone(Refused):
    """The quarantined row does not exist, or was resolved before."""


class LedgerMismatch(IntegrityBroken):
    """What stands in staging is not what the page ledger says was landed."""


class AssessmentBroken(IntegrityBroken):
    """A quality check could not be carried out; this says nothing about the data."""
