"""When did this log exist: outside authorities put their time under its checkpoints (RFC 3161).

In: signed checkpoints, and a file that names timestamping authorities and the roots they are trusted by. Out:
tokens, each verified before it is kept, beside the checkpoint that they stamp. While an authority is away its
requests wait in a queue. Whoever rewrites the log, even with its own key, gets no time from before.
"""

from audit.timestamps.authorities import Authority, TimestampSettings
from audit.timestamps.stamper import Stamper
from audit.timestamps.token import Timestamp, open_token

__all__ = ["Authority", "Stamper", "Timestamp", "TimestampSettings", "open_token"]
