"""A log in memory: leaves, signed checkpoints at any size, proofs between them; and forks of it."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.tree.merkle import HASH_SIZE, leaf_hash, root_of
from audit.tree.tiles import consistency_proof, grow
from audit.witnesses.witness import AddCheckpoint


class PracticeLog:
    """Signs whatever it is told to, as a fraudulent operator could."""

    def __init__(self, origin="lintas.example/log", seed=1, history=b"entry"):
        self.origin = origin
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.key = VerifierKey(origin, self.private.public_key().public_bytes_raw())
        self.leaves = [leaf_hash(history + b" %d" % number) for number in range(600)]
        self._tiles = grow({}, 0, self.leaves)

    def hashes(self, level, index, width):
        return self._tiles[level, index][: width * HASH_SIZE]

    def checkpoint(self, size):
        return Checkpoint(self.origin, size, root_of(self.leaves[:size]))

    def note(self, size):
        return sign_checkpoint(self.checkpoint(size), self.private)

    def request(self, old, size):
        proof = consistency_proof(self, old, size) if 0 < old <= size else []
        return AddCheckpoint(old, tuple(proof), self.note(size))

    def body(self, old, size):
        return str(self.request(old, size)).encode()
