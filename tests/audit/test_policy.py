"""The tlog-policy file: read exactly as specified, and nobody counts twice as independent."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.cosignatures import Cosigner, with_signatures
from audit.checkpoints.notes import NoteSignature, SignedNote, VerifierKey
from audit.checkpoints.policy import Policy
from audit.errors import NoteInvalid, PolicyInvalid
from audit.tree.merkle import leaf_hash
from foundation import clock

ORIGIN = "lintas.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = VerifierKey(ORIGIN, PRIVATE.public_key().public_bytes_raw())
HEAD = Checkpoint(ORIGIN, 1, leaf_hash(b"entry"))
NOTE = sign_checkpoint(HEAD, PRIVATE)


def witness(name, seed=None):
    number = sum(name.encode()) % 251 if seed is None else seed
    return Cosigner(name, 0x04, bytes([number]) * 32)


W = [witness(f"w{number}.example/witness", number) for number in range(1, 7)]
V = [str(each.key) for each in W]
EXAMPLE = f"""
log {LOG}

witness X1 {V[0]}
witness X2 {V[1]}
witness X3 {V[2]}
group X-witnesses 2 X1 X2 X3

witness Y1 {V[3]}
witness Y2 {V[4]}
witness Y3 {V[5]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*witnesses, note=NOTE):
    return with_signatures(note, [each.cosign(HEAD.text(), clock.now()) for each in witnesses])


def test_the_example_of_the_specification_is_read():
    policy = Policy.parse(EXAMPLE)
    assert [each.key for each in policy.logs] == [LOG]
    assert [each.name for each in policy.witnesses] == ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    assert [(g.name, g.threshold, g.members) for g in policy.groups] == [
        ("X-witnesses", 2, ("X1", "X2", "X3")),
        ("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
        ("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    ]
    assert policy.quorum == "X-and-Y"


@pytest.mark.parametrize(
    ("signers", "met", "independent"),
    [
        ((), False, 0),
        ((0, 1), False, 1),
        ((0, 3), False, 2),
        ((3, 4, 5), False, 1),
        ((0, 1, 3), True, 2),
        ((0, 1, 2, 3, 4, 5), True, 2),
    ],
)
def test_the_quorum_of_the_example_needs_two_of_the_one_house_and_one_of_the_other(signers, met, independent):
    standing = Policy.parse(EXAMPLE).evaluate(cosigned(*(W[n] for n in signers)))
    assert (standing.quorum_met, standing.independent) == (met, independent)
    assert len(standing.cosigned_by) == len(signers)


@pytest.mark.parametrize(
    "text",
    [
        "quorum none\n",
        f"\n# comment\n\t # more\n\twitness \t w1  {V[0]}   https://w1.example.com/  \n\n  quorum\tw1",
        f"log {LOG} https://log.example.com/\nwitness w1 {V[0]}\nquorum w1\n",
        f"witness all {V[0]}\nwitness any {V[1]}\ngroup group 2 all any\nquorum group\n",
        f"witness w1 {V[0]}\nquorum none\n",
    ],
)
def test_what_the_specification_allows_is_read(text):
    policy = Policy.parse(text)
    assert Policy.parse(text.encode()) == policy


def test_names_are_opaque_octets():
    name = b"K\xe2\x84\xaalvin-w\x80"
    policy = Policy.parse(b"witness %s %s\nquorum %s\n" % (name, V[0].encode(), name))
    assert policy.quorum == policy.witnesses[0].name
    with pytest.raises(PolicyInvalid):
        Policy.parse(b"witness K %s\nquorum \xe2\x84\xaa\n" % V[0].encode())


def test_a_policy_that_is_put_to_use_tells_its_names_as_text(tmp_path):
    file = tmp_path / "policy"
    file.write_bytes(b"witness w\x80 %s\ngroup g\xff any w\x80\nquorum g\xff\n" % V[0].encode())
    policy = Policy.load(file)
    assert (policy.witnesses[0].name, policy.quorum) == ("w\\x80", "g\\xff")
    assert policy.is_met_by(["w\\x80"])
    file.write_bytes(b"witness w\x80 %s\nwitness w\\x80 %s\nquorum none\n" % (V[0].encode(), V[1].encode()))
    with pytest.raises(PolicyInvalid):
        Policy.load(file)


BAD = {
    "control octet": "quorum none\n\x01",
    "delete": "quorum none\n# \x7f",
    "carriage return": "quorum none\r\n",
    "unknown keyword": "quibble w1\nquorum none\n",
    "inline comment": f"witness w1 {V[0]} https://w1.example.com/ # comment\nquorum w1\n",
    "log without key": "log\nquorum none\n",
    "log with garbage": "log garbage\nquorum none\n",
    "log with a witness key": f"log {V[0]}\nquorum none\n",
    "log twice": f"log {LOG}\nlog {LOG} https://log.example.com/\nquorum none\n",
    "witness without key": "witness w1\nquorum none\n",
    "witness with a log key": f"witness w1 {LOG}\nquorum w1\n",
    "witness with an ECDSA key": "witness w1 ecdsa.example.com+00000000+AgECAw==\nquorum w1\n",
    "witness named none": f"witness none {V[0]}\nquorum none\n",
    "witness name twice": f"witness w1 {V[0]}\nwitness w1 {V[1]}\nquorum w1\n",
    "witness key twice": f"witness w1 {V[0]}\nwitness w2 {witness('impostor.example', 1).key}\nquorum w1\n",
    "group with the name of a witness": f"witness w1 {V[0]}\ngroup w1 any w1\nquorum w1\n",
    "group without members": f"witness w1 {V[0]}\ngroup g1 1\nquorum w1\n",
    "group named none": f"witness w1 {V[0]}\ngroup none any w1\nquorum none\n",
    "threshold 0": f"witness w1 {V[0]}\ngroup g1 0 w1\nquorum g1\n",
    "threshold 01": f"witness w1 {V[0]}\ngroup g1 01 w1\nquorum g1\n",
    "threshold -1": f"witness w1 {V[0]}\ngroup g1 -1 w1\nquorum g1\n",
    "threshold of Arabic digits": f"witness w1 {V[0]}\ngroup g1 \u0661 w1\nquorum g1\n",
    "threshold too high": f"witness w1 {V[0]}\ngroup g1 2 w1\nquorum g1\n",
    "unknown member": f"witness w1 {V[0]}\ngroup g1 any w2\nquorum g1\n",
    "member defined later": f"group g1 any w1\nwitness w1 {V[0]}\nquorum g1\n",
    "none as member": f"witness w1 {V[0]}\ngroup g1 any none w1\nquorum g1\n",
    "member twice in a group": f"witness w1 {V[0]}\ngroup g1 all w1 w1\nquorum g1\n",
    "member of two groups": f"witness w {V[0]}\nwitness x {V[1]}\ngroup g any w x\ngroup h any w\nquorum g\n",
    "group in itself": f"witness w1 {V[0]}\ngroup g1 any g1\nquorum g1\n",
    "no quorum": f"witness w1 {V[0]}\n",
    "two quorums": f"witness w1 {V[0]}\nquorum w1\nquorum w1\n",
    "unknown quorum": "quorum unknown\n",
    "quorum defined later": f"quorum w1\nwitness w1 {V[0]}\n",
    "quorum without name": "quorum\n",
    "quorum of two": f"witness w1 {V[0]}\nquorum w1 w1\n",
    "nothing": "",
    "other spaces": f"witness\u00a0w1 {V[0]}\nquorum w1\n",
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_specification_forbids_is_refused(case):
    with pytest.raises(PolicyInvalid):
        Policy.parse(BAD[case])


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_is_refused_and_never_raises_anything_else(garbage):
    with pytest.raises(PolicyInvalid):
        Policy.parse(garbage if isinstance(garbage, bytes) else garbage.encode("utf-8", "surrogatepass"))


def test_a_key_whose_name_is_no_utf_8_is_refused_with_its_line():
    material = bytes([1]) + LOG.public_key
    key_id = hashlib.sha256(b"a\x80\n" + material).hexdigest()[:8].encode()
    line = b"log a\x80+" + key_id + b"+" + base64.b64encode(material)
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse(line + b"\nquorum none\n")
    assert caught.value.location.line == 1
    with pytest.raises(PolicyInvalid):
        Policy.parse("quorum \ud800\n")


def test_a_log_may_sign_with_ml_dsa_and_a_witness_of_its_name_may_not_for_it():
    log = Cosigner(ORIGIN, 0x06, bytes(32))
    note = str(SignedNote(HEAD.text(), (log.cosign(HEAD.text(), clock.now()),)))
    policy = Policy.parse(f"log {log.key}\nwitness w {V[0]}\nquorum w\n")
    assert not policy.evaluate(note).quorum_met
    assert policy.evaluate(cosigned(W[0], note=note)).quorum_met
    impostor = Policy.parse(f"log {LOG}\nwitness w {log.key}\nquorum w\n")
    with pytest.raises(NoteInvalid):
        impostor.evaluate(note)
    assert impostor.evaluate(cosigned(log)).quorum_met


def test_the_error_names_the_line():
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse("# one\n\nwitness w1\nquorum w1\n", "policy")
    assert str(caught.value.location) == "policy:3"


def test_a_log_changes_its_key_by_a_further_line():
    newer = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = VerifierKey(ORIGIN, newer.public_key().public_bytes_raw())
    policy = Policy.parse(f"log {LOG}\nlog {key}\nquorum none\n")
    for private in (PRIVATE, newer):
        assert policy.evaluate(sign_checkpoint(HEAD, private)).quorum_met
    with pytest.raises(NoteInvalid):
        Policy.parse(f"log {LOG}\nquorum none\n").evaluate(sign_checkpoint(HEAD, newer))


def test_witnesses_of_one_host_count_once():
    one, other = witness("kpk.example/w1"), witness("KPK.example/w2")
    third = witness("bpk.example/w")
    lines = f"log {LOG}\nwitness a {one.key}\nwitness b {other.key}\nwitness c {third.key}\nquorum none\n"
    policy = Policy.parse(lines)
    assert policy.evaluate(cosigned(one, other)).independent == 1
    assert policy.evaluate(cosigned(one, other, third)).independent == 2


def test_a_witness_of_the_log_s_own_host_or_key_is_not_independent_of_it():
    own, same_key = witness("lintas.example/witness"), Cosigner("w.example/w", 0x04, bytes(range(32)))
    policy = Policy.parse(f"log {LOG}\nwitness own {own.key}\nwitness same {same_key.key}\nquorum own\n")
    standing = policy.evaluate(cosigned(own, same_key))
    assert (standing.quorum_met, standing.independent) == (True, 0)
    assert str(standing) == "0 independent witnesses, the quorum is met"


def test_a_group_in_which_somebody_could_count_twice_is_refused_when_it_is_put_to_use(tmp_path):
    one, other, third = witness("kpk.example/w1"), witness("kpk.example/w2"), witness("bpk.example/w")
    lines = f"witness a {one.key}\nwitness b {other.key}\nwitness c {third.key}\n"
    file = tmp_path / "policy"
    file.write_text(f"{lines}group g 2 a b c\nquorum g\n")
    with pytest.raises(PolicyInvalid, match="count twice"):
        Policy.load(file)
    file.write_text(f"{lines}group kpk any a b\ngroup g 2 kpk c\nquorum g\n")
    assert Policy.load(file).quorum == "g"
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        Policy.load(tmp_path / "missing")


def test_a_false_cosignature_by_a_known_witness_refuses_the_checkpoint():
    policy = Policy.parse(f"log {LOG}\nwitness w {V[0]}\nquorum none\n")
    line = W[0].cosign(HEAD.text(), clock.now())
    false = NoteSignature(line.name, line.key_id, bytes(72))
    with pytest.raises(NoteInvalid):
        policy.evaluate(with_signatures(NOTE, [false]))
    unknown = NoteSignature("stranger.example", line.key_id, bytes(72))
    assert policy.evaluate(with_signatures(NOTE, [unknown])).cosigned_by == ()


def test_without_a_log_in_the_policy_the_reader_says_which_log_is_meant():
    policy = Policy.parse(f"witness w {V[0]}\nquorum w\n")
    assert policy.evaluate(cosigned(W[0]), [LOG]).independent == 1
    with pytest.raises(NoteInvalid):
        policy.evaluate(cosigned(W[0]))
