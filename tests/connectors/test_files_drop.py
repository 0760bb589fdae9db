"""Which files are complete: lists of checksums, files still being written, names that lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors import Operation, Slice, Window
from connectors.configuration import FilesConfiguration, parse_configuration
from connectors.errors import (
    ChecksumWrong,
    ConfigurationInvalid,
    DatasetMissing,
    DropIncomplete,
    FileReplaced,
    ManifestUnreadable,
)
from connectors.files_folder import is_plain, shown
from foundation.errors import LintasError, RetryLater
from foundation.http_errors import AccessRefused
from tests.connectors.drops import HOUR, LocalDrops

HEAD = "nib,nik\n"
NIK = "3576021505900001"
LISTED = {"manifest": "*.sha256"}


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as drops:
        yield drops


def files_of(slices: list[Slice] | tuple[Slice, ...]) -> list[str]:
    return [slice.bounds["file"] for slice in slices]


def test_the_newest_complete_file_is_the_whole(drops: LocalDrops) -> None:
    for day in (1, 2, 3):
        drops.put(f"nib_{day}.csv", HEAD + f"{day},x\n", age=HOUR * (10 - day))
    drops.put("lain.csv", "x\n", age=HOUR)
    (slice,) = drops.open("nib_*.csv").slices(Window())
    assert slice.bounds["file"] == "nib_3.csv"
    assert slice.operation is Operation.SNAPSHOT
    assert drops.read("nib_*.csv")["nib"].to_list() == ["3"]


def test_all_files_together_may_be_the_whole_oldest_first(drops: LocalDrops) -> None:
    drops.put("b.csv", HEAD + "2,x\n", age=HOUR)
    drops.put("a.csv", HEAD + "1,x\n", age=2 * HOUR)
    slices = drops.open("*.csv", files="all").slices(Window())
    assert files_of(slices) == ["a.csv", "b.csv"]
    assert len({slice.slice_id for slice in slices}) == 2
    assert drops.read("*.csv", files="all")["nib"].to_list() == ["1", "2"]


def test_a_window_asks_for_the_files_completed_in_it(drops: LocalDrops) -> None:
    drops.put("a.csv", HEAD + "1,x\n", age=5 * HOUR)
    drops.put("b.csv", HEAD + "2,x\n", age=HOUR)
    since = datetime.now(UTC) - timedelta(hours=2)
    slices = drops.open("*.csv", files="all").slices(Window(since=since))
    assert files_of(slices) == ["b.csv"]
    assert slices[0].operation is Operation.UPSERT


def test_a_file_is_as_fresh_as_its_folder_says_and_no_fresher(drops: LocalDrops) -> None:
    drops.put("a.csv", HEAD, age=5 * HOUR)
    (slice,) = drops.open("a.csv").slices(Window(until=datetime.now(UTC)))
    assert slice.window.until is not None
    assert timedelta(hours=4.9) < datetime.now(UTC) - slice.window.until < timedelta(hours=5.1)
    nothing = drops.open("a.csv").slices(Window(since=datetime.now(UTC) - timedelta(hours=1)))
    assert [each.window.until for each in nothing] == [slice.window.until]


def test_a_file_listed_late_belongs_to_the_window_of_its_list(drops: LocalDrops) -> None:
    drops.put("a.csv", HEAD + "1,x\n", age=5 * HOUR)
    drops.list_checksums("a.csv", age=HOUR)
    since = datetime.now(UTC) - timedelta(hours=2)
    assert files_of(drops.open("*.csv", **LISTED).slices(Window(since=since))) == ["a.csv"]


def test_an_empty_folder_is_no_empty_dataset(drops: LocalDrops) -> None:
    drops.folder.joinpath("lain.csv").write_text("x")
    with pytest.raises(DatasetMissing, match="no file nib"):
        drops.open("nib_*.csv").slices(Window())
    with pytest.raises(DatasetMissing, match="no folder"):
        drops.open("a.csv", folder="tidak-ada").slices(Window())


def test_a_file_still_being_written_is_left_alone_and_said_so(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n", age=HOUR)
    drops.put("nib_2.csv", HEAD + "2,", age=5)
    source = drops.open("nib_*.csv")
    (slice,) = source.slices(Window())
    assert slice.bounds["file"] == "nib_1.csv"
    assert "left alone: nib_2.csv (still being written" in slice.description
    assert "left alone: nib_2.csv" in str(source.check())


def test_a_file_whose_time_lies_ahead_is_left_alone(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD, age=-HOUR)
    with pytest.raises(DropIncomplete, match="ahead"):
        drops.open("nib_*.csv").slices(Window())


def test_where_there_are_lists_a_file_that_none_names_is_left_alone(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n")
    with pytest.raises(DropIncomplete, match="no list of checksums names it") as caught:
        drops.open("nib_*.csv", **LISTED).slices(Window())
    assert isinstance(caught.value, RetryLater)
    drops.list_checksums("nib_1.csv", manifest="1.sha256")
    drops.put("nib_2.csv", HEAD + "2,x\n", age=0)
    (slice,) = drops.open("nib_*.csv", **LISTED).slices(Window())
    assert slice.bounds["file"] == "nib_1.csv"
    assert "nib_2.csv (no list of checksums names it)" in slice.description


def test_a_listed_file_needs_no_rest(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n", age=0)
    drops.list_checksums("nib_1.csv", age=0)
    assert drops.read("nib_*.csv", **LISTED).height == 1


def test_a_file_written_to_after_its_list_is_left_alone(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n", age=HOUR)
    drops.list_checksums("nib_1.csv", age=HOUR)
    drops.put("nib_1.csv", HEAD + "1,x\n2,", age=5)
    with pytest.raises(DropIncomplete, match="written to after its list"):
        drops.open("nib_*.csv", **LISTED).slices(Window())


def test_a_wrong_checksum_is_named_and_nothing_is_read(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + f"1,{NIK}\n")
    drops.put("drop.sha256", f"{'0' * 64}  nib_1.csv\n")
    source = drops.open("nib_*.csv", **LISTED)
    with pytest.raises(ChecksumWrong) as caught:
        next(source.read(source.slices(Window())[0]))
    error = caught.value
    assert error.location is not None
    assert error.location.file == "nib_1.csv"
    assert error.attributes["system_id"] == "oss-daerah"
    assert error.remedy
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["schema"]


def test_the_latest_list_that_names_a_file_counts(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n")
    drops.put("1.sha256", f"{'0' * 64}  nib_1.csv\n", age=2 * HOUR)
    drops.list_checksums("nib_1.csv", manifest="2.sha256", age=HOUR)
    assert drops.read("nib_*.csv", **LISTED).height == 1


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{sum}  ../etc/passwd", "plain-name"),
        ("{sum}  /etc/passwd", "plain-name"),
        ("{sum}  sub/nib_1.csv", "plain-name"),
        ("{sum}  ..\\nib_1.csv", "plain-name"),
        ("{sum}  ..", "plain-name"),
        ("{sum}  nib_1\x1b.csv", "plain-name"),
        ("{sum} nib_1.csv", "checksum-and-name"),
        ("1234  nib_1.csv", "checksum-and-name"),
        ("<html>", "checksum-and-name"),
    ],
)
def test_a_list_that_is_none_or_leads_elsewhere_is_named_with_its_line(
    drops: LocalDrops, line: str, rule: str
) -> None:
    drops.put("nib_1.csv", HEAD)
    drops.put("drop.sha256", "# daftar\n\n" + line.format(sum="0" * 64) + "\n")
    with pytest.raises(ManifestUnreadable) as caught:
        drops.open("nib_*.csv", **LISTED).slices(Window())
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.rule) == (3, rule)
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"0" * 2_000_000])
def test_a_list_of_rubbish_is_named(drops: LocalDrops, content: bytes) -> None:
    drops.put("nib_1.csv", HEAD)
    drops.put("drop.sha256", content)
    with pytest.raises(ManifestUnreadable):
        drops.open("nib_*.csv", **LISTED).slices(Window())


def test_lists_as_other_programs_write_them(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n")
    drops.list_checksums("nib_1.csv")
    path = drops.folder / "drop.sha256"
    text = (
        path.read_text().upper().replace("NIB_1.CSV", "nib_1.csv").replace("  ", " *").replace("\n", "\r\n")
    )
    drops.put("drop.sha256", "\ufeff" + text)
    assert drops.read("nib_*.csv", **LISTED).height == 1


def test_links_and_folders_are_no_files(drops: LocalDrops, tmp_path: Path) -> None:
    secret = tmp_path / "rahasia.csv"
    secret.write_text(HEAD + "rahasia,x\n")
    (drops.folder / "nib_9.csv").symlink_to(secret)
    (drops.folder / "nib_8.csv").mkdir()
    drops.put("nib_1.csv", HEAD + "1,x\n", age=2 * HOUR)
    assert drops.read("nib_*.csv")["nib"].to_list() == ["1"]


def test_a_file_that_becomes_a_link_is_not_followed(drops: LocalDrops, tmp_path: Path) -> None:
    secret = tmp_path / "rahasia.csv"
    secret.write_text(HEAD + "rahasia,x\n")
    path = drops.put("nib_1.csv", HEAD + "1,x\n")
    source = drops.open("nib_*.csv")
    (slice,) = source.slices(Window())
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(LintasError):
        next(source.read(slice))


@pytest.mark.parametrize("folder", ["../..", "kirim/../../..", "naik"])
def test_a_folder_never_leads_out_of_the_one_set_aside(
    drops: LocalDrops, folder: str, tmp_path: Path
) -> None:
    (drops.folder.parent / "naik").symlink_to(tmp_path)
    with pytest.raises(ConfigurationInvalid):
        drops.open("*.csv", folder=folder)


def test_a_folder_that_is_closed_is_named(drops: LocalDrops, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> None:  # nothing is closed to root, who runs some test machines
        raise PermissionError

    drops.put("nib_1.csv", HEAD)
    monkeypatch.setattr("connectors.files_folder.os.scandir", closed)
    with pytest.raises(AccessRefused):
        drops.open("*.csv").slices(Window())


def _rewrite(path: Path) -> None:
    path.write_text(HEAD + "9,y\n8,z\n")


def _rename_another(path: Path) -> None:
    other = path.with_name("lain")
    other.write_text(path.read_text().replace("x", "y"))
    stamp = path.stat()
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [_rewrite, _rename_another, Path.unlink])
def test_a_file_that_was_replaced_after_planning_is_not_read(
    drops: LocalDrops, change: Callable[[Path], None]
) -> None:
    path = drops.put("nib_1.csv", HEAD + "1,x\n")
    source = drops.open("nib_*.csv")
    (slice,) = source.slices(Window())
    change(path)
    with pytest.raises(FileReplaced) as caught:
        next(source.read(slice))
    assert "Run the sync again" in caught.value.remedy


def test_pages_of_another_file_are_never_put_behind_those_of_the_first(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + "1,x\n2,x\n3,x\n")
    source = drops.open("nib_*.csv", page_rows=1)
    (slice,) = source.slices(Window())
    first = next(source.read(slice))
    drops.put("nib_1.csv", HEAD + "4,x\n5,x\n6,x\n")
    unversioned = Slice(slice.slice_id, "", slice.operation, slice.window, {"file": "nib_1.csv"})
    with pytest.raises(FileReplaced, match="first pages"):
        next(drops.open("nib_*.csv", page_rows=1).read(unversioned, first.token))


def test_copies_have_no_name_and_their_folder_is_private(drops: LocalDrops) -> None:
    drops.put("nib_1.csv", HEAD + f"1,{NIK}\n" * 100)
    source = drops.open("nib_*.csv", page_rows=10)
    pages = source.read(source.slices(Window())[0])
    next(pages)
    assert list(drops.spool.iterdir()) == []
    assert drops.spool.stat().st_mode & 0o077 == 0
    pages.close()


def test_names_with_somebodys_number_are_not_shown(drops: LocalDrops) -> None:
    drops.put(f"nib_{NIK}.csv", HEAD, age=5)
    with pytest.raises(DropIncomplete) as caught:
        drops.open("nib_*.csv").slices(Window())
    assert NIK not in f"{caught.value} {caught.value.as_dict()}"
    assert NIK not in shown(f"{NIK}.csv")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0", "a\n", "x" * 256, "\udc80"])
def test_such_names_are_no_names(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"transport": "sftp"}, "password or a private_key"),
        ({"username": "x"}, "local folder"),
        ({"folder": "a/../b"}, "upwards"),
        ({"header_row": 3, "first_row": 3}, "after header_row"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"pattern": "a/b.csv"}, "pattern"),
        ({"encoding": "latin-9"}, "encoding"),
        ({"host_keys": ["MD5:00"]}, "host_keys"),
        ({"settle_seconds": 700}, "overlap_seconds"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], problem: str) -> None:
    right = {"transport": "local", "folder": "a", "pattern": "*.csv", "format": "csv"}
    assert isinstance(parse_configuration("files", dict(right)), FilesConfiguration)
    with pytest.raises(ConfigurationInvalid, match=problem):
        parse_configuration("files", {**right, **change})
