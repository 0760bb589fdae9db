"""COSE receipts (RFC 9942): the proof that an entry stands in the log, in the form that SCITT tools read.

```
18([ << {1: -8, 4: key id, 15: {1: origin, 2: "urn:uuid:…", "tree_size": size}, 395: 1} >>,
     {396: {-1: [ << [tree size, leaf index, [path]] >> ]}},
     null, signature ])
```

That is Ed25519, RFC9162_SHA256, and a detached root. The standard signs the root alone, and one path can lead
to one root in trees of several sizes; so the size stands among the signed claims, too.

It says the same as the `.tlog-proof`, without the entry and without cosignatures of witnesses: who needs
those keeps the other one. The log's key signs it, over bytes that can never be the text of a note (they
begin with 0x84, which no UTF-8 text does).

Invariant: no root is signed that does not stand in a checkpoint of this log already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit import entry as entries
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.signature_types import ED25519
from audit.errors import ProofError
from audit.publishing.receipt import Receipt, VerifiedReceipt
from audit.tree.merkle import HASH_SIZE, leaf_hash, root_from_inclusion_proof

__all__ = ["sign_cose_receipt", "verify_cose_receipt"]

_SIGN1_TAG = 18
_ALG, _CRIT, _KID, _CLAIMS, _VDS, _VDP = 1, 2, 4, 15, 395, 396
_ISSUER, _SUBJECT, _SIZE = 1, 2, "tree_size"
_EDDSA, _ED25519 = -8, -19
"""RFC 9053, which every reader knows, and the fully-specified one of RFC 9864; both are Ed25519 here."""
_RFC9162_SHA256, _INCLUSION = 1, -1
_UNDERSTOOD = frozenset({_ALG, _CRIT, _KID, _CLAIMS, _VDS})
_MAXIMUM_BYTES = 16 * 1024
_MAXIMUM_DEPTH = 8
_MAXIMUM_PATH = 63


def sign_cose_receipt(found: Receipt, private_key: Ed25519PrivateKey, keys: Sequence[VerifierKey]) -> bytes:
    """The COSE form of a receipt.

    Args:
        found: the receipt, whose checkpoint the log has signed.
        private_key: the key that signs checkpoints now.
        keys: verifier keys of the log, that of the private key among them.

    Raises:
        NoteInvalid: when its checkpoint is not a true checkpoint of this log.
        ProofError: when it does not prove its entry, or the key is not one of this log.
    """
    checkpoint = found.proof.verify(leaf_hash(found.entry), keys)
    public = private_key.public_key().public_bytes_raw()
    key = next((k for k in keys if (k.name, k.public_key) == (checkpoint.origin, public)), None)
    if key is None:
        raise ProofError("The key that would sign the receipt is not one of this log.")
    protected = _encoded({
        _ALG: _EDDSA,
        _KID: key.key_id,
        _CLAIMS: {_ISSUER: checkpoint.origin, _SUBJECT: found.entry_id.urn, _SIZE: checkpoint.size},
        _VDS: _RFC9162_SHA256,
    })  # fmt: skip
    proof = _encoded([checkpoint.size, found.index, list(found.proof.path)])
    signature = private_key.sign(_to_be_signed(protected, checkpoint.root))
    return _tagged([protected, {_VDP: {_INCLUSION: [proof]}}, None, signature])


def verify_cose_receipt(receipt: bytes, entry: bytes, keys: Sequence[VerifierKey]) -> VerifiedReceipt:
    """Check a COSE receipt offline: it is the log's word that this entry stands in its tree.

    Args:
        receipt: content of the file.
        entry: the exact bytes of the entry.
        keys: verifier keys of the log.

    Raises:
        ProofError: when it is malformed, of another kind, not deterministically encoded, not signed by one
            of these keys, or does not prove this entry.
    """
    sign1 = _Sign1.parse(receipt)
    headers = _Headers.parse(sign1.protected)
    size, index, path = _inclusion(sign1.unprotected)
    if size != headers.size:
        raise ProofError("The COSE receipt is signed for a tree of another size than its proof.")
    root = root_from_inclusion_proof(index, size, leaf_hash(entry), path)
    key = next(
        (
            k
            for k in keys
            if (k.name, k.key_id, k.signature_type) == (headers.issuer, headers.key_id, ED25519)
        ),
        None,
    )
    if key is None:
        raise ProofError(
            "No known key signed this receipt.", remedy="Check that you use the verifier keys of this log."
        )
    try:
        signed = _to_be_signed(sign1.protected, root)
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(sign1.signature, signed)
    except InvalidSignature as error:
        raise ProofError("The receipt is not of this entry, or its signature is false.") from error
    content = entries.parse(entry)
    if headers.subject != f"urn:uuid:{content.get('id')}":
        raise ProofError("The receipt names another entry than the one given.")
    return VerifiedReceipt(entry=content, index=index, tree_size=size, origin=headers.issuer, witnesses=0)


@dataclass(frozen=True, slots=True)
class _Sign1:
    protected: bytes
    unprotected: Mapping[Any, Any]
    signature: bytes

    @classmethod
    def parse(cls, receipt: bytes) -> _Sign1:
        from cbor2 import CBORTag

        tagged = _decoded(receipt, "receipt")
        if not isinstance(tagged, CBORTag) or tagged.tag != _SIGN1_TAG:
            raise ProofError("This is not a COSE receipt: it is not tagged as COSE_Sign1.")
        parts = tagged.value
        if not _is_list(parts) or len(parts) != 4:
            raise ProofError("The COSE receipt has not four parts.")
        protected, unprotected, payload, signature = parts
        if not isinstance(protected, bytes) or not isinstance(signature, bytes):
            raise ProofError("The COSE receipt has a part of the wrong kind.")
        if payload is not None:
            raise ProofError("The COSE receipt carries its root; it must leave it to be computed.")
        if not _is_map(unprotected) or list(unprotected) != [_VDP]:
            raise ProofError("The COSE receipt has other unprotected headers than a proof.")
        return cls(protected, unprotected, signature)


@dataclass(frozen=True, slots=True)
class _Headers:
    issuer: str
    subject: str
    key_id: bytes
    size: int

    @classmethod
    def parse(cls, protected: bytes) -> _Headers:
        found = _decoded(protected, "protected header")
        if not _is_map(found):
            raise ProofError("The protected header of the COSE receipt is not a map.")
        _refuse_critical(found)
        if not _is_integer(found.get(_ALG)) or found[_ALG] not in (_EDDSA, _ED25519):
            raise ProofError("The COSE receipt is signed by another algorithm than Ed25519.")
        if not _is_integer(found.get(_VDS)) or found[_VDS] != _RFC9162_SHA256:
            raise ProofError("The COSE receipt is of another kind of tree than RFC 9162 with SHA-256.")
        claims, key_id = found.get(_CLAIMS), found.get(_KID)
        if not _is_map(claims) or not isinstance(key_id, bytes):
            raise ProofError("The COSE receipt names no log or no key.")
        issuer, subject, size = claims.get(_ISSUER), claims.get(_SUBJECT), claims.get(_SIZE)
        if not isinstance(issuer, str) or not isinstance(subject, str) or not _is_integer(size):
            raise ProofError("The COSE receipt names no log, no entry or no size.")
        return cls(issuer, subject, key_id, size)


def _refuse_critical(headers: Mapping[Any, Any]) -> None:
    """Headers that must be understood (RFC 9052 section 3.1) must be there, and understood."""
    if _CRIT not in headers:
        return
    critical = headers[_CRIT]
    if not _is_list(critical) or not critical:
        raise ProofError("The COSE receipt has a malformed list of critical headers.")
    for label in critical:
        if not _is_integer(label) or label not in _UNDERSTOOD or label not in headers:
            raise ProofError("The COSE receipt demands that a header is understood which is not known here.")


def _inclusion(unprotected: Mapping[Any, Any]) -> tuple[int, int, list[bytes]]:
    proofs = unprotected[_VDP]
    if not _is_map(proofs) or list(proofs) != [_INCLUSION]:
        raise ProofError("The COSE receipt has another proof than one of inclusion.")
    found = proofs[_INCLUSION]
    if not _is_list(found) or len(found) != 1 or not isinstance(found[0], bytes):
        raise ProofError("The COSE receipt has not exactly one proof of inclusion.")
    proof = _decoded(found[0], "inclusion proof")
    if not _is_list(proof) or len(proof) != 3 or not _is_list(proof[2]):
        raise ProofError("The inclusion proof of the COSE receipt is malformed.")
    size, index, path = proof
    if not _is_integer(size) or not _is_integer(index) or len(path) > _MAXIMUM_PATH:
        raise ProofError("The inclusion proof of the COSE receipt is malformed.")
    if any(not isinstance(item, bytes) or len(item) != HASH_SIZE for item in path):
        raise ProofError("The inclusion proof of the COSE receipt has a hash of the wrong length.")
    return size, index, list(path)


def _to_be_signed(protected: bytes, root: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, without external data."""
    return _encoded(["Signature1", protected, b"", root])


def _tagged(parts: list[Any]) -> bytes:
    from cbor2 import CBORTag

    return _encoded(CBORTag(_SIGN1_TAG, parts))


def _encoded(value: Any) -> bytes:
    from cbor2 import dumps

    return dumps(value, canonical=True)


def _decoded(data: bytes, name: str) -> Any:
    """Read one deterministically encoded value (RFC 8949 section 4.2.1) and nothing after it."""
    from cbor2 import CBORError, loads

    if len(data) > _MAXIMUM_BYTES:
        raise ProofError(f"The {name} is too large.")
    try:
        value = loads(
            data, max_depth=_MAXIMUM_DEPTH, allow_indefinite=False, allow_duplicate_keys=False, immutable=True
        )
        again = _encoded(value)
    except (CBORError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ProofError(f"The {name} is not CBOR.") from error
    if again != data:
        raise ProofError(f"The {name} is not encoded deterministically, or has something after it.")
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_map(value: Any) -> bool:
    """Whether it is a map whose labels are integers and texts: `true` and 1.0 would pass for 1 otherwise."""
    return isinstance(value, Mapping) and all(_is_integer(label) or isinstance(label, str) for label in value)
