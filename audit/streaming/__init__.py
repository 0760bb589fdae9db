"""The log on its way out: each entry to every SIEM that asked for it, in a format that it reads.

In: signed entries of the log, and destinations with a filter each. Out: OCSF over HTTPS, CEF over syslog
(RFC 5424 in RFC 5425 frames under TLS), FHIR AuditEvents. Nothing but what stands in an entry leaves.
"""

from audit.streaming.destination import Destination, StreamFilter
from audit.streaming.logged import LoggedEntry, Origin
from audit.streaming.runner import Streams

__all__ = ["Destination", "LoggedEntry", "Origin", "StreamFilter", "Streams"]
