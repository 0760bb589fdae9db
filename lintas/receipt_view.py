"""Receipts as the command line writes and checks them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role, translated
from lintas.access import connected, opened
from lintas.key_files import verifier_keys

if TYPE_CHECKING:
    from audit.checkpoints.notes import VerifierKey
    from audit.publishing.receipt import VerifiedReceipt

__all__ = ["check_receipt", "cose_receipt_of", "receipt_of", "timestamped_receipt_of"]


def receipt_of(entry: str) -> str:
    """The receipt of an entry."""
    from audit.publishing.receipt import receipt

    with translated(), connected(Role.AUDITOR) as (_, connection):
        return str(receipt(connection, UUID(entry)))


def timestamped_receipt_of(entry: str) -> tuple[str, Mapping[str, bytes]]:
    """The receipt of an entry under the first stamped checkpoint, and each authority's token on that."""
    from audit.errors import ReceiptNotReady
    from audit.publishing.receipt import receipt, receipt_under
    from audit.timestamps import queue

    with translated(), connected(Role.AUDITOR) as (_, connection):
        found = receipt(connection, UUID(entry))
        size = queue.first_stamped(connection, found.index)
        if size is None:
            raise ReceiptNotReady(
                "No timestamp covers this entry yet.",
                remedy="See `lintas audit timestamps`, or stamp now with `lintas audit timestamp`.",
            )
        stamped = receipt_under(connection, UUID(entry), size)
        tokens = {each.authority: each.token for each in queue.stored(connection, size)}
    return str(stamped), tokens


def cose_receipt_of(entry: str) -> tuple[bytes, bytes]:
    """The COSE receipt of an entry, and the entry, which it does not carry."""
    from audit.checkpoints.keys import log_private_key, log_verifier_keys
    from audit.publishing.cose_receipt import sign_cose_receipt
    from audit.publishing.receipt import receipt

    with translated(), connected(Role.AUDITOR) as (installation, connection):
        found = receipt(connection, UUID(entry))
        keys = log_verifier_keys(installation)
        return sign_cose_receipt(found, log_private_key(installation), keys), found.entry


def check_receipt(
    file: Path, entry: Path | None, keys: Path | None, policy: Path | None
) -> Mapping[str, Any]:
    """Check a receipt of either kind, and say what it proves."""
    from audit.checkpoints.policy import Policy
    from audit.errors import ProofError
    from audit.publishing.cose_receipt import verify_cose_receipt
    from audit.publishing.receipt import verify_receipt

    content, known = file.read_bytes(), _keys(keys)
    if content.startswith(b"c2sp.org/"):
        given = entry.read_bytes() if entry is not None else None
        return _described(verify_receipt(content, known, given, Policy.load(policy) if policy else None))
    beside = entry or file.with_name(f"{file.name}.entry")
    if not beside.exists():
        raise ProofError("The receipt carries no entry.", remedy="Give its bytes with --entry.")
    return _described(verify_cose_receipt(content, beside.read_bytes(), known))


def _keys(file: Path | None) -> "list[VerifierKey]":
    from audit.checkpoints.keys import log_verifier_keys

    if file is None:
        with opened() as installation:
            return log_verifier_keys(installation)
    return verifier_keys(file)


def _described(found: "VerifiedReceipt") -> Mapping[str, Any]:
    fields = {
        "entry_id": found.entry.get("id"),
        "kind": found.entry.get("kind"),
        "time": found.entry.get("time"),
        "number": found.index,
        "tree_size": found.tree_size,
        "log": found.origin,
        "witnesses": found.witnesses,
    }
    if found.quorum_met is not None:
        fields["quorum_met"] = found.quorum_met
    return {**fields, "not_proven": list(found.not_proven)}
