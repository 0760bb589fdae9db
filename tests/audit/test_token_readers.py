"""The library and the stand-alone file agree about tokens: neither takes years on what the other refuses."""

import shutil

import pytest

from audit.timestamps.authorities import Authority
from audit.timestamps.der import DerError, parts_of_reply, sorted_token
from audit.timestamps.errors import TimestampInvalid
from audit.timestamps.token import Query, open_token
from audit.verifier import lintas_timestamps, lintas_verify
from tests.audit.test_timestamps import BAD

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is the timestamping authority: apt-get install openssl"
)
TEXT = b"lintas.example/log\n3\nroot\n"
ON_ARRIVAL = {"wrong nonce", "no nonce", "giant"}
"""What only whoever asked can tell, or what never gets as far as a token."""


def refused_by_both(pki, token):
    answers = []
    for read, errors in (
        (lambda: open_token(token, TEXT, Authority("tsa-1", (pki.root.certificate,))), TimestampInvalid),
        (
            lambda: lintas_timestamps.open_token(token, TEXT, [pki.root.certificate]),
            (lintas_timestamps.Untrusted, lintas_verify.Falsehood),
        ),
    ):
        try:
            read()
        except errors:
            answers.append(True)
        else:
            answers.append(False)
    assert len(set(answers)) == 1
    return answers[0]


def test_a_good_token_is_taken_by_both(pki, stamping):
    _, token = parts_of_reply(stamping.reply(Query.of(TEXT).body))
    assert not refused_by_both(pki, sorted_token(token))
    assert not refused_by_both(pki, token)


@pytest.mark.parametrize("case", sorted(BAD.keys() - ON_ARRIVAL))
def test_a_bad_token_is_taken_by_none(pki, stamping, case):
    reply = BAD[case][0](stamping, Query.of(TEXT).body, pki)
    try:
        token = parts_of_reply(reply)[1]
    except DerError:
        token = reply
    assert refused_by_both(pki, token)
