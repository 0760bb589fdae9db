"""A client refuses a log that signs two histories, even with its real key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.tree.merkle import leaf_hash
from audit.tree.tiles import TileAddress, grow, tree_root
from sandbox.receipts import LogKey, ReceiptInvalid
from sandbox.seen_checkpoint import LogForked, SeenCheckpoint

NAME = "lintas.example/log"


class Log:
    """A log in memory that signs with a real key; another `branch` is another history from `same` on."""

    def __init__(self, key, same=0, branch="a"):
        self.key = key
        self.same, self.branch = same, branch

    def _tiles(self, size):
        names = [f"{'a' if n < self.same else self.branch}{n}" for n in range(size)]
        return grow({}, 0, [leaf_hash(name.encode()) for name in names])

    def note(self, size):
        tiles = self._tiles(size)

        class Reader:
            def hashes(self, level, index, width):
                return tiles[level, index][: width * 32]

        return sign_checkpoint(Checkpoint(NAME, size, tree_root(Reader(), size)), self.key)

    def tile(self, path):
        address = TileAddress.parse(path)
        content = self._tiles(900)[address.level, address.index]
        return content[: address.width * 32]


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


def client(key, log, tmp_path):
    verifier = VerifierKey(NAME, key.public_key().public_bytes_raw())
    return SeenCheckpoint(tmp_path / "seen", LogKey.parse(str(verifier)), log.tile)


@pytest.mark.parametrize("sizes", [(1, 2, 3, 700), (255, 256, 257, 513), (7, 7, 3, 900, 256)])
def test_a_growing_log_is_followed_and_the_newest_checkpoint_kept(key, tmp_path, sizes):
    log = Log(key)
    seen = client(key, log, tmp_path)
    for size in sizes:
        seen.observe(log.note(size))
    assert client(key, log, tmp_path).size == max(sizes)


@pytest.mark.parametrize(("first", "second"), [(300, 301), (300, 600), (300, 300), (300, 280), (256, 512)])
def test_a_fork_signed_with_the_real_key_is_refused_and_forgotten(key, tmp_path, first, second):
    honest, forked = Log(key), Log(key, same=200, branch="b")
    client(key, honest, tmp_path).observe(honest.note(first))
    for served in (forked, honest):
        with pytest.raises(LogForked) as caught:
            client(key, served, tmp_path).observe(forked.note(second))
    assert "two histories under one key" in caught.value.why
    assert client(key, honest, tmp_path).size == first


def test_a_checkpoint_by_another_key_is_refused(key, tmp_path):
    stranger = Log(Ed25519PrivateKey.generate())
    with pytest.raises(ReceiptInvalid):
        client(key, Log(key), tmp_path).observe(stranger.note(3))
