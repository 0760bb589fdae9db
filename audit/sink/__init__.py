"""WHERE ELSE DOES THE LOG STAND: a copy of its exact bytes in append-only files, in another failure domain.

In: entries that were given their number, and signed checkpoints. Out: segment files that are only ever
added to, so that whoever restores an older database, or rewrites one, is contradicted by them.
"""

from audit.sink.checking import SinkReport, verify_sink
from audit.sink.following import Sink

__all__ = ["Sink", "SinkReport", "verify_sink"]
