"""The leaves of the error tree that belong to the command and its supervisor."""

from pathlib import Path

from foundation.errors import FixInstallation, IntegrityBroken, Refused, RetryLater

__all__ = [
    "AirflowRefused",
    "AlreadyRunning",
    "DemoBroken",
    "FileUnreadable",
    "KeyFileUnreadable",
    "NotAnAuditor",
    "NotAnOperator",
    "NotRunning",
    "OtherPeople",
    "ProcessDidNotStart",
    "RunDidNotFinish",
]


class AlreadyRunning(FixInstallation):
    """Another group of processes holds this home."""

    code = "already-running"

    def __init__(self, home: Path, holder: str) -> None:
        super().__init__(
            f"Lintas already runs on {home} (process {holder or 'unknown'})",
            why="one home has one group of processes, or they would end each other's databases",
            remedy="end the other one with Ctrl-C, or give this one its own LINTAS_HOME",
            holder=holder,
        )


class ProcessDidNotStart(FixInstallation):
    """A process of the group never became healthy."""

    code = "process-did-not-start"

    def __init__(self, process: str, log_file: Path, why: str) -> None:
        super().__init__(
            f"the process {process} {why}",
            why="the rest of the group needs it",
            remedy=f"read the end of {log_file}",
            process=process,
            log_file=str(log_file),
        )


class NotRunning(FixInstallation):
    """A command needs the running group."""

    code = "not-running"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not answer", remedy="start the bus first: lintas up", what_is_missing=what
        )


class AirflowRefused(RetryLater):
    """Airflow's API answered with something other than success."""

    code = "airflow-refused"

    def __init__(self, action: str, status: int) -> None:
        super().__init__(
            f"Airflow answered {status} when asked to {action}",
            remedy="look into <home>/logs/airflow-api-server.log, then try again",
            action=action,
            status=status,
        )


class RunDidNotFinish(RetryLater):
    """A DAG run failed or took too long."""

    code = "dag-run-did-not-finish"

    def __init__(self, dag_id: str, run_id: str, state: str) -> None:
        super().__init__(
            f"the run {run_id} of {dag_id} is {state}",
            remedy=f"look at the failed task's log in Airflow, or run: lintas sync {dag_id}",
            dag_id=dag_id,
            run_id=run_id,
            state=state,
        )


class DemoBroken(IntegrityBroken):
    """A step of the demo did not hold."""

    code = "demo-broken"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the demo stopped: {what}",
            remedy="look into <home>/logs; `rm -r <home>` gives a fresh start",
        )


class NotAnAuditor(Refused):
    """The person named is no auditor."""

    code = "not-an-auditor"

    def __init__(self, pseudonym: str) -> None:
        super().__init__(
            f"{pseudonym} is not the pseudonym of a registered auditor",
            why="only auditors see and judge what was flagged, and the log names who did it",
            remedy="use your own pseudonym; an operator registers auditors (lintas officers add)",
        )


class NotAnOperator(Refused):
    """The person named may not change who takes part."""

    code = "not-an-operator"

    def __init__(self, pseudonym: str, *, there_is_none: bool) -> None:
        super().__init__(
            f"{pseudonym} is not the pseudonym of a registered operator of this bus",
            why="only the agency that runs the bus says who takes part, and the log names who did it",
            remedy=(
                "register your agency (lintas agencies add … --kind operator),"
                " then yourself (lintas officers add … --role operator)"
                if there_is_none
                else "use your own pseudonym; an operator registers others"
            ),
        )


class FileUnreadable(FixInstallation):
    """A file given on the command line is not what the command needs."""

    code = "file-unreadable"

    def __init__(self, file: Path, how: str) -> None:
        super().__init__(
            f"{file} cannot be read as what this command needs ({how})",
            remedy="check the path, and how the file was written",
            file=str(file),
        )


class KeyFileUnreadable(FixInstallation):
    """A file is no public key."""

    code = "key-file-unreadable"

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} is not a public key as a JWK",
            why="a JWK of kind OKP without the private part `d` is expected",
            remedy="export the public half only: KeyPair.public_jwk",
            file=str(file),
        )


class OtherPeople(FixInstallation):
    """The practice city of this home has another size."""

    code = "other-people"

    def __init__(self, home: Path, known: int) -> None:
        super().__init__(
            f"the practice city of {home} has {known:,} people already",
            why="its registers would change so much that every batch would be held",
            remedy=f"ask for {known} people, or for a fresh start remove {home}",
            people=known,
        )
