"""The Merkle tree of RFC 6962 section 2.1: hashing, the growing edge, and strict proofs.

Everything here is pure. Verification returns None or raises `ProofError`; malformed input of any
type raises `ProofError` too, never anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audit.errors import ProofError

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Frontier",
    "ProofError",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_from_inclusion_proof",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf: SHA-256 over 0x00 and the exact entry bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 over 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(
    leaf_index: int, tree_size: int, leaf_hash: bytes, proof: Sequence[bytes] | None, root: bytes
) -> None:
    """Check that the leaf with this hash stands at this index of the tree with this size and root.

    Args:
        leaf_index: zero-based position of the leaf.
        tree_size: number of leaves of the tree.
        leaf_hash: RFC 6962 hash of the leaf.
        proof: sibling hashes from the leaf upwards (None is the empty proof of a one-leaf tree).
        root: root hash of the tree.

    Raises:
        ProofError: when anything about the proof is wrong.
    """
    computed = root_from_inclusion_proof(leaf_index, tree_size, leaf_hash, proof)
    if computed != _hash(root, "root"):
        raise ProofError("The inclusion proof leads to a different root.")


def root_from_inclusion_proof(
    leaf_index: int, tree_size: int, leaf_hash: bytes, proof: Sequence[bytes] | None
) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2), without comparing it.

    Raises:
        ProofError: when sizes or hashes are malformed.
    """
    index, size = _integer(leaf_index, "leaf index"), _integer(tree_size, "tree size")
    if size == 0 or index >= size:
        raise ProofError(f"The leaf index {index} is outside a tree of {size} leaves.")
    seed = _hash(leaf_hash, "leaf hash")
    path = _hashes(proof)
    inner, border = _path_shape(index, size)
    if len(path) != inner + border:
        raise ProofError(f"The inclusion proof has {len(path)} hashes; this position needs {inner + border}.")
    return _chain_right(_chain(seed, path[:inner], index), path[inner:])


def verify_consistency(
    size1: int, size2: int, proof: Sequence[bytes] | None, root1: bytes, root2: bytes
) -> None:
    """Check that the tree (size2, root2) only appends to the tree (size1, root1).

    Two trees of one size are consistent when their roots are equal and the proof is empty. Nothing is
    proven by a tree of size 0, so a proof from it is refused.

    Raises:
        ProofError: when anything about the proof is wrong.
    """
    first, second = _integer(size1, "first size"), _integer(size2, "second size")
    path = _hashes(proof)
    if first > second:
        raise ProofError(f"The first tree ({first}) is larger than the second ({second}).")
    if first == second:
        _same_tree(path, root1, root2)
        return
    if first == 0:
        raise ProofError("A consistency proof from the empty tree proves nothing.")
    old, new = _hash(root1, "first root"), _hash(root2, "second root")
    inner, border = _path_shape(first - 1, second)
    shift = (first & -first).bit_length() - 1
    inner -= shift
    complete = first == 1 << shift
    if len(path) != inner + border + (0 if complete else 1):
        raise ProofError(f"The consistency proof has {len(path)} hashes, which does not fit these sizes.")
    seed, rest = (old, path) if complete else (path[0], path[1:])
    mask = (first - 1) >> shift
    if _chain_right(_chain_left_only(seed, rest[:inner], mask), rest[inner:]) != old:
        raise ProofError("The consistency proof does not lead to the first root.")
    if _chain_right(_chain(seed, rest[:inner], mask), rest[inner:]) != new:
        raise ProofError("The consistency proof does not lead to the second root.")


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaf_hashes)
    return frontier.root()


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Inclusion proof for one leaf of a tree that is wholly in memory (batches, tests)."""
    if not 0 <= index < len(leaf_hashes):
        raise ProofError(f"The leaf index {index} is outside a tree of {len(leaf_hashes)} leaves.")
    path: list[bytes] = []
    level = list(leaf_hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _parents(level)
        index >>= 1
    return path


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: one hash for each set bit of `size`, largest subtree first.

    Invariant: `len(peaks) == size.bit_count()`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.peaks) != self.size.bit_count() or any(len(peak) != HASH_SIZE for peak in self.peaks):
            raise ProofError("The stored frontier does not fit its tree size.")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_subtree(0, leaf)

    def append_subtree(self, height: int, root: bytes) -> None:
        """Add the root of a full subtree of 2^height leaves, where such a one begins.

        Raises:
            ProofError: when the tree's size is not a multiple of 2^height.
        """
        peaks, place = self.peaks, self.size >> height
        if place << height != self.size:
            raise ProofError(f"A subtree of height {height} does not begin at {self.size} leaves.")
        while place & 1:
            root = node_hash(peaks.pop(), root)
            place >>= 1
        peaks.append(root)
        self.size += 1 << height

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaf hashes in order, level by level: what is left over on a level is its peak."""
        added = list(leaves)
        size = self.size + len(added)
        peaks, left = list(self.peaks), []
        for level in range(size.bit_length()):
            if self.size >> level & 1:
                added.insert(0, peaks.pop())
            if len(added) & 1:
                left.append(added.pop())
            added = _joined(added)
        self.size, self.peaks = size, left[::-1]

    def root(self) -> bytes:
        """Root of the tree as it stands."""
        if not self.peaks:
            return EMPTY_ROOT
        return _chain_right(self.peaks[-1], self.peaks[-2::-1])

    def to_bytes(self) -> bytes:
        """Peaks joined, for storage beside the size."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Read what `to_bytes` wrote.

        Raises:
            ProofError: when the bytes do not fit the size.
        """
        return cls(size, [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)])


def _joined(pairs: Sequence[bytes]) -> list[bytes]:
    """The parents of an even number of nodes, in one go: nearly all hashing of the log is done here."""
    sha256 = hashlib.sha256
    return [
        sha256(b"\x01" + left + right).digest() for left, right in zip(pairs[::2], pairs[1::2], strict=True)
    ]


def _parents(level: Sequence[bytes]) -> list[bytes]:
    parents = _joined(level[: len(level) & ~1])
    if len(level) % 2:
        parents.append(level[-1])
    return parents


def _same_tree(path: list[bytes], root1: object, root2: object) -> None:
    if path:
        raise ProofError("The sizes are equal, so the proof must be empty.")
    if not isinstance(root1, bytes) or root1 != root2:
        raise ProofError("The sizes are equal but the roots differ.")


def _path_shape(index: int, size: int) -> tuple[int, int]:
    """Numbers of proof hashes below and on the right border, where the paths to index and to the end part."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _chain(seed: bytes, path: Sequence[bytes], index: int) -> bytes:
    for level, sibling in enumerate(path):
        seed = node_hash(sibling, seed) if index >> level & 1 else node_hash(seed, sibling)
    return seed


def _chain_left_only(seed: bytes, path: Sequence[bytes], index: int) -> bytes:
    for level, sibling in enumerate(path):
        if index >> level & 1:
            seed = node_hash(sibling, seed)
    return seed


def _chain_right(seed: bytes, path: Sequence[bytes]) -> bytes:
    for sibling in path:
        seed = node_hash(sibling, seed)
    return seed


def _integer(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ProofError(f"The {name} must be a whole number of at least 0.")
    return value


def _hash(value: object, name: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != HASH_SIZE:
        raise ProofError(f"The {name} must be {HASH_SIZE} bytes.")
    return value


def _hashes(proof: object) -> list[bytes]:
    if proof is None:
        return []
    if not isinstance(proof, list | tuple):
        raise ProofError("A proof must be a list of hashes.")
    return [_hash(item, "proof hash") for item in proof]
