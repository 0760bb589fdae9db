"""Readers of receipts that share no code agree: the library, the one-file verifier, a portal of the sandbox.

What none of them may take is bent from one good receipt and, where the bend is in what is signed, signed by
the log's real key: not the signature but strictness has to refuse it.
"""

import base64
import json
import string

import pytest

from audit.checkpoints.notes import NoteSignature, sign_note
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid, ProofError
from audit.publishing.proofs import TlogProof
from audit.publishing.receipt import verify_receipt
from audit.tree.merkle import EMPTY_ROOT, leaf_hash, node_hash, verify_inclusion
from audit.verifier import lintas_verify
from foundation.errors import LintasError
from sandbox import receipts
from sandbox.receipts import LogKey, ReceiptInvalid
from tests.audit.practice_log import PracticeLog

LOG = PracticeLog()
ENTRY = b'{"kind":"test","time":"2026-11-22"}'
SIBLING = leaf_hash(b"another")
ROOT = node_hash(SIBLING, leaf_hash(ENTRY))
TEXT = Checkpoint(LOG.origin, 2, ROOT).text()


def signed(text):
    return sign_note(text, LOG.origin, LOG.private)


def encoded(data):
    return base64.b64encode(data).decode()


GOOD = str(TlogProof(1, (SIBLING,), signed(TEXT), ENTRY))
STRANGER = NoteSignature("stranger.example/w", b"abcd", bytes(64)).line()
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
FALSE = NoteSignature(LOG.origin, LOG.key.key_id, bytes(64)).line()


def by_library(text):
    try:
        verify_receipt(text, [LOG.key])
    except (ProofError, NoteInvalid):
        return False
    return True


def by_one_file(text, folder):
    (folder / "receipt").write_bytes(text.encode())
    (folder / "keys").write_text(f"{LOG.key}\n")
    return lintas_verify.main(["receipt", str(folder / "receipt"), "--keys", str(folder / "keys")]) == 0


def by_portal(text):
    try:
        receipts.verify_receipt(text, LogKey.parse(str(LOG.key)))
    except ReceiptInvalid:
        return False
    return True


def answers(text, folder):
    return [by_library(text), by_one_file(text, folder), by_portal(text)]


OTHER_KEY = NoteSignature(LOG.origin, b"abcd", bytes(64)).line()


@pytest.mark.parametrize("text", [GOOD, GOOD + STRANGER, GOOD + OTHER_KEY])
def test_a_good_receipt_is_taken_by_all_three(text, tmp_path):
    assert answers(text, tmp_path) == [True] * 3


def resigned(change):
    """A receipt over a changed checkpoint, which the log has signed."""
    return GOOD.replace(signed(TEXT), signed(change(TEXT)))


def uncanonical(data):
    """Base64 of the same bytes whose spare bits are not zero."""
    text = encoded(data)
    last = text.rstrip("=")[-1]
    assert "=" in text
    return text.replace(last + "=", ALPHABET[ALPHABET.index(last) + 1] + "=", 1)


def unsigned(line):
    """A receipt with a further line of signature."""
    return GOOD + line


PATH, PROVEN = encoded(SIBLING), encoded(ENTRY)
BENT = {
    "no word index": GOOD.replace("index 1", "1"),
    "index with a zero": GOOD.replace("index 1", "index 01"),
    "index with a sign": GOOD.replace("index 1", "index +1"),
    "index with spaces": GOOD.replace("index 1", "index  1"),
    "index of Arabic digits": GOOD.replace("index 1", "index \u0661"),
    "index with an underline": GOOD.replace("index 1", "index 0_1"),
    "index of another leaf": GOOD.replace("index 1", "index 0"),
    "index outside the tree": GOOD.replace("index 1", "index 2"),
    "header of another version": GOOD.replace("@v1", "@v2"),
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "entry twice": GOOD.replace("index 1", f"extra {PROVEN}\nindex 1"),
    "entry not in canonical base64": GOOD.replace(PROVEN, uncanonical(ENTRY)),
    "entry in two parts": GOOD.replace(PROVEN, PROVEN[:8] + " " + PROVEN[8:]),
    "another entry": GOOD.replace(PROVEN, encoded(ENTRY + b"\n")),
    "hash not in canonical base64": GOOD.replace(PATH, uncanonical(SIBLING)),
    "hash that is no base64": GOOD.replace(PATH, "-" + PATH[1:]),
    "hash too long": GOOD.replace(PATH, encoded(SIBLING + b"\0")),
    "hash too short": GOOD.replace(PATH, encoded(SIBLING[1:])),
    "one hash more": GOOD.replace(PATH, f"{PATH}\n{PATH}"),
    "one hash less": GOOD.replace(f"{PATH}\n", ""),
    "a blank line more": GOOD.replace(PATH, f"{PATH}\n"),
    "no checkpoint": GOOD.partition("\n\n")[0],
    "size with a zero": resigned(lambda text: text.replace("\n2\n", "\n02\n")),
    "size with a sign": resigned(lambda text: text.replace("\n2\n", "\n+2\n")),
    "size with a space": resigned(lambda text: text.replace("\n2\n", "\n2 \n")),
    "size of another tree": resigned(lambda text: text.replace("\n2\n", "\n1\n")),
    "size beyond all trees": resigned(lambda text: text.replace("\n2\n", "\n9223372036854775808\n")),
    "root not in canonical base64": resigned(lambda text: text.replace(encoded(ROOT), uncanonical(ROOT))),
    "root cut": resigned(lambda text: text.replace(encoded(ROOT), encoded(ROOT[:-1]))),
    "no root": resigned(lambda text: text.replace(encoded(ROOT) + "\n", "")),
    "a blank line in the checkpoint": resigned(lambda text: text.replace("\n2\n", "\n\n2\n")),
    "another origin": resigned(lambda text: text.replace(LOG.origin, "other.example/log")),
    "a root of the empty tree that is none": resigned(lambda text: text.replace("\n2\n", "\n0\n")),
    "a false signature beside the true one": unsigned(FALSE),
    "a false signature before the true one": GOOD.replace("\n\n—", f"\n\n{FALSE}—"),
    "only a false signature": GOOD.replace(signed(TEXT), f"{TEXT}\n{FALSE}"),
    "no true signature": GOOD.replace(signed(TEXT), f"{TEXT}\n{STRANGER}"),
    "a line of signature that is none": unsigned("more\n"),
    "a hyphen for the dash": GOOD.replace("—", "-"),
    "a signature that is not base64": unsigned("— stranger.example/w é\n"),
    "a signature that is too short": unsigned("— stranger.example/w YWJjZA==\n"),
    "a name with a plus": unsigned(STRANGER.replace("stranger", "str+anger")),
    "a name with a space": unsigned(STRANGER.replace("stranger", "str\u2003anger")),
    "a control character": unsigned(STRANGER.replace("stranger", "str\x01anger")),
    "lines parted by another character": unsigned(STRANGER)[:-1] + "\x85" + STRANGER,
    "not ended": GOOD[:-1],
}


@pytest.mark.parametrize("case", BENT)
def test_a_bent_receipt_is_taken_by_none(case, tmp_path):
    assert BENT[case] != GOOD
    assert answers(BENT[case], tmp_path) == [False] * 3


@pytest.mark.parametrize("leaf", [b"", SIBLING, SIBLING[1:]])
def test_a_tree_of_one_leaf_needs_a_whole_hash(leaf):
    whole = len(leaf) == len(SIBLING)
    assert (receipts._root(leaf, 0, 1, []) == leaf) is whole
    for check, error in (
        (verify_inclusion, ProofError),
        (lintas_verify.check_inclusion, lintas_verify.Falsehood),
    ):
        if whole:
            check(0, 1, leaf, [], leaf)
            continue
        with pytest.raises(error):
            check(0, 1, leaf, [], leaf)


@pytest.mark.parametrize("root", [EMPTY_ROOT, bytes(32)])
def test_an_exported_log_that_is_empty_has_the_root_of_the_empty_tree(root, tmp_path):
    (tmp_path / "checkpoint").write_text(signed(Checkpoint(LOG.origin, 0, root).text()))
    (tmp_path / "keys").write_text(f"{LOG.key}\n")
    code = lintas_verify.main(["log", str(tmp_path), "--keys", str(tmp_path / "keys")])
    assert code == (0 if root == EMPTY_ROOT else 1)


@pytest.mark.parametrize("entry", [b"[]", b'"text"', b"hello", b"[" * 100_000])
def test_an_entry_of_no_known_kind_is_not_called_false(entry, tmp_path):
    text = str(TlogProof(0, (), signed(Checkpoint(LOG.origin, 1, leaf_hash(entry)).text()), entry))
    (tmp_path / "receipt").write_text(text)
    (tmp_path / "keys").write_text(f"{LOG.key}\n")
    command = ["receipt", str(tmp_path / "receipt"), "--keys", str(tmp_path / "keys")]
    assert lintas_verify.main(command) == lintas_verify.UNCHECKED
    for verify in (lambda: verify_receipt(text, [LOG.key]), lambda: by_portal_raising(text)):
        with pytest.raises(LintasError):
            verify()


def by_portal_raising(text):
    return receipts.verify_receipt(text, LogKey.parse(str(LOG.key)))


@pytest.mark.parametrize(
    "line",
    [
        "garbage", "a+b", str(LOG.key)[:-1], str(LOG.key).replace("+A", "+B", 1), f"+{LOG.key}",
        str(LOG.key).replace(LOG.origin, "other.example"), f"{LOG.key}AAAA",
    ],
)  # fmt: skip
def test_a_mangled_key_is_refused_and_checks_nothing(line, tmp_path):
    with pytest.raises(ReceiptInvalid):
        LogKey.parse(line)
    (tmp_path / "keys").write_text(f"{line}\n")
    (tmp_path / "receipt").write_text(GOOD)
    command = ["receipt", str(tmp_path / "receipt"), "--keys", str(tmp_path / "keys")]
    assert lintas_verify.main(command) == lintas_verify.UNCHECKED


def test_the_good_receipt_carries_what_it_proves():
    assert receipts.verify_receipt(GOOD, LogKey.parse(str(LOG.key))).entry == json.loads(ENTRY)
