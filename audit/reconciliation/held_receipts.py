"""What portals hold: receipts, promises and answers in a folder, each checked on its own before it counts.

`*.tlog-proof` are receipts. `*.jws` hold what the bus signed, one compact JWS a line: promises of inclusion
and answers, told apart by their `typ`. Nothing else in the folder is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from audit.checkpoints.checkpoint import Checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.errors import AccessLogInvalid, NoteInvalid, ProofError
from audit.log import Promise
from audit.publishing.proofs import TlogProof
from audit.publishing.receipt import verify_promise
from audit.reconciliation.discrepancies import Discrepancy, DiscrepancyKind, Window
from audit.tree.merkle import leaf_hash
from foundation.signatures import ALGORITHM

__all__ = ["HeldAnswer", "HeldPromise", "HeldProof", "HeldReceipts", "read_receipts"]

_ANSWER = "lintas-answer+jws"
_PROMISE = "lintas-promise+jwt"


@dataclass(frozen=True, slots=True)
class HeldProof:
    """A receipt that proves its entry under a checkpoint of the log."""

    index: int
    leaf: bytes
    checkpoint: Checkpoint
    seen_in: str


@dataclass(frozen=True, slots=True)
class HeldPromise:
    """A promise that the bus signed."""

    promise: Promise
    seen_in: str


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """An answer that the bus signed."""

    answer_id: str
    system: str
    answered_at: datetime
    seen_in: str


@dataclass(slots=True)
class HeldReceipts:
    """What a folder holds, and which of its files are not what they seem."""

    proofs: list[HeldProof] = field(default_factory=list)
    promises: list[HeldPromise] = field(default_factory=list)
    answers: list[HeldAnswer] = field(default_factory=list)
    invalid: list[Discrepancy] = field(default_factory=list)


def read_receipts(
    folder: Path, log_keys: Sequence[VerifierKey], bus_keys: Sequence[Mapping[str, Any]]
) -> HeldReceipts:
    """Read a folder and all below it.

    Args:
        folder: what a portal keeps, or several portals', each in a folder of its own.
        log_keys: verifier keys of the log.
        bus_keys: public keys of the bus, as JWKs.

    Raises:
        AccessLogInvalid: when there is no such folder.
    """
    if not folder.is_dir():
        raise AccessLogInvalid("There is no folder of receipts here.", remedy="Give a folder.")
    held = HeldReceipts()
    for file in sorted(folder.rglob("*")):
        try:
            if file.suffix == ".tlog-proof":
                held.proofs.append(_proof(file.read_bytes(), log_keys, file.name))
            elif file.suffix == ".jws":
                _read_signed(held, file, bus_keys)
        except (NoteInvalid, ProofError, UnicodeDecodeError, ValueError) as error:
            reason = error.what if isinstance(error, NoteInvalid | ProofError) else "it cannot be read"
            held.invalid.append(
                Discrepancy(DiscrepancyKind.RECEIPT_INVALID, f"{file.name}: {reason}", Window(), file.name)
            )
    return held


def _proof(content: bytes, keys: Sequence[VerifierKey], name: str) -> HeldProof:
    proof = TlogProof.parse(content)
    if proof.extra is None:
        raise ProofError("The receipt carries no entry.")
    leaf = leaf_hash(proof.extra)
    return HeldProof(proof.index, leaf, proof.verify(leaf, keys), name)


def _read_signed(held: HeldReceipts, file: Path, keys: Sequence[Mapping[str, Any]]) -> None:
    for number, line in enumerate(file.read_text(encoding="ascii").splitlines(), 1):
        token, seen_in = line.strip(), f"{file.name}:{number}"
        if not token:
            continue
        kind, content = _opened(token, keys)
        if kind == _PROMISE:
            held.promises.append(HeldPromise(verify_promise(token, keys), seen_in))
        elif kind == _ANSWER:
            held.answers.append(
                HeldAnswer(
                    str(content["answer_id"]),
                    str(content["system"]),
                    datetime.fromisoformat(str(content["answered_at"])),
                    seen_in,
                )
            )


def _opened(token: str, keys: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Type and content of a token that the bus signed.

    Raises:
        NoteInvalid: when the bus did not sign it.
    """
    try:
        kid = jws.extract_compact(token.encode("ascii")).headers().get("kid")
        known = next(key for key in keys if key.get("kid") == kid)
        opened = jws.deserialize_compact(token, OKPKey.import_key(dict(known)), algorithms=[ALGORITHM])
        content = orjson.loads(opened.payload)
        return str(opened.headers().get("typ")), dict(content)
    except (JoseError, StopIteration, ValueError, TypeError) as error:
        raise NoteInvalid("a line is not signed by a known key of the bus") from error
