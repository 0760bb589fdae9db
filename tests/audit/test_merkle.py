"""The tree: reference values, and proofs of which every mangled one is refused."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tree.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from audit.tree.tiles import consistency_proof, grow, right_edge, tree_root
from audit.tree.tiles import inclusion_proof as proof_from_tiles

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "merkle_reference.json").read_text())
SOME = hashlib.sha256(b"some").digest()


def leaves(count):
    return [leaf_hash(b"leaf %d" % number) for number in range(count)]


def naive_root(hashes):
    """RFC 6962 section 2.1, word by word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


class Tiles:
    """Tiles in memory, grown in steps, read as strictly as stored ones."""

    def __init__(self, hashes, steps=()):
        self.tiles, size = {}, 0
        for end in sorted({*[s for s in steps if s <= len(hashes)], len(hashes)}):
            edge = {t.level: self.tiles[t.level, t.index] for t in right_edge(size)}
            self.tiles |= grow(edge, size, hashes[size:end])
            size = end

    def hashes(self, level, index, width):
        found = self.tiles[level, index][: width * 32]
        assert len(found) == width * 32
        return found


def test_the_reference_tree_has_the_reference_roots():
    hashes = [leaf_hash(bytes.fromhex(item)) for item in REFERENCE["leaves"]]
    assert EMPTY_ROOT.hex() == REFERENCE["empty_root"]
    for size, root in enumerate(REFERENCE["roots"], 1):
        assert root_of(hashes[:size]).hex() == root


@given(st.integers(0, 300))
def test_the_frontier_has_the_root_of_the_specification(count):
    frontier = Frontier()
    frontier.extend(leaves(count))
    assert frontier.root() == naive_root(leaves(count))
    assert len(frontier.peaks) == count.bit_count()
    assert Frontier.from_bytes(count, frontier.to_bytes()).root() == frontier.root()


@given(st.data())
def test_every_inclusion_proof_verifies_and_every_mangled_one_is_refused(data):
    size = data.draw(st.integers(1, 700))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    root = root_of(hashes)
    proof = inclusion_proof(hashes, index)
    assert proof_from_tiles(Tiles(hashes, [1, 200, 256, 300, 512]), index, size) == proof
    verify_inclusion(index, size, hashes[index], proof, root)
    for mangled in mangle_inclusion(data, index, size, hashes[index], proof, root):
        with pytest.raises(ProofError):
            verify_inclusion(*mangled)


def mangle_inclusion(data, index, size, leaf, proof, root):
    yield index, size, SOME, proof, root
    yield index, size, leaf, proof, SOME
    yield index, size, leaf, proof, EMPTY_ROOT
    yield index, size, leaf, [*proof, SOME], root
    yield index, size, leaf, [SOME, *proof], root
    yield index, size, leaf, [*proof, b""], root
    yield index, size, leaf, [b"", *proof], root
    yield index, size, leaf[:-1], proof, root
    yield index, size, leaf, proof, root + b"\0"
    yield index, 0, leaf, proof, root
    yield size, size, leaf, proof, root
    yield -1, size, leaf, proof, root
    yield index, -size, leaf, proof, root
    yield float(index), size, leaf, proof, root
    yield index, size, leaf, root, root
    yield index, size, "leaf", proof, root
    if size > 1:
        other = data.draw(st.integers(0, size - 1).filter(lambda value: value != index))
        yield other, size, leaf, proof, root
        yield index, size, leaf, proof[:-1], root
        yield index, size, leaf, proof[1:], root
        place = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = bytearray(proof[place])
        flipped[bit // 8] ^= 1 << bit % 8
        yield index, size, leaf, [*proof[:place], bytes(flipped), *proof[place + 1 :]], root


@given(st.data())
def test_every_consistency_proof_verifies_and_every_mangled_one_is_refused(data):
    size2 = data.draw(st.integers(1, 700))
    size1 = data.draw(st.integers(1, size2))
    hashes = leaves(size2)
    root1, root2 = root_of(hashes[:size1]), root_of(hashes)
    proof = consistency_proof(Tiles(hashes, [100, 256, 600]), size1, size2)
    verify_consistency(size1, size2, proof, root1, root2)
    for mangled in mangle_consistency(data, size1, size2, proof, root1, root2):
        with pytest.raises(ProofError):
            verify_consistency(*mangled)


def mangle_consistency(data, size1, size2, proof, root1, root2):
    yield size1, size2, [*proof, SOME], root1, root2
    yield size1, size2, [SOME, *proof], root1, root2
    yield size1, size2, [*proof, b""], root1, root2
    yield size1, size2, [*proof, root1], root1, root2
    yield size1, size2, proof, SOME, root2
    yield size1, size2, proof, root1, SOME
    yield size1, size2, proof, root1[:-1], root2
    yield -size1, size2, proof, root1, root2
    yield 0, size2, proof, root1, root2
    yield 0, size2, [], EMPTY_ROOT, root2
    if size1 < size2:
        yield size2, size1, proof, root1, root2
        yield size1, size2, proof, root2, root1
        yield size1, size2, [], root1, root2
        yield size1, size2, proof[:-1], root1, root2
        place = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[place][0] ^ 16]) + proof[place][1:]
        yield size1, size2, [*proof[:place], flipped, *proof[place + 1 :]], root1, root2


def test_trees_of_one_size_are_consistent_when_their_roots_are_equal():
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    verify_consistency(1, 1, None, SOME, SOME)
    with pytest.raises(ProofError):
        verify_consistency(1, 1, [SOME], SOME, SOME)


@given(st.integers(0, 2000), st.lists(st.integers(0, 2000), max_size=6))
def test_tiles_grown_in_any_steps_hold_the_same_tree(size, steps):
    hashes = leaves(size)
    assert Tiles(hashes, steps).tiles == grow({}, 0, hashes)
    assert tree_root(Tiles(hashes, steps), size) == root_of(hashes)


def test_a_large_tree_is_proven_across_three_levels_of_tiles():
    size = 66_000
    hashes = leaves(size)
    tiles, root = Tiles(hashes), root_of(hashes)
    for index in (0, 65_535, 65_536, 65_999):
        verify_inclusion(index, size, hashes[index], proof_from_tiles(tiles, index, size), root)
    for smaller in (1, 255, 65_536, 65_537, 65_999):
        proof = consistency_proof(tiles, smaller, size)
        verify_consistency(smaller, size, proof, root_of(hashes[:smaller]), root)
