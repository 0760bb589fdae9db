"""Loads what every task needs into the process that forks the tasks, before it does.

With the LocalExecutor that is the scheduler, with the CeleryExecutor each worker. What is imported there
once, every task has already: that saves each of them one to eight seconds of processor time, and the memory
is shared. Only imports may happen here: threads and connections do not survive a fork.
"""

import importlib
import sys

__all__ = ["preload"]

MODULES = (
    "schemas.contracts",
    "records.sync",
    "connectors.sql",
    "connectors.rest",
    "connectors.files",
    "connectors.fhir",
    "connectors.files_csv",
    "connectors.files_sftp",
    "connectors.files_xlsx",
    "great_expectations",
)


def preload(command: str) -> None:
    """Import them when this process was started by this command of Airflow; the others do without."""
    if sys.argv[1:2] == [command]:
        for name in MODULES:
            importlib.import_module(name)
