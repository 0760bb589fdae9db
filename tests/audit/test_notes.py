"""Signed notes, verifier keys, checkpoints and proof files: what is mangled is refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from audit.checkpoints.notes import NoteSignature, SignedNote, VerifierKey, open_note, sign_note
from audit.errors import NoteInvalid, ProofError
from audit.publishing.proofs import TlogProof
from audit.tree.merkle import EMPTY_ROOT, leaf_hash, root_of
from audit.tree.tiles import TileAddress

NAME = "lintas.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey(NAME, PRIVATE.public_key().public_bytes_raw())
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
ROOT = leaf_hash(b"entry")
NOTE = sign_checkpoint(Checkpoint(NAME, 1, ROOT), PRIVATE)
TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n"), min_size=1)


@given(TEXTS)
def test_any_text_that_can_stand_in_a_note_comes_back_whole(text):
    note = sign_note(text + "\n", NAME, PRIVATE)
    assert open_note(note, [KEY]).text == text + "\n"
    assert str(SignedNote.parse(note)) == note


@given(st.data())
def test_a_note_with_any_byte_changed_is_refused(data):
    raw = bytearray(NOTE.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NoteInvalid):
        open_checkpoint(bytes(raw), [KEY])


@given(st.data())
def test_a_note_cut_or_lengthened_is_refused(data):
    cut = data.draw(st.integers(0, len(NOTE) - 1))
    with pytest.raises(NoteInvalid):
        open_checkpoint(NOTE[:cut], [KEY])
    with pytest.raises(NoteInvalid):
        open_checkpoint(NOTE + data.draw(st.text(min_size=1)), [KEY])


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_garbage_is_refused_and_never_raises_anything_else(garbage):
    with pytest.raises(NoteInvalid):
        open_checkpoint(garbage, [KEY])
    with pytest.raises(ProofError):
        TlogProof.parse(garbage)
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(garbage if isinstance(garbage, str) else garbage.decode("latin-1"))


def test_a_verifier_key_is_written_and_read():
    assert VerifierKey.parse(str(KEY)) == KEY


def test_the_key_id_is_the_one_of_the_specification():
    """The published example key of golang.org/x/mod/sumdb/note."""
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
        "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert open_note(note, [VerifierKey.parse(text)]).text.startswith("If you think")


@pytest.mark.parametrize(
    "text",
    [
        "", "a+b", str(KEY)[:-1], str(KEY) + "=", str(KEY).replace(NAME, "other"),
        "+" + str(KEY).split("+", 1)[1],
        str(KEY).replace("+" + KEY.key_id.hex(), "+" + "0" * 8), str(KEY).replace(NAME, "with space"),
        f"{NAME}+{KEY.key_id.hex()}+" + base64.b64encode(b"\x02" + KEY.public_key).decode(),
        f"{NAME}+{KEY.key_id.hex().upper()}+" + base64.b64encode(b"\x01" + KEY.public_key).decode(),
    ],
)  # fmt: skip
def test_a_mangled_verifier_key_is_refused(text):
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(text)


def with_lines(*lines):
    return NOTE.split("\n\n")[0] + "\n\n" + "".join(lines)


GOOD = NOTE.split("\n\n")[1]


def test_a_name_or_a_text_that_is_no_utf_8_is_refused():
    for name in ("a\udc80", "\ud800b"):
        with pytest.raises(NoteInvalid):
            VerifierKey(name, KEY.public_key)
        with pytest.raises(NoteInvalid):
            VerifierKey.parse(str(KEY).replace(NAME, name))
    with pytest.raises(NoteInvalid):
        sign_note("text \udc80\n", NAME, PRIVATE)


def test_a_signature_by_a_stranger_is_ignored_and_does_not_suffice():
    stranger = VerifierKey("w.example", STRANGER.public_key().public_bytes_raw())
    text = SignedNote.parse(NOTE).text
    line = NoteSignature(stranger.name, stranger.key_id, STRANGER.sign(text.encode())).line()
    opened = open_note(with_lines(line, GOOD), [KEY])
    assert (opened.signed_by, opened.ignored) == ((KEY,), 1)
    with pytest.raises(NoteInvalid):
        open_note(with_lines(line), [KEY])
    assert len(open_note(with_lines(line, GOOD), [KEY, stranger]).signed_by) == 2
    assert open_note(with_lines(GOOD, GOOD), [KEY]).signed_by == (KEY,)
    with pytest.raises(NoteInvalid, match="not signed by the log"):
        open_checkpoint(with_lines(line), [stranger])


def test_a_false_signature_in_the_name_of_a_known_key_refuses_the_whole_note():
    false = NoteSignature(NAME, KEY.key_id, bytes(64)).line()
    for lines in ([false], [GOOD, false], [false, GOOD]):
        with pytest.raises(NoteInvalid):
            open_note(with_lines(*lines), [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "\n1\nAAAA\n", f"{NAME}\n01\n{{r}}\n", f"{NAME}\n-1\n{{r}}\n", f"{NAME}\n+1\n{{r}}\n", f"{NAME}\n1\n",
        f"{NAME}\n1\n{{r}}", f"{NAME}\n1\n\n{{r}}\n", f"{NAME}\n1 \n{{r}}\n", f"{NAME}\n١\n{{r}}\n",
        f"{NAME}\n0\n{{r}}\n", f"{NAME}\n9223372036854775808\n{{r}}\n", f"{NAME}\n1\nAAAA\n",
        f"{NAME}\n1\n{{r}}\n\nextension\n",
    ],
)  # fmt: skip
def test_a_malformed_checkpoint_is_refused_even_when_it_is_signed(text):
    root = base64.b64encode(ROOT).decode()
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text.replace("{r}", root))


def test_checkpoints_of_an_empty_log_and_with_extension_lines_are_read():
    assert Checkpoint.parse(Checkpoint(NAME, 0, EMPTY_ROOT).text()).size == 0
    assert Checkpoint.parse(Checkpoint(NAME, 5, ROOT).text() + "extension\n").size == 5


LEAVES = [leaf_hash(b"%d" % number) for number in range(3)]
PROOF = TlogProof(
    1, (LEAVES[0], LEAVES[2]), sign_checkpoint(Checkpoint(NAME, 3, root_of(LEAVES)), PRIVATE), b"1"
)


def test_a_proof_file_is_written_read_and_verified():
    assert TlogProof.parse(str(PROOF)) == PROOF
    assert TlogProof.parse(str(PROOF).encode()).verify(LEAVES[1], [KEY]).size == 3
    bare = TlogProof(PROOF.index, PROOF.path, PROOF.checkpoint)
    assert TlogProof.parse(str(bare)) == bare


@given(st.data())
def test_a_proof_file_with_any_byte_changed_proves_nothing(data):
    raw = bytearray(str(PROOF).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = TlogProof.parse(bytes(raw))
        changed.verify(leaf_hash(changed.extra or b""), [KEY])
    except (ProofError, NoteInvalid):
        return
    pytest.fail("a changed proof was accepted")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("@v1", "@v2"), lambda t: t.replace("index 1", "index 01"),
        lambda t: t.replace("index 1", "index -1"), lambda t: t.replace("index 1\n", ""),
        lambda t: t.replace("extra MQ==", "extra MQ="), lambda t: t.replace("extra MQ==", "extra MR=="),
        lambda t: t.replace("\n\n", "\n", 1), lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("index 1\n", "index 1\n" + base64.b64encode(bytes(64)).decode() + "\n"),
        lambda t: " " + t, lambda t: t.split("\n\n")[0], lambda t: t.split("\n\n")[0] + "\n\n",
    ],
)  # fmt: skip
def test_a_malformed_proof_file_is_refused(change):
    with pytest.raises((ProofError, NoteInvalid)):
        TlogProof.parse(change(str(PROOF))).verify(LEAVES[1], [KEY])


@given(st.integers(0, 63) | st.none(), st.integers(0, 2**62), st.integers(1, 256))
def test_every_tile_has_one_path_and_every_path_one_tile(level, index, width):
    address = TileAddress(level, index, width)
    assert TileAddress.parse(address.path()) == address


def test_the_path_of_the_specification():
    assert TileAddress(0, 1234067).path() == "tile/0/x001/x234/067"
    assert TileAddress(None, 0, 5).path() == "tile/entries/000.p/5"


@pytest.mark.parametrize(
    "path",
    ["", "tile/0/0", "tile/00/000", "tile/64/000", "tile/0/x000/000", "tile/0/000.p/0", "tile/0/000.p/256",
     "tile/0/000.p/01", "tile/0/001/000", "tile/-1/000", "tile/0/000/", "/tile/0/000", "tile/0/٠٠٠",
     "tile/0/000\n"],
)  # fmt: skip
def test_what_is_not_the_path_of_a_tile_is_refused(path):
    with pytest.raises(ProofError):
        TileAddress.parse(path)
