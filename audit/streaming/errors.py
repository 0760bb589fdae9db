"""What can go wrong with streams, named by what the caller should do.

```
RetryLater
├── StreamUnreachable      no connection came about, or it broke off
└── NotAcknowledged        everything was written, but the receiver did not say that it has it
FixSource
└── ReceiverRefused        the receiver's certificate is not trusted, or it does not trust ours
Refused
├── StreamInvalid          a destination as described cannot be one
└── StreamUnknown          there is no such destination
```
"""

from foundation.errors import FixSource, Refused, RetryLater

__all__ = ["NotAcknowledged", "ReceiverRefused", "StreamInvalid", "StreamUnknown", "StreamUnreachable"]


class StreamUnreachable(RetryLater):
    """No connection to the receiver came about, or it broke off."""

    code = "stream-unreachable"


class NotAcknowledged(RetryLater):
    """Everything was written, but the receiver did not say that it has it."""

    code = "stream-not-acknowledged"


class ReceiverRefused(FixSource):
    """No trusted TLS connection with the receiver came about."""

    code = "stream-tls-refused"


class StreamInvalid(Refused):
    """A destination as described cannot be one."""

    code = "stream-invalid"


class StreamUnknown(Refused):
    """There is no destination of this name."""

    code = "stream-unknown"
