"""A sequencer as its own process, for tests that kill it."""

import sys
import threading

from audit.publishing.sequencer import Sequencer
from foundation.installation import Installation
from foundation.settings import load_settings

if __name__ == "__main__":
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
    Sequencer(Installation.open(load_settings()), drain_limit=limit).run(threading.Event())
