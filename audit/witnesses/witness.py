"""A witness (C2SP tlog-witness): cosigns a log's checkpoints, as long as each appends to the one before.

Invariant: for one log, no two checkpoints are cosigned of which one does not contain the other. Looking at
what was seen, checking, and keeping the new checkpoint on disk happen under one lock, before anything
leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.cosignatures import cosigned_at, with_signatures
from audit.checkpoints.notes import SignedNote, VerifierKey, open_note
from audit.checkpoints.strict_base64 import decode_base64, encode_base64
from audit.errors import NoteInvalid, ProofError, WitnessUnfit
from audit.tree.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from audit.witnesses.folder import WitnessFolder, origin_hash
from foundation import clock, telemetry
from foundation.files import LockBusy

__all__ = ["MAXIMUM_REQUEST_BYTES", "AddCheckpoint", "Reply", "Witness"]

log = telemetry.logger(__name__)

MAXIMUM_REQUEST_BYTES = 256 * 1024
_MAXIMUM_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_TEXT = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the witness answers."""

    status: int
    body: str
    content_type: str = _TEXT


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size that the witness is thought to have seen, a proof from there, a checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """Read a request strictly; the checkpoint in it is not verified yet.

        Raises:
            NoteInvalid: when it is malformed.
        """
        try:
            head, separator, note = body.decode("utf-8").partition("\n\n")
        except UnicodeDecodeError as error:
            raise NoteInvalid("The request is not UTF-8.") from error
        first, *lines = head.split("\n")
        match = _OLD.fullmatch(first)
        if match is None or not separator or len(lines) > _MAXIMUM_PROOF:
            raise NoteInvalid("The request is not an old size, a proof, an empty line and a checkpoint.")
        proof = tuple(decode_base64(line, "proof line") for line in lines)
        if any(len(item) != HASH_SIZE for item in proof):
            raise NoteInvalid("The proof has a hash of the wrong length.")
        return cls(int(match[1]), proof, note)

    def __str__(self) -> str:
        lines = [f"old {self.old_size}", *map(encode_base64, self.proof)]
        return "\n".join(lines) + f"\n\n{self.note}"


class Witness:
    """Answers requests, from any number of threads.

    Args:
        folder: what this witness keeps.

    Raises:
        WitnessUnfit: when the folder cannot be used.
    """

    def __init__(self, folder: WitnessFolder) -> None:
        self.folder = folder
        self._cosigners = folder.cosigners()
        for origin in {key.name for key in folder.logs()}:
            folder.seen(origin)

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer one `add-checkpoint` request."""
        try:
            request = AddCheckpoint.parse(body)
            claimed = Checkpoint.claimed(SignedNote.parse(request.note).text)
        except NoteInvalid as error:
            return Reply(400, f"{error.what}\n")
        try:
            reply = self._known(request, claimed)
        except (WitnessUnfit, LockBusy, OSError) as error:
            log.error("witness_unfit", error=type(error).__name__)
            return Reply(503, "The witness cannot answer now.\n")
        log.info("witness_answered", status=reply.status, tree_size=claimed.size, old_size=request.old_size)
        return reply

    def newest(self, wanted: str) -> Reply:
        """The newest checkpoint that was cosigned, for the SHA-256 (hex) of a log's origin."""
        origin = next((key.name for key in self.folder.logs() if origin_hash(key.name) == wanted), None)
        note = self.folder.seen(origin)[1] if origin is not None else None
        return Reply(404, "Nothing is known of this log.\n") if note is None else Reply(200, note)

    def _known(self, request: AddCheckpoint, claimed: Checkpoint) -> Reply:
        keys = [key for key in self.folder.logs() if key.name == claimed.origin]
        if not keys:
            return Reply(404, "This log is not watched here.\n")
        try:
            checkpoint = _opened(request.note, claimed, keys)
        except NoteInvalid as error:
            return Reply(403, f"{error.what}\n")
        except ProofError as error:
            return Reply(422, f"{error.what}\n")
        if request.old_size > checkpoint.size:
            return Reply(400, "The old size is larger than the size of the checkpoint.\n")
        with self.folder.holding(checkpoint.origin):
            return self._compare(request, checkpoint, keys)

    def _compare(self, request: AddCheckpoint, checkpoint: Checkpoint, keys: list[VerifierKey]) -> Reply:
        seen, note = self.folder.seen(checkpoint.origin)
        if request.old_size != seen.size:
            return Reply(409, f"{seen.size}\n", _SIZE)
        if checkpoint.size == seen.size and checkpoint.root != seen.root:
            self.folder.keep_evidence(checkpoint, request.note)
            return Reply(409, "Another root of this size was cosigned here.\n")  # no size: a fork, not stale
        try:
            _check_proof(seen, checkpoint, request.proof)
        except ProofError as error:
            self.folder.keep_evidence(checkpoint, request.note)
            return Reply(422, f"{error.what}\n")
        kept = _signed_by(request.note, keys)
        text, last = kept.text, _last_moment(note)
        moment = clock.now() if last is None else max(clock.now(), last)
        cosignatures = [each.cosign(text, moment) for each in self._cosigners]
        self.folder.remember(checkpoint.origin, with_signatures(str(kept), cosignatures))
        return Reply(200, "".join(each.line() for each in cosignatures))


def _opened(note: str, claimed: Checkpoint, keys: list[VerifierKey]) -> Checkpoint:
    if claimed.size == 0 and claimed.root != EMPTY_ROOT:
        open_note(note, keys)
        raise ProofError("This root is not that of an empty tree.")
    return open_checkpoint(note, keys)


def _check_proof(seen: Checkpoint, checkpoint: Checkpoint, proof: tuple[bytes, ...]) -> None:
    if seen.size:
        verify_consistency(seen.size, checkpoint.size, proof, seen.root, checkpoint.root)
    elif proof:
        raise ProofError("The proof must be empty where nothing was seen yet.")


def _last_moment(note: str | None) -> datetime | None:
    """When the checkpoint before was cosigned: time never goes back, whatever the clock does."""
    if note is None:
        return None
    moments = [cosigned_at(each) for each in SignedNote.parse(note).signatures]
    return max((each for each in moments if each is not None), default=None)


def _signed_by(note: str, keys: list[VerifierKey]) -> SignedNote:
    """The note with the log's own signatures only."""
    parsed = SignedNote.parse(note)
    known = {(key.name, key.key_id) for key in keys}
    own = tuple(each for each in parsed.signatures if (each.name, each.key_id) in known)
    return SignedNote(parsed.text, own)
