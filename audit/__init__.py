"""WHO SAW WHAT: the transparency log.

In: drafts of entries, appended on the caller's own connection, in the transaction they record. Out: a
log that nobody can rewrite unnoticed, as checkpoints, tiles, receipts and views, in formats (RFC 6962,
RFC 8785, C2SP tlog-*) that tools written by others can check.
"""

from audit.entry import EntryDraft, EntryKind, RevisionReference
from audit.log import Promise, append, append_many
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys

__all__ = [
    "EntryDraft",
    "EntryKind",
    "Promise",
    "RevisionReference",
    "SubjectHandle",
    "SubjectKeys",
    "append",
    "append_many",
]
