"""A file of verifier keys that cannot be read is named; a receipt is not called false because of it."""

import sys

import pytest

from audit.errors import LogFileMissing
from lintas import cli
from lintas.key_files import verifier_keys
from tests.audit.practice_log import PracticeLog
from tests.audit.test_receipt_readers import GOOD, LOG

BAD = {
    "no UTF-8": b"\xff\n",
    "garbage": b"garbage\n",
    "nothing": b"# no key\n\n",
    "a key with another name": str(LOG.key).replace("lintas", "other").encode(),
}


def test_keys_stand_one_a_line_among_comments(tmp_path):
    other = PracticeLog(seed=2).key
    (tmp_path / "keys").write_text(f"# ours\n{LOG.key}\n\n{other}\n")
    assert verifier_keys(tmp_path / "keys") == [LOG.key, other]


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_file_of_keys_is_named(case, tmp_path):
    (tmp_path / "keys").write_bytes(BAD[case])
    with pytest.raises(LogFileMissing):
        verifier_keys(tmp_path / "keys")


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    """Check a receipt with the contents of a file of keys; return the exit code and what was said."""
    (tmp_path / "receipt").write_text(GOOD)

    def run(keys):
        (tmp_path / "keys").write_bytes(keys)
        words = ["check-receipt", str(tmp_path / "receipt"), "--keys", str(tmp_path / "keys")]
        monkeypatch.setattr(sys, "argv", ["lintas", "audit", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr()

    return run


def test_a_receipt_of_an_entry_that_another_program_wrote_is_checked(check):
    code, said = check(f"{LOG.key}\n".encode())
    assert (code, "test" in said.out) == (0, True)


@pytest.mark.parametrize("case", BAD)
def test_a_receipt_is_not_false_because_the_keys_are(check, case):
    code, said = check(BAD[case])
    assert code not in (0, 1, 70)
    assert "log-file-missing" in said.err
