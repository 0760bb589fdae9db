"""Asking one witness to cosign a checkpoint (the client's side of C2SP tlog-witness)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from audit.checkpoints.cosignatures import cosigned_at, true_cosignatures
from audit.checkpoints.notes import NoteSignature, SignedNote
from audit.checkpoints.policy import Witness
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import LogForked, NoteInvalid, PolicyInvalid
from audit.witnesses.witness import AddCheckpoint
from foundation.errors import LintasError
from foundation.http import AddressPolicy, HttpClient, HttpResponse, Limits, RetryPolicy, Timeouts, TlsPolicy

__all__ = ["Answer", "WitnessClient"]

_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n?")
_ROUNDS = 3
_TIMEOUTS = Timeouts(connect=2.0, read=5.0, total=5.0)

Proof = Callable[[int, int], Sequence[bytes]]
"""A consistency proof of our own tree between two sizes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answered."""

    witness: Witness
    seen: int
    """The size it has seen, as far as is known."""
    cosignatures: tuple[NoteSignature, ...] = ()
    trouble: str | None = None
    ahead: bool = False
    """It has seen more than the checkpoint that it was shown."""


class WitnessClient:
    """Speaks to one witness; not for several threads at once.

    Args:
        witness: the witness, with its submission prefix as URL.
        ca_file: authority of its certificate; the system's by default.
        seen: the size that it is thought to have seen.

    Raises:
        PolicyInvalid: when its URL cannot be read.
    """

    def __init__(self, witness: Witness, ca_file: Path | None = None, seen: int = 0) -> None:
        try:
            (witness.url or "").encode()  # octets of a policy that are no UTF-8 make no URL
            parts = urlsplit(witness.url or "")
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise PolicyInvalid(
                f"The URL of the witness {witness.name} cannot be read.",
                why=type(error).__name__,
                remedy="Correct its line of the policy.",
            ) from None
        self._witness, self._seen = witness, seen
        self._url = f"{(witness.url or '').rstrip('/')}/add-checkpoint"
        self._http = HttpClient(
            AddressPolicy([f"{parts.hostname}:{port}"]),
            system=f"the witness {witness.name}",
            tls=TlsPolicy(ca_file=ca_file),
            timeouts=_TIMEOUTS,
            limits=Limits(body_bytes=64 * 1024, connections=1),
            retry=RetryPolicy.never(),
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def add(self, note: str, proof: Proof, seconds: float) -> Answer:
        """Show a signed checkpoint, and prove that it appends to what the witness has seen.

        Args:
            note: the signed checkpoint.
            proof: makes consistency proofs up to it.
            seconds: how long this may take in all.

        Raises:
            LogForked: when the witness holds another history of this log.
        """
        head = Checkpoint.parse(SignedNote.parse(note).text)
        ends_at = time.monotonic() + seconds
        try:
            for _ in range(_ROUNDS):
                if self._seen > head.size:
                    return Answer(self._witness, self._seen, ahead=True)
                answer = self._ask(head, note, proof, ends_at)
                if answer is not None:
                    return answer
            return Answer(self._witness, self._seen, trouble="it changes its mind about what it has seen")
        except LogForked:
            raise
        except LintasError as error:
            return Answer(self._witness, self._seen, trouble=error.code)

    def _ask(self, head: Checkpoint, note: str, proof: Proof, ends_at: float) -> Answer | None:
        """One request; None when it must be repeated from another size."""
        old = self._seen
        lines = tuple(proof(old, head.size)) if 0 < old < head.size else ()
        reply = self._http.request(
            "POST",
            self._url,
            content=str(AddCheckpoint(old, lines, note)).encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
            accept=range(200, 600),
            deadline=max(0.0, ends_at - time.monotonic()),
        )
        if reply.status == 200:
            self._seen = head.size
            return self._cosigned(head, reply)
        if reply.status == 422:
            raise self._forked(f"It refuses the proof from {old} to {head.size} entries.")
        if reply.status != 409:
            return Answer(self._witness, self._seen, trouble=f"HTTP {reply.status}")
        stated = _SIZE.fullmatch(reply.text)
        if old == head.size and (stated is None or int(stated[1]) == old):
            # tlog-witness has a size in the answer to a stale request alone, not to one with another root
            raise self._forked(f"It holds another root for {old} entries.")
        if stated is None:
            raise NoteInvalid("The witness answered a conflict without a size.")
        self._seen = int(stated[1])
        return None

    def _cosigned(self, head: Checkpoint, reply: HttpResponse) -> Answer:
        answer = Answer(self._witness, head.size)
        try:
            found = tuple(true_cosignatures(head.text(), reply.body, [self._witness.key]))
        except NoteInvalid:
            return replace(answer, trouble="it answered a false or mangled cosignature")
        if any(cosigned_at(each) is None for each in found):
            return replace(answer, trouble="it answered a cosignature without a time")
        return replace(answer, cosignatures=found, trouble=None if found else "it answered no cosignature")

    def _forked(self, why: str) -> LogForked:
        return LogForked(
            f"The witness {self._witness.name} holds another history of this log.",
            why=why,
            remedy="Sign nothing; follow the page on witnesses: restore the newest copy, or begin anew.",
            witness=self._witness.name,
            witness_key=str(self._witness.key),
        )
