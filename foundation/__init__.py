"""WHAT ALL STAND ON: settings, database, keys, secrets, clock, errors, HTTP, telemetry.

In: the environment (``LINTAS_*``), the machine, the network. Out: one :class:`Installation
<foundation.installation.Installation>` that processes hand around, and the tree of errors that
every room grows its own leaves on.

=====================  ==========================================================================
``errors``             the exception tree, named by what the caller should do
``settings``           what an operator may set
``clock``              the one clock
``canonical``          canonical JSON and SHA-256
``files``              private files and locks between processes
``postgres``           an embedded PostgreSQL 18
``database``           roles, databases, connections (``database_errors``: its errors in our words)
``migrations``         the chains of migrations
``keyring``            private keys, versioned and encrypted
``tls``                a local certificate authority
``http``               the only place that talks HTTP
``secrets``            references to secrets, resolved within one agency's namespace
``telemetry``          logs without personal data, traces, metrics
``installation``       all of it, opened together
=====================  ==========================================================================
"""

from foundation.errors import (
    FixContract,
    FixInstallation,
    FixSource,
    IntegrityBroken,
    LintasError,
    Location,
    Refused,
    RetryLater,
)

__all__ = [
    "FixContract",
    "FixInstallation",
    "FixSource",
    "IntegrityBroken",
    "LintasError",
    "Location",
    "Refused",
    "RetryLater",
]
