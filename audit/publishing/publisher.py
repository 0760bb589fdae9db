"""The publisher: brings each signed checkpoint to the witnesses, and keeps what they answer.

Invariants:
- Before a sequencer signs for the first time it asks every witness that can be reached what it has seen.
- Nothing is signed once a witness was found ahead of the log or with another history: that is a fork, a
  rollback, or a restored backup. It stands in a file (`found_forks`), so a restart changes nothing.
- The log does not wait for witnesses: they are asked beside it, and answer within seconds or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from audit import quorum
from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.cosignatures import with_signatures
from audit.checkpoints.keys import log_private_key, log_verifier_keys
from audit.checkpoints.policy import Policy, Standing
from audit.errors import LogForked, PolicyInvalid
from audit.publishing.found_forks import UNREADABLE, FoundForks
from audit.publishing.published import PublishedCheckpoint
from audit.tree.merkle import EMPTY_ROOT
from audit.tree.tiles import DatabaseTiles, consistency_proof
from audit.witnesses.client import Answer, WitnessClient
from foundation import clock, telemetry
from foundation.database import Role
from foundation.errors import LintasError

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Publisher"]

log = telemetry.logger(__name__)

_LONGEST_REFRESH = timedelta(minutes=10)
_PAUSE_SECONDS = 1.0
_IMPATIENT_SECONDS = 10.0
_SECONDS_BEFORE_WORK = 2.0

_SAVE = """
INSERT INTO audit.cosigned_checkpoints (tree_size, note, independent, quorum_met, gathered_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tree_size) DO UPDATE
   SET note = EXCLUDED.note, independent = EXCLUDED.independent, quorum_met = EXCLUDED.quorum_met,
       gathered_at = EXCLUDED.gathered_at
 WHERE EXCLUDED.independent >= cosigned_checkpoints.independent
"""
_SAVE_WITNESS = """
INSERT INTO audit.witnesses (name, tree_size, cosigned_at, asked_at, trouble) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
   SET tree_size = EXCLUDED.tree_size, asked_at = EXCLUDED.asked_at, trouble = EXCLUDED.trouble,
       cosigned_at = coalesce(EXCLUDED.cosigned_at, witnesses.cosigned_at)
"""


class Publisher:
    """The witnesses of one installation's log, as its policy names them; without a policy it does nothing.

    Raises:
        PolicyInvalid: when the policy cannot be used.
    """

    def __init__(self, installation: Installation) -> None:
        settings = installation.settings
        self._installation = installation
        self._policy = Policy.load(settings.log_policy) if settings.log_policy is not None else None
        self._grace = timedelta(seconds=settings.quorum_grace_seconds)
        self._keys = log_verifier_keys(installation)
        if self._policy is not None and self._keys[0] not in self._policy.log_keys(self._keys):
            raise PolicyInvalid(
                "The policy does not name the key that this log signs with.",
                remedy="Add a `log` line with the first key of /v1/log/keys, and tell the witnesses.",
            )
        self._published = PublishedCheckpoint.of(installation)
        named = self._policy.witnesses if self._policy else ()
        self._clients = [WitnessClient(w, settings.witness_ca_file) for w in named if w.url is not None]
        self._asking = threading.Lock()
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._forks = FoundForks.of(installation)
        self._fork: LogForked | None = None
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def runs(self) -> bool:
        """Whether checkpoints are brought to the witnesses beside the sequencer."""
        return self._thread is not None

    def refuse_fork(self) -> None:
        """Refuse to sign while a fork that a witness has reported stands, whoever found it and when.

        Raises:
            LogForked: then.
        """
        if self._fork is not None:
            self._forks.note(self._fork)
            self._fork = None
        self._forks.refuse()

    def confirm(self, connection: psycopg.Connection[Any]) -> None:
        """Ask every witness, before the first signature, whether it is ahead of the database.

        Raises:
            LogForked: when one is, or holds another history, or did so before and has not answered otherwise.
        """
        if self._policy is None or self._policy.quorum is None:
            quorum.quorum_is_not_asked(connection)
        named = {str(each.key) for each in self._policy.witnesses} if self._policy else set()
        self._lift(
            [key for key in self._forks.read() if key not in named | {UNREADABLE}], "it left the policy"
        )
        self.publish(_SECONDS_BEFORE_WORK)
        try:
            self.refuse_fork()
        except LogForked as error:
            quorum.quorum_is_missing(connection, self._grace, f"{error.what} {error.why}")
            raise

    def publish(self, seconds: float = 4.0) -> Standing | None:
        """Bring the newest checkpoint to all witnesses at once, and keep what they answer in time.

        Returns:
            Who stands behind it; None where there is no policy.

        Raises:
            LogForked: when a witness is ahead of the log, or holds another history.
        """
        if self._policy is None:
            return None
        with self._asking:
            connection = self._connected()
            try:
                note, base = self._newest(connection)
                answers = self._ask_all(connection, note, seconds)
                self._refuse_ahead(connection, answers)
                self._lift([str(each.witness.key) for each in answers if each.cosignatures], "it cosigned")
                return self._keep(connection, self._policy, base, answers)
            except LogForked as error:
                self._fork = error  # until it is on disk, which may be full
                self._forks.note(error)
                self._fork = None
                quorum.quorum_is_missing(connection, self._grace, f"{error.what} {error.why}")
                log.error("log_forked", witness=error.attributes.get("witness"))
                raise
            except psycopg.Error:
                self._hang_up()
                raise

    def offer(self) -> None:
        """Say that there is a newer checkpoint."""
        self._wake.set()

    def start(self) -> None:
        """Begin to bring checkpoints to the witnesses, beside the sequencer."""
        if self._policy is None or self._thread is not None:
            return
        self._end.clear()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it runs."""
        if self._thread is not None:
            self._end.set()
            self._wake.set()
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """End the thread and close all connections."""
        self.stop()
        for client in self._clients:
            client.close()
        with self._asking:
            self._hang_up()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._installation.database.connect(Role.SEQUENCER, autocommit=True)
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _run(self) -> None:
        refresh = min(_LONGEST_REFRESH, self._grace / 4).total_seconds()
        while not self._end.is_set():
            met = False
            try:
                standing = self.publish()
                met = standing is not None and standing.quorum_met
            except LogForked:
                return  # the sequencer meets it before it signs again
            except (psycopg.Error, LintasError) as error:
                log.warning("publisher_postponed", error=type(error).__name__)
            except Exception as error:  # without this thread exchanges would stop hours later
                log.error("publisher_failed", error=type(error).__name__)
            self._end.wait(_PAUSE_SECONDS)
            self._wake.wait(refresh if met else min(refresh, _IMPATIENT_SECONDS))
            self._wake.clear()

    def _newest(self, connection: psycopg.Connection[Any]) -> tuple[str, str]:
        """The newest checkpoint as signed, and with the cosignatures that are there already.

        While there is none, the empty tree: it is contained in every history, so it commits to nothing.
        """
        row = connection.execute(
            "SELECT c.note, w.note FROM audit.checkpoints c"
            " LEFT JOIN audit.cosigned_checkpoints w USING (tree_size) ORDER BY tree_size DESC LIMIT 1"
        ).fetchone()
        if row is not None:
            return row[0], row[1] or row[0]
        empty = Checkpoint(self._installation.settings.log_origin, 0, EMPTY_ROOT)
        note = sign_checkpoint(empty, log_private_key(self._installation))
        return note, note

    def _ask_all(self, connection: psycopg.Connection[Any], note: str, seconds: float) -> list[Answer]:
        tiles, reading = DatabaseTiles(connection), threading.Lock()

        def proof(old: int, new: int) -> Sequence[bytes]:
            with reading:
                return consistency_proof(tiles, old, new)

        if not self._clients:
            return []
        with ThreadPoolExecutor(len(self._clients), thread_name_prefix="witness") as pool:
            asked = [pool.submit(client.add, note, proof, seconds) for client in self._clients]
        return [each.result() for each in asked]

    def _refuse_ahead(self, connection: psycopg.Connection[Any], answers: Sequence[Answer]) -> None:
        """A witness may be ahead of the checkpoint it was shown, but never of the newest that is stored."""
        row = connection.execute("SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints").fetchone()
        signed = int(row[0]) if row else 0
        for answer in answers:
            if answer.ahead and answer.seen > signed:
                raise LogForked(
                    f"The witness {answer.witness.name} is ahead of this log.",
                    why=f"It has seen {answer.seen} entries, but the database has signed only {signed}.",
                    remedy="The database is an older copy: follow the page on witnesses.",
                    witness=answer.witness.name,
                    witness_key=str(answer.witness.key),
                )

    def _lift(self, keys: Sequence[str], why: str) -> None:
        for witness in self._forks.lift(keys):
            log.warning("fork_lifted", witness=witness, why=why)

    def _keep(
        self, connection: psycopg.Connection[Any], policy: Policy, base: str, answers: Sequence[Answer]
    ) -> Standing:
        found = [line for answer in answers for line in answer.cosignatures]
        note = with_signatures(base, found)
        standing = policy.evaluate(note, self._keys)
        size, moment, useful = standing.checkpoint.size, clock.now(), bool(standing.cosigned_by)
        # A cosignature from an earlier round says nothing of now: only those that answered count for time.
        fresh = {answer.witness.name for answer in answers if answer.cosignatures}
        with connection.transaction():
            if useful and size:
                connection.execute(_SAVE, (size, note, standing.independent, standing.quorum_met, moment))
            for each in answers:
                cosigned_at = moment if each.cosignatures else None
                connection.execute(
                    _SAVE_WITNESS, (each.witness.name, each.seen, cosigned_at, moment, each.trouble)
                )
            names = [each.name for each in policy.witnesses]
            connection.execute("DELETE FROM audit.witnesses WHERE name <> ALL (%s)", (names,))
            if policy.quorum is None:
                quorum.quorum_is_not_asked(connection)
            elif policy.is_met_by(fresh):
                quorum.quorum_is_met(connection, self._grace)
            else:
                quorum.quorum_is_missing(connection, self._grace, str(standing))
        if useful and size:
            self._published.publish_cosigned(note)
        telemetry.count("lintas.audit.cosignatures", len(found))
        return standing
