"""A verification as its own process, which stands still after its first step, for a test that kills it."""

import sys
import threading
from pathlib import Path

from audit.checking import verification
from audit.checking.kept_progress import KeptProgress
from foundation.installation import Installation
from foundation.settings import load_settings


def stand_still(done: int, _total: int) -> None:
    """Say how far it came, and wait to be killed."""
    sys.stdout.write(f"{done}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    verification._TILES_AT_ONCE = 1
    kept = KeptProgress(Path(sys.argv[1]), b"k" * 32, "the log", seconds=0)
    verification.verify_installation(Installation.open(load_settings()), stand_still, kept=kept)
