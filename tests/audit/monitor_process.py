"""Streams as their own process, for tests that kill it."""

import sys
import threading

from audit.streaming import Streams
from audit.streaming.runner import BackOff
from foundation.installation import Installation
from foundation.settings import load_settings

if __name__ == "__main__":
    streams = Streams(
        Installation.open(load_settings()),
        "operator-contoh",
        batch=int(sys.argv[1]),
        back_off=BackOff(0.05, 0.1),
    )
    streams.run(threading.Event())
