"""Drops over SFTP: pinned keys, logins, and lines that break."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from connectors import PageToken, Window
from connectors.errors import (
    ConfigurationInvalid,
    DatasetMissing,
    DropIncomplete,
    FileReplaced,
    HostKeyRefused,
    SourceInterrupted,
)
from connectors.files_sftp import SftpEndpoint
from foundation.http_errors import AccessRefused, AgencyTooSlow, AgencyUnreachable, LoginRefused
from sandbox import drops as writing
from sandbox.licensing_office import LicensingOffice
from sandbox.sftp_service import DropFault
from tests.connectors.conformance import pages_of, rows_of
from tests.connectors.drops import COLUMNS, Registered, RemoteDrops, licenses

ROWS = 20_000
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKDrLHNxWY1bGxJtyb+0a0JE3PmxTnxpWYi/DCvQRQBy"


@pytest.fixture(scope="module")
def dropped(session_directory: Path) -> Iterator[LicensingOffice]:
    """An office with a CSV file of some three megabytes."""
    office = LicensingOffice(session_directory / "licensing-office")
    office.businesses = licenses(ROWS).with_columns(keterangan=pl.lit("izin " * 20))
    office.licenses = licenses(20)
    office.start()
    office.drop()
    yield office
    office.stop()


@pytest.fixture
def office(dropped: LicensingOffice) -> Iterator[LicensingOffice]:
    yield dropped
    dropped.faults.clear()


@pytest.fixture
def remote(office: LicensingOffice, tmp_path: Path) -> Iterator[RemoteDrops]:
    remote = RemoteDrops(office, tmp_path / "spool")
    yield remote
    for source in remote.opened:
        source.close()


@pytest.fixture
def another_drop(office: LicensingOffice) -> Iterator[LicensingOffice]:
    """The office, whose drop is written anew after the test."""
    yield office
    for path in office.folder.iterdir():
        path.unlink()
    office.drop()


@pytest.mark.usefixtures("no_leaks")
def test_a_line_that_drops_at_every_tenth_block_loses_and_doubles_nothing(
    remote: RemoteDrops, office: LicensingOffice
) -> None:
    before = office.blocks_read
    office.faults.switch_on(DropFault.CUT_LINE)
    source = remote.open(columns=COLUMNS)
    rows = rows_of(pages_of(source))
    assert rows.equals(office.businesses.select(COLUMNS))
    assert office.blocks_read - before > 10  # so the line dropped; how many blocks are asked ahead is chance
    source.close()


def test_a_list_of_checksums_whose_line_drops_is_read_again(
    remote: RemoteDrops, office: LicensingOffice
) -> None:
    source = remote.open(columns=COLUMNS)
    office.faults.switch_on(DropFault.CUT_LINE)
    for _ in range(12):  # each reads the list once: one of them meets the tenth block
        assert source.slices(Window())
    source.close()


@pytest.mark.usefixtures("no_leaks")
def test_a_line_that_always_drops_is_named_and_reading_begins_anew_later(
    remote: RemoteDrops, office: LicensingOffice
) -> None:
    source = remote.open(columns=COLUMNS, manifest=None, settle_seconds=0)
    (slice,) = source.slices(Window())
    office.faults.switch_on(DropFault.CUT_EVERYTHING)
    with pytest.raises(SourceInterrupted) as caught:
        next(source.read(slice))
    assert caught.value.attributes["slice_id"] == slice.slice_id
    office.faults.clear()
    assert next(source.read(slice)).frame.height > 0
    source.close()


def test_reading_goes_on_after_a_page_whose_worker_was_killed(
    remote: RemoteDrops, office: LicensingOffice
) -> None:
    first = remote.open(columns=COLUMNS, page_rows=6_000)
    (slice,) = first.slices(Window())
    reading = first.read(slice)
    landed = [next(reading), next(reading)]
    token = landed[-1].token
    assert token is not None
    reading.close()
    office.faults.switch_on(DropFault.CUT_LINE)
    rest = list(remote.open(columns=COLUMNS, page_rows=6_000).read(slice, PageToken(token.value)))
    assert [page.number for page in rest] == [2, 3]
    assert rows_of([*landed, *rest]).equals(office.businesses.select(COLUMNS))


def test_a_server_that_takes_too_long_is_not_waited_for(remote: RemoteDrops, office: LicensingOffice) -> None:
    source = remote.open(timeout_seconds=0.3, manifest=None, settle_seconds=0)
    (slice,) = source.slices(Window())
    office.faults.switch_on(DropFault.STUCK)
    with pytest.raises(AgencyTooSlow):
        next(source.read(slice))


def test_a_file_replaced_while_it_is_read_is_never_read_as_one(
    remote: RemoteDrops, another_drop: LicensingOffice
) -> None:
    source = remote.open(manifest=None, settle_seconds=0)
    (slice,) = source.slices(Window())
    another_drop.faults.switch_on(DropFault.REPLACED, times=1)
    with pytest.raises(FileReplaced, match="not the one"):
        next(source.read(slice))
    another_drop.faults.clear()
    (again,) = source.slices(Window())
    assert again.slice_id != slice.slice_id


def test_a_file_that_is_still_written_is_left_alone_until_its_list_names_it(
    remote: RemoteDrops, another_drop: LicensingOffice
) -> None:
    folder, source = another_drop.folder, remote.open(pattern="baru_*.csv", columns=COLUMNS)
    content = another_drop.csv.write(licenses(50))
    with (folder / "baru_1.csv").open("wb") as file:
        for begin in range(0, len(content), 1_000):
            file.write(content[begin : begin + 1_000])
            file.flush()
            with pytest.raises(DropIncomplete, match=r"baru_1.csv \(no list of checksums names it\)"):
                source.slices(Window())
    writing.put(folder, "baru.sha256", writing.manifest([("baru_1.csv", content)]))
    assert rows_of(pages_of(source)).equals(licenses(50))


def test_the_account_may_read_and_nothing_else(remote: RemoteDrops, office: LicensingOffice) -> None:
    office.faults.switch_on(DropFault.CLOSED_FOLDER)
    source = remote.open()
    with pytest.raises(AccessRefused):
        source.slices(Window())
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["authorise"]


def test_a_folder_that_is_not_there_is_named(remote: RemoteDrops) -> None:
    with pytest.raises(DatasetMissing, match="no folder tidak-ada"):
        remote.open(folder="tidak-ada").slices(Window())


def test_login_by_private_key(remote: RemoteDrops) -> None:
    source = remote.open(password=None, private_key="file:key")
    assert len(source.slices(Window())) == 1


def test_a_wrong_login_is_named_and_never_shown(remote: RemoteDrops) -> None:
    source = remote.open(password="file:wrong")
    with pytest.raises(LoginRefused) as caught:
        source.slices(Window())
    assert "wrong-0123" not in f"{caught.value} {caught.value.as_dict()}"
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["authenticate"]
    with pytest.raises(ConfigurationInvalid, match="private_key"):
        remote.open(password=None, private_key="file:wrong").slices(Window())


def test_another_key_is_refused_before_the_password_is_sent(remote: RemoteDrops) -> None:
    source = remote.open(system=remote.registered(KEY))
    with pytest.raises(HostKeyRefused) as caught:
        source.slices(Window())
    assert caught.value.attributes["fingerprint"].startswith("SHA256:")
    assert "by telephone" in caught.value.remedy
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["host-key"]


def test_a_key_may_be_pinned_by_its_fingerprint(remote: RemoteDrops, office: LicensingOffice) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        remote.open(system=remote.registered(KEY)).slices(Window())
    seen = caught.value.attributes["fingerprint"]
    pinned = remote.open(system=remote.registered(""), host_keys=[seen])
    registered = remote.open(system=remote.registered(f"# dari kepala dinas\n{seen}\n"))
    assert len(pinned.slices(Window())) == len(registered.slices(Window())) == 1


def test_a_key_is_never_taken_on_first_sight(remote: RemoteDrops) -> None:
    with pytest.raises(ConfigurationInvalid, match="no host key is pinned"):
        remote.open(system=remote.registered(""))


def test_a_server_set_up_anew_is_not_trusted(session_directory: Path, tmp_path: Path) -> None:
    office = LicensingOffice(session_directory / "moving-office")
    office.businesses = office.licenses = licenses(5)
    office.start()
    try:
        office.drop()
        remote = RemoteDrops(office, tmp_path)
        old = remote.registered()
        office.change_host_key()
        source = remote.open(system=old)
        with pytest.raises(HostKeyRefused):
            source.slices(Window())
        source.close()
    finally:
        office.stop()


@pytest.mark.parametrize(
    "url", [None, "https://localhost:22", "sftp://", "sftp://user:pw@localhost", "sftp://localhost/etc", "x"]
)
def test_an_address_that_is_none_is_named(url: str | None) -> None:
    with pytest.raises(ConfigurationInvalid, match="endpoint_url"):
        SftpEndpoint.parse(url, KEY, [])


def test_nobody_listening_is_named(remote: RemoteDrops) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        source = remote.open(system=Registered(f"sftp://localhost:{port}", KEY))
        with pytest.raises(AgencyUnreachable):
            source.slices(Window())


def test_somebody_who_never_speaks_is_not_waited_for(remote: RemoteDrops) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        system = Registered(f"sftp://localhost:{silent.getsockname()[1]}", KEY)
        source = remote.open(system=system, connect_timeout_seconds=0.3)
        with pytest.raises((AgencyTooSlow, AgencyUnreachable)):
            source.slices(Window())


def test_closing_ends_the_thread_of_the_line(remote: RemoteDrops) -> None:
    before = set(threading.enumerate())
    source = remote.open()
    source.slices(Window())
    assert set(threading.enumerate()) - before
    source.close()
    assert set(threading.enumerate()) - before == set()
    source.close()


def test_what_the_office_dropped_outlives_a_restart(session_directory: Path, tmp_path: Path) -> None:
    office = LicensingOffice(session_directory / "closing-office")
    office.businesses = licenses(5).rename({"kd_status": "status_nib"})
    office.licenses = licenses(7)
    office.start()
    office.drop()
    office.stop()
    again = LicensingOffice(office.directory)
    again.start()
    try:
        assert again.is_loaded
        assert again.licenses.equals(licenses(7))
        again.set_business_status("9120000000003", "06")
        remote = RemoteDrops(again, tmp_path)
        rows = rows_of(pages_of(remote.open(columns=("nib", "status_nib"))))
        assert rows.filter(nib="9120000000003")["status_nib"].to_list() == ["06"]
        for source in remote.opened:
            source.close()
    finally:
        again.stop()
