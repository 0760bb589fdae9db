"""Loads what every task needs into the scheduler before it forks its workers.

Airflow runs each task in a fork of a fork of the scheduler. What is imported there once, every task has
already: that saves each of them one to five seconds of processor time, and the memory is shared. Only imports
may happen here: threads and connections do not survive a fork.
"""

import importlib
import sys

__all__ = ["preload"]

MODULES = ("schemas.contracts", "records.sync", "connectors.sql", "connectors.rest", "great_expectations")


def preload() -> None:
    """Import them when this process is the scheduler; the other processes do without."""
    if "scheduler" in sys.argv[1:2]:
        for name in MODULES:
            importlib.import_module(name)
