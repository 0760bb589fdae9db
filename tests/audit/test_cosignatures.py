"""Cosignatures of witnesses: both algorithms, byte for byte as specified, and every bad one refused."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from audit.checkpoints.cosignatures import Cosigner, cosigned_at, true_cosignatures, with_signatures
from audit.checkpoints.notes import NoteSignature, SignedNote, VerifierKey, open_note, sign_note
from audit.checkpoints.signature_types import subtree_message
from audit.errors import NoteInvalid
from audit.tree.merkle import leaf_hash

NAME = "lintas.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey(NAME, PRIVATE.public_key().public_bytes_raw())
HEAD = Checkpoint(NAME, 1, leaf_hash(b"entry"))
NOTE = sign_checkpoint(HEAD, PRIVATE)
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
WITNESSES = {
    "ed25519": Cosigner("kpk.example/witness", 0x04, bytes([7]) * 32),
    "ml-dsa-44": Cosigner("bpk.example/witness", 0x06, bytes([8]) * 32),
}
TORCHWOOD = json.loads((Path(__file__).parents[1] / "data" / "torchwood_ml_dsa_subtree.json").read_text())


@pytest.fixture(params=sorted(WITNESSES))
def witness(request):
    return WITNESSES[request.param]


def test_a_cosigned_checkpoint_opens_with_the_keys_of_log_and_witness(witness):
    cosigned = with_signatures(NOTE, [witness.cosign(HEAD.text(), MOMENT)])
    assert open_checkpoint(cosigned, [KEY, witness.key]) == HEAD
    assert open_note(cosigned, [KEY, witness.key]).signed_by == (KEY, witness.key)
    assert open_note(cosigned, [KEY]).ignored == 1
    assert VerifierKey.parse(str(witness.key)) == witness.key
    assert cosigned_at(SignedNote.parse(cosigned).signatures[1]) == MOMENT


def test_an_ed25519_cosignature_signs_exactly_the_text_of_the_specification():
    witness = WITNESSES["ed25519"]
    blob = witness.cosign(HEAD.text(), MOMENT).signature
    assert int.from_bytes(blob[:8], "big") == int(MOMENT.timestamp())
    signed = b"cosignature/v1\ntime 1772323200\n" + HEAD.text().encode()
    Ed25519PublicKey.from_public_bytes(witness.key.public_key).verify(blob[8:], signed)


def test_an_ml_dsa_cosignature_signs_exactly_the_structure_of_the_specification():
    witness = WITNESSES["ml-dsa-44"]
    blob = witness.cosign(HEAD.text(), MOMENT).signature
    signed = (
        b"subtree/v1\n\0" + b"\x13bpk.example/witness" + int(MOMENT.timestamp()).to_bytes(8, "big")
        + b"\x12" + NAME.encode() + bytes(8) + (1).to_bytes(8, "big") + HEAD.root
    )  # fmt: skip
    MLDSA44PublicKey.from_public_bytes(witness.key.public_key).verify(blob[8:], signed)


def test_an_ml_dsa_cosignature_that_another_implementation_made_is_true():
    key = VerifierKey.parse(TORCHWOOD["verifier_key"])
    line = NoteSignature.parse(TORCHWOOD["line"])
    assert (line.name, line.key_id) == (key.name, key.key_id)
    message = subtree_message(
        key.name, 0, TORCHWOOD["origin"],
        start=TORCHWOOD["start"], end=TORCHWOOD["end"], root=base64.b64decode(TORCHWOOD["root"]),
    )  # fmt: skip
    MLDSA44PublicKey.from_public_bytes(key.public_key).verify(line.signature[8:], message)


@pytest.mark.parametrize(
    "published",
    [
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "Wit1+55ee4561+AVhZSmQj9+SoL+p/nN0Hh76xXmF7QcHfytUrI1XfSClk",
        TORCHWOOD["verifier_key"],
    ],
)
def test_published_keys_of_logs_and_witnesses_are_read(published):
    assert str(VerifierKey.parse(published)) == published


@pytest.mark.parametrize(
    "mangled",
    [
        "bananas.sigstore.dev+12344556",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
        "rekor.sigstore.dev+12345678+AwEB",
        "remora.n621.de+00000000+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "remora.n621.de+DA77ADE7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2AA",
        "remora n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        TORCHWOOD["verifier_key"][:-8],
        TORCHWOOD["verifier_key"].replace("+Bh", "+BB"),
    ],
)
def test_a_mangled_verifier_key_of_any_type_is_refused(mangled):
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(mangled)


@settings(max_examples=40)
@given(st.data())
def test_a_cosignature_with_any_bit_changed_refuses_the_note_where_its_key_is_known(data):
    witness = WITNESSES[data.draw(st.sampled_from(sorted(WITNESSES)))]
    line = witness.cosign(HEAD.text(), MOMENT)
    blob = bytearray(line.signature)
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    false = NoteSignature(line.name, line.key_id, bytes(blob))
    with pytest.raises(NoteInvalid):
        open_checkpoint(with_signatures(NOTE, [false]), [KEY, witness.key])
    assert open_checkpoint(with_signatures(NOTE, [false]), [KEY]) == HEAD


def test_a_cosignature_cut_or_lengthened_is_false(witness):
    blob = witness.cosign(HEAD.text(), MOMENT).signature
    for wrong in (blob[:-1], blob + b"\0", blob[:8], b"\0", blob[8:]):
        assert not witness.key.verify(HEAD.text(), wrong)


def test_a_cosignature_holds_for_its_own_text_alone(witness):
    blob = witness.cosign(HEAD.text(), MOMENT).signature
    other = Checkpoint(NAME, 2, HEAD.root).text()
    assert not witness.key.verify(other, blob)
    assert not witness.key.verify("no checkpoint\n", blob)


def test_only_a_checkpoint_can_be_cosigned(witness):
    for text in ("no checkpoint\n", f"{NAME}\n1\nAAAA\n", f"{NAME}\n0\n{HEAD.text().splitlines()[2]}\n"):
        with pytest.raises(NoteInvalid):
            witness.cosign(text, MOMENT)


def test_a_time_beyond_the_limit_is_false():
    witness = WITNESSES["ed25519"]
    private = Ed25519PrivateKey.from_private_bytes(witness.seed)
    late = 1 << 63
    signed = private.sign(f"cosignature/v1\ntime {late}\n{HEAD.text()}".encode())
    assert not witness.key.verify(HEAD.text(), late.to_bytes(8, "big") + signed)


def test_a_cosignature_is_not_a_signature_of_the_log():
    """A witness that takes the log's own name and key cannot stand in for its signature."""
    impostor = Cosigner(NAME, 0x04, bytes(range(32)))
    assert impostor.key.public_key == KEY.public_key
    assert impostor.key.key_id != KEY.key_id
    only = SignedNote(HEAD.text(), (impostor.cosign(HEAD.text(), MOMENT),))
    with pytest.raises(NoteInvalid, match="not signed by the log"):
        open_checkpoint(str(only), [KEY, impostor.key])


def test_a_log_may_sign_with_ml_dsa_but_no_more_than_its_head():
    log = Cosigner(NAME, 0x06, bytes([3]) * 32)
    note = str(SignedNote(HEAD.text(), (log.cosign(HEAD.text(), MOMENT),)))
    assert open_checkpoint(note, [log.key]) == HEAD
    extended = HEAD.text() + "extension\n"
    longer = str(SignedNote(extended, (log.cosign(extended, MOMENT),)))
    with pytest.raises(NoteInvalid, match="extension"):
        open_checkpoint(longer, [log.key])
    both = with_signatures(sign_note(extended, NAME, PRIVATE), SignedNote.parse(longer).signatures)
    assert open_checkpoint(both, [KEY, log.key]) == HEAD


def test_a_witness_under_the_name_of_the_log_does_not_sign_for_it():
    witness = Cosigner(NAME, 0x06, bytes([3]) * 32)
    note = str(SignedNote(HEAD.text(), (witness.cosign(HEAD.text(), MOMENT),)))
    with pytest.raises(NoteInvalid, match="not signed by the log"):
        open_checkpoint(note, [KEY], [witness.key])


def test_a_signing_key_is_written_and_read_and_shows_nothing_of_itself(witness):
    assert Cosigner.parse(str(witness)) == witness
    assert base64.b64encode(witness.seed).decode()[:10] not in repr(witness)
    for mangled in (str(witness)[1:], str(witness)[:-4], str(witness).replace(witness.name, "other"), ""):
        with pytest.raises(NoteInvalid):
            Cosigner.parse(mangled)


@pytest.mark.parametrize("name", ["", "with space", "a+b", "n" * 256, "a\udc80"])
def test_a_name_that_cannot_be_signed_with_makes_no_key(name):
    with pytest.raises(NoteInvalid):
        Cosigner.generate(name, "ml-dsa-44")
    with pytest.raises(NoteInvalid):
        VerifierKey(name, bytes(1312), 0x06)


def test_of_what_a_witness_answers_only_true_lines_by_known_keys_are_taken(witness):
    line = witness.cosign(HEAD.text(), MOMENT)
    stranger = Cosigner("stranger.example/w", 0x04, bytes(32)).cosign(HEAD.text(), MOMENT)
    answer = stranger.line() + line.line()
    assert true_cosignatures(HEAD.text(), answer, [witness.key]) == [line]
    assert true_cosignatures(HEAD.text(), stranger.line(), [witness.key]) == []
    false = NoteSignature(line.name, line.key_id, bytes(len(line.signature)))
    for wrong in ("", "\n", "text\n\n" + answer, answer + "more", answer + false.line()):
        with pytest.raises(NoteInvalid):
            true_cosignatures(HEAD.text(), wrong, [witness.key])


def test_a_newer_cosignature_takes_the_place_of_an_older_one(witness):
    later = datetime(2026, 3, 2, tzinfo=UTC)
    once = with_signatures(NOTE, [witness.cosign(HEAD.text(), MOMENT)])
    twice = with_signatures(once, [witness.cosign(HEAD.text(), later)])
    assert [cosigned_at(each) for each in SignedNote.parse(twice).signatures[1:]] == [later]
    assert twice.startswith(NOTE)
