"""What can go wrong with the copy of the log.

```
RetryLater
└── SinkUnwritable         the files cannot be written now: a full disk, a folder that is not mounted
IntegrityBroken
└── SinkContradictsLog     the files hold what the database does not: an older copy, or another history
```
"""

from foundation.errors import IntegrityBroken, RetryLater

__all__ = ["SinkContradictsLog", "SinkUnwritable"]


class SinkUnwritable(RetryLater):
    """The copy of the log cannot be written now: its disk is full, or its folder is not there."""

    code = "sink-unwritable"


class SinkContradictsLog(IntegrityBroken):
    """The copy of the log holds what the database does not: the database is older, or was changed."""

    code = "sink-contradicts-log"
