"""HOW PEOPLE REACH IT: the HTTP API.

In: HTTPS requests of systems that authenticate with their own keys, and of anybody for the public log, the
catalogue and the public keys. Out: signed answers, receipts, and problem documents of one shape. The room
translates and delegates: what may flow is decided in consent/, what is true stands in records/.
"""

from web.app import create_app
from web.server import run

__all__ = ["create_app", "run"]
