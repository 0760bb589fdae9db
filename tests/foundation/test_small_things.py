"""Clock, canonical bytes, files."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from foundation import clock
from foundation.canonical import canonical_json, sha256, sha256_hex, sha256_of
from foundation.errors import FixInstallation
from foundation.files import (
    LockBusy,
    file_lock,
    make_private_directory,
    read_private,
    write_once,
    write_private,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_clock_is_aware_and_runs():
    first, second = clock.now(), clock.now()
    assert first.tzinfo is UTC
    assert first <= second
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=5)


def test_a_test_sets_the_clock_for_all_threads_and_gives_it_back():
    before = clock.now()
    with clock.fixed(NOON.astimezone(timezone(timedelta(hours=7)))) as moment:
        assert moment == NOON
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(clock.now).result() == NOON
        with clock.shifted(timedelta(days=3)):
            assert clock.now() == NOON + timedelta(days=3)
        assert clock.now() == NOON
    assert timedelta(0) <= clock.now() - before < timedelta(minutes=1)
    with pytest.raises(ValueError, match="aware"), clock.fixed(datetime(2026, 1, 1)):  # noqa: DTZ001
        pass


def test_a_process_can_live_in_another_time():
    code = "from foundation import clock; print(clock.now().year)"
    environment = {**os.environ, "LINTAS_CLOCK_OFFSET_SECONDS": str(400 * 86400)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert int(shown.stdout) > datetime.now(UTC).year


json_shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_shapes)
def test_canonical_bytes_say_the_same_and_are_a_fixed_point(document):
    import json

    written = canonical_json(document)
    assert json.loads(written) == document
    assert canonical_json(json.loads(written)) == written


@given(json_shapes)
def test_canonical_bytes_are_those_of_the_reference_whichever_way_they_are_written(document):
    assert canonical_json(document) == rfc8785.dumps(document)


def test_canonical_bytes_do_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert sha256_of({"b": 1, "a": 2}) == sha256_of({"a": 2, "b": 1})


@pytest.mark.parametrize("document", [2**53, float("nan"), {1: 2}, object(), "\ud800", {"\udfff": 1}])
def test_what_has_no_canonical_form_is_refused(document):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_json(document)


def test_hashes_are_those_of_the_standard():
    assert sha256_hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256(b"a", b"bc") == sha256(b"abc")


def test_a_private_file_is_whole_and_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "a", b"one")
        write_private(tmp_path / "a", b"two")
        made = make_private_directory(tmp_path / "new" / "deep")
    finally:
        os.umask(before)
    assert read_private(tmp_path / "a") == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert made.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_of_racing_writers_exactly_one_creates_a_file(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: write_once(tmp_path / "x", str(n).encode()), range(32)))
    assert won.count(True) == 1
    assert (tmp_path / "x").read_text() == str(won.index(True))


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o640)
    with pytest.raises(FixInstallation, match="chmod 600"):
        read_private(tmp_path / "a")
    with pytest.raises(FixInstallation, match="missing"):
        read_private(tmp_path / "b")


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path, no_leaks):
    path = tmp_path / "lock"
    with file_lock(path), pytest.raises(LockBusy), file_lock(path, timeout=0.1):
        pass
    code = f"""
import os
from pathlib import Path
from foundation.files import file_lock
with file_lock(Path({str(path)!r})):
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with file_lock(path, timeout=1):
        pass


def test_waiting_for_a_lock_ends_when_it_is_free(tmp_path):
    entered = threading.Event()
    order = []

    def other():
        entered.wait()
        with file_lock(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with file_lock(tmp_path / "lock"):
        entered.set()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
