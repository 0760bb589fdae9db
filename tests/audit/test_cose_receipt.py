"""COSE receipts (RFC 9942): a reader that others wrote takes ours, and ours takes nothing that is bent."""

import json
from uuid import UUID

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append_many
from audit.checkpoints.checkpoint import sign_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid, ProofError
from audit.publishing.cose_receipt import sign_cose_receipt, verify_cose_receipt
from audit.publishing.proofs import TlogProof
from audit.publishing.receipt import Receipt
from audit.publishing.sequencer import Sequencer
from audit.tree.merkle import inclusion_proof, leaf_hash, root_of
from foundation.database import Role
from lintas.cli import app

ORIGIN = "lintas.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey(ORIGIN, PRIVATE.public_key().public_bytes_raw())
VECTOR = (
    "d284585ea4012704441ced89710fa301726c696e7461732e6578616d706c652f6c6f6702782d75726e3a757569643a303030"
    "30303030302d303030302d303030302d303030302d30303030303030303030303169747265655f73697a650319018b01a119"
    "018ca120815848830301825820662b81aca1edd25baf487854b82029e3db68416f780c9b5d5a996951a768f60d5820e57e5b"
    "ec1c3f72b3f04ef29adefa70dea19f608cdf6e4a5c0c456e7746625fe9f658405e20f9e23597e8d817e8fd95299140088edd"
    "595ac4fe0a22441542193b9a33d66faacb8d40634f7baaaf47673f4bc8e5bb919433321c8ec28638b62845655408"
)


def entry_of(number):
    content = {
        "id": str(UUID(int=number)), "kind": "audit.viewed", "nonce": "00" * 16,
        "time": "2026-01-02T03:04:05Z", "v": 1,
    }  # fmt: skip
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def receipt_of(index=5, size=11, private=PRIVATE):
    entries = [entry_of(number) for number in range(size)]
    leaves = [leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(leaves)), private)
    proof = TlogProof(index, tuple(inclusion_proof(leaves, index)), note, entries[index])
    return Receipt(UUID(int=index), index, entries[index], proof)


def public_pem(key=PRIVATE):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11])
def test_every_leaf_of_a_tree_gets_a_receipt_that_holds_for_it_alone(size):
    for index in range(size):
        signed = sign_cose_receipt(receipt_of(index, size), PRIVATE, [KEY])
        found = verify_cose_receipt(signed, entry_of(index), [KEY])
        assert (found.index, found.tree_size, found.origin, found.witnesses) == (index, size, ORIGIN, 0)
        assert found.entry["id"] == str(UUID(int=index))
        with pytest.raises(ProofError):
            verify_cose_receipt(signed, entry_of((index + 1) % (size + 1)), [KEY])


@pytest.mark.parametrize("size", [2, 3, 8, 11])
def test_an_independent_reader_takes_our_receipts_and_says_the_same(size):
    from scitt_cose.receipt import verify_receipt

    for index in range(size):
        signed = sign_cose_receipt(receipt_of(index, size), PRIVATE, [KEY])
        entry = entry_of(index).hex()
        theirs = verify_receipt(signed, leaf_entry_hex=entry, log_public_key_pem=public_pem())
        assert theirs.ok, theirs.errors
        assert (theirs.tree_size, theirs.leaf_index) == (size, index)
        assert (theirs.issuer, theirs.subject) == (ORIGIN, UUID(int=index).urn)
        other = verify_receipt(signed, leaf_entry_hex=entry_of(99).hex(), log_public_key_pem=public_pem())
        assert not other.ok


def test_an_independent_writer_makes_the_same_proof():
    from scitt_cose.receipt import build_receipt

    private = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    entries = [entry_of(number) for number in range(7)]
    theirs = build_receipt(
        leaf_entry_hex=entries[4].hex(), leaf_index=4, tree_entries_hex=[each.hex() for each in entries],
        alg="EdDSA", log_private_key_pem=private,
    )  # fmt: skip
    ours = sign_cose_receipt(receipt_of(4, 7), PRIVATE, [KEY])
    assert cbor2.loads(theirs).value[1:3] == cbor2.loads(ours).value[1:3]
    assert cbor2.loads(theirs).tag == cbor2.loads(ours).tag


def test_the_bytes_of_a_receipt_are_these():
    signed = sign_cose_receipt(receipt_of(1, 3), PRIVATE, [KEY])
    assert signed.hex() == VECTOR


def test_what_is_signed_stands_in_a_signed_checkpoint_already():
    found = receipt_of()
    other = Ed25519PrivateKey.generate()
    with pytest.raises(NoteInvalid):
        sign_cose_receipt(receipt_of(private=other), PRIVATE, [KEY])
    with pytest.raises(ProofError):
        sign_cose_receipt(found, other, [KEY])
    bent = Receipt(found.entry_id, found.index, entry_of(6), found.proof)
    with pytest.raises(ProofError):
        sign_cose_receipt(bent, PRIVATE, [KEY])


def rebuilt(change=None, protected=None, sign=True, tag=18, drop=()):
    """A receipt changed in one place, and signed again by the real key where that is asked."""
    tagged = cbor2.loads(sign_cose_receipt(receipt_of(), PRIVATE, [KEY]))
    header, unprotected, payload, signature = tagged.value
    headers = {label: value for label, value in cbor2.loads(header).items() if label not in drop}
    headers |= protected or {}
    header = cbor2.dumps(headers, canonical=True)
    if sign:
        root = Checkpoint.parse(receipt_of().proof.checkpoint.partition("\n\n")[0] + "\n").root
        signature = PRIVATE.sign(cbor2.dumps(["Signature1", header, b"", root], canonical=True))
    parts = [header, dict(unprotected), payload, signature]
    if change is not None:
        parts = change(parts)
    return cbor2.dumps(cbor2.CBORTag(tag, parts), canonical=True)


def claims(label, value):
    found = {1: ORIGIN, 2: UUID(int=5).urn, "tree_size": 11} | {label: value}
    return {name: each for name, each in found.items() if each is not None}


def with_proof(value):
    encoded = value if isinstance(value, bytes) else cbor2.dumps(value, canonical=True)
    return lambda parts: [parts[0], {396: {-1: [encoded]}}, parts[2], parts[3]]


PATH = list(receipt_of().proof.path)
BENT = {
    "no tag": lambda: cbor2.dumps(cbor2.loads(rebuilt()).value, canonical=True),
    "another tag": lambda: rebuilt(tag=17),
    "three parts": lambda: rebuilt(lambda p: p[:3]),
    "an attached root": lambda: rebuilt(lambda p: [p[0], p[1], bytes(32), p[3]]),
    "a signature of another length": lambda: rebuilt(lambda p: [*p[:3], p[3][:-1]]),
    "a flipped signature": lambda: rebuilt(lambda p: [*p[:3], bytes([p[3][0] ^ 1]) + p[3][1:]]),
    "a text for a signature": lambda: rebuilt(lambda p: [*p[:3], "x"]),
    "a header changed after signing": lambda: rebuilt(protected={15: claims(2, "urn:x")}, sign=False),
    "ES256": lambda: rebuilt(protected={1: -7}),
    "no algorithm": lambda: rebuilt(drop=[1]),
    "true for an algorithm": lambda: rebuilt(protected={1: True}),
    "another tree": lambda: rebuilt(protected={395: 2}),
    "no tree": lambda: rebuilt(drop=[395]),
    "no key": lambda: rebuilt(drop=[4]),
    "another key": lambda: rebuilt(protected={4: b"\0\0\0\0"}),
    "no claims": lambda: rebuilt(drop=[15]),
    "another log": lambda: rebuilt(protected={15: claims(1, "other.example/log")}),
    "another entry": lambda: rebuilt(protected={15: claims(2, UUID(int=6).urn)}),
    "no size": lambda: rebuilt(protected={15: claims("tree_size", None)}),
    "signed for another size": lambda: rebuilt(protected={15: claims("tree_size", 12)}),
    "an unknown critical header": lambda: rebuilt(protected={2: [99], 99: 1}),
    "a critical header that is absent": lambda: rebuilt(protected={2: [1, 4, 2]}, drop=[4]),
    "no critical headers": lambda: rebuilt(protected={2: []}),
    "a label that only equals 1": lambda: rebuilt(protected={True: -8}, drop=[1]),
    "an unprotected algorithm": lambda: rebuilt(lambda p: [p[0], {**p[1], 1: -8}, *p[2:]]),
    "an unprotected label that only equals 396": lambda: rebuilt(
        lambda p: [p[0], {396.0: p[1][396]}, *p[2:]]
    ),
    "no proof": lambda: rebuilt(lambda p: [p[0], {}, *p[2:]]),
    "a consistency proof": lambda: rebuilt(lambda p: [p[0], {396: {-2: p[1][396][-1]}}, *p[2:]]),
    "two proofs": lambda: rebuilt(lambda p: [p[0], {396: {-1: [*p[1][396][-1]] * 2}}, *p[2:]]),
    "size 0": lambda: rebuilt(with_proof([0, 0, []])),
    "an index beyond the tree": lambda: rebuilt(with_proof([11, 11, PATH])),
    "a negative index": lambda: rebuilt(with_proof([11, -5, PATH])),
    "another index": lambda: rebuilt(with_proof([11, 4, PATH])),
    "another size of which the path leads to the same root": lambda: rebuilt(with_proof([12, 5, PATH])),
    "a path too long": lambda: rebuilt(with_proof([11, 5, [*PATH, bytes(32)]])),
    "a path too short": lambda: rebuilt(with_proof([11, 5, PATH[:-1]])),
    "a short hash": lambda: rebuilt(with_proof([11, 5, [*PATH[:-1], PATH[-1][:-1]]])),
    "a proof with something after it": lambda: rebuilt(
        with_proof(cbor2.dumps([11, 5, PATH], canonical=True) + b"\0")
    ),
    "a float for a size": lambda: rebuilt(with_proof([11.0, 5, PATH])),
    "something after it": lambda: rebuilt() + b"\0",
    "cut": lambda: rebuilt()[:-1],
    "empty": lambda: b"",
    "a length that is not the shortest": lambda: rebuilt().replace(b"\xd2\x84", b"\xd2\x98\x04", 1),
    "of indefinite length": lambda: rebuilt().replace(b"\xd2\x84", b"\xd2\x9f", 1) + b"\xff",
    "too large": lambda: rebuilt(lambda p: [*p[:3], bytes(20_000)]),
    "too deep": lambda: b"\xd2" + b"\x81" * 3_000 + b"\0",
}  # fmt: skip


def test_what_the_bent_ones_are_made_of_holds():
    for fine in (
        rebuilt(), rebuilt(protected={1: -19}), rebuilt(protected={2: [1, 395]}), rebuilt(protected={99: "x"})
    ):  # fmt: skip
        assert verify_cose_receipt(fine, entry_of(5), [KEY]).index == 5


@pytest.mark.parametrize("case", BENT)
def test_nothing_bent_is_taken(case):
    with pytest.raises(ProofError):
        verify_cose_receipt(BENT[case](), entry_of(5), [KEY])


def test_a_receipt_of_nobody_whom_one_knows_is_not_taken():
    foreign = VerifierKey(ORIGIN, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    for keys in ([], [foreign]):
        with pytest.raises(ProofError, match="No known key"):
            verify_cose_receipt(rebuilt(), entry_of(5), keys)


@given(st.data())
def test_no_flipped_bit_and_no_junk_is_taken_or_surprises(data):
    signed = bytearray(sign_cose_receipt(receipt_of(), PRIVATE, [KEY]))
    place = data.draw(st.integers(0, len(signed) - 1))
    signed[place] ^= 1 << data.draw(st.integers(0, 7))
    for junk in (bytes(signed), data.draw(st.binary(max_size=60))):
        with pytest.raises(ProofError):
            verify_cose_receipt(junk, entry_of(5), [KEY])


@pytest.fixture
def run(installation, monkeypatch):
    monkeypatch.setattr("foundation.installation.load_settings", lambda: installation.settings)

    def ran(*words, code=0):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    return ran


def test_the_commands_write_and_check_both_kinds_of_receipts(installation, run, tmp_path):
    with installation.database.connect(Role.API) as connection:
        drafts = [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(5)]
        promise = append_many(connection, drafts)[3]
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    cose, tlog, keys = tmp_path / "one.cose", tmp_path / "one.tlog-proof", tmp_path / "keys"
    run("audit", "prove", promise.entry_id, "--format", "cose", "--to", cose)
    run("audit", "prove", promise.entry_id, "--to", tlog)
    keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(installation)))
    for file, known in ((cose, ()), (cose, ("--keys", keys)), (tlog, ("--keys", keys))):
        found = json.loads(run("audit", "check-receipt", file, *known, "--json"))
        assert (found["entry_id"], found["number"], found["tree_size"]) == (str(promise.entry_id), 3, 5)
        assert found["not_proven"][0] == "self-consistent only: 0 independent witnesses"
    (tmp_path / "other").write_bytes(entry_of(5))
    done = CliRunner().invoke(app, ["audit", "check-receipt", str(cose), "--entry", str(tmp_path / "other")])
    assert isinstance(done.exception, ProofError)
    (tmp_path / "one.cose.entry").unlink()
    done = CliRunner().invoke(app, ["audit", "check-receipt", str(cose)])
    assert isinstance(done.exception, ProofError)
    run("audit", "check-receipt", cose, "--entry", tmp_path / "nowhere", code=2)
    run("audit", "prove", promise.entry_id, "--format", "cose", code=2)
    run("audit", "prove", promise.entry_id, "--format", "cose", "--to", cose, "--timestamped", code=2)
