from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors import PageToken, Window
from connectors.configuration import SqlConfiguration
from connectors.endpoint import SqlEndpoint
from connectors.errors import ConfigurationInvalid, KeyNotSelective
from connectors.keyset import Progress, cut
from connectors.sql import SqlSource

Rows = list[tuple[str | None, int | None]]
KEYS = st.one_of(
    st.none(), st.sampled_from(["", "0", "00", "1", "9", "A", "a", "é", "b'c", 'd"e', "%s", " "])
)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def source(path: Path, page_rows: int, key: tuple[str, ...]) -> SqlSource:
    configuration = SqlConfiguration(
        table="t", key=key, username="none", password="env:none", page_rows=page_rows
    )
    endpoint = SqlEndpoint.parse(
        f"sqlite:///{path}", ca_pem=None, negotiation="postgres", timeout=1, files=path.parent
    )
    return SqlSource(configuration, endpoint, SecretStr(""), system_id="t", columns=("n",))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers(-2, 2))), max_size=25),
    page_rows=st.integers(4, 9),
    interrupted=st.booleans(),
)
@example(rows=[(None, None)] * 12, page_rows=4, interrupted=True)
@example(rows=[("1", 1)] * 9, page_rows=8, interrupted=True)
def test_a_row_is_read_exactly_once_whatever_shares_its_key(
    directory: Path, rows: Rows, page_rows: int, interrupted: bool
) -> None:
    path = directory / "rows.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (k TEXT, v INTEGER, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(*row, n) for n, row in enumerate(rows)])
        connection.commit()
    reading = source(path, page_rows, ("k", "v"))
    (slice,) = reading.slices(Window())
    seen: list[int] = []
    after: PageToken | None = None
    complete = False
    while not complete:
        for page in reading.read(slice, after):
            assert page.first_position == len(seen)
            seen.extend(page.frame["n"])
            after, complete = page.token, page.complete
            if interrupted:
                break
    reading.close()
    assert sorted(seen) == list(range(len(rows)))


def test_the_source_is_only_read(directory: Path) -> None:
    path = directory / "guarded.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (k TEXT, n INTEGER)")
        connection.commit()
    reading = source(path, 10, ("k",))
    with pytest.raises(Exception, match="could not give rows"), reading.database.reading("t") as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('x', 1)")
    reading.close()


def test_a_key_without_end_is_refused(directory: Path) -> None:
    path = directory / "endless.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (k TEXT, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES ('same', ?)", [(n,) for n in range(50)])
        connection.commit()
    reading = source(path, 5, ("k",))
    with pytest.raises(KeyNotSelective):
        list(reading.read(reading.slices(Window())[0]))
    reading.close()


@given(
    key=st.tuples(
        st.one_of(
            st.none(),
            st.text(),
            st.booleans(),
            st.integers(),
            st.dates(),
            st.datetimes(timezones=st.just(UTC)),
            st.datetimes(),
            st.decimals(allow_nan=False),
            st.floats(allow_nan=False),
            st.binary(),
        ),
        st.text(),
    ),
    page=st.integers(0, 10**6),
    position=st.integers(0, 10**12),
)
def test_a_token_gives_back_what_was_put_in(key: tuple[object, str], page: int, position: int) -> None:
    progress = Progress(key=key, page=page, position=position)
    token = progress.token("all", ["a", "b"])
    again = Progress.resume(token, "all", ["a", "b"])
    assert again == progress
    assert again.key is not None
    assert [type(value) for value in again.key] == [type(value) for value in key]


@given(
    values=st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=30),
    limit=st.integers(1, 10),
)
def test_a_cut_page_never_parts_the_rows_of_a_key(values: list[int | None], limit: int) -> None:
    values.sort(key=lambda value: (value is None, value or 0))
    frame = pl.DataFrame({"k": values}, schema={"k": pl.Int64})
    whole = cut(frame, ["k"], limit)
    if frame.height <= limit:
        assert whole is frame
    elif whole is None:
        assert len(set(values[: limit + 1])) == 1
    else:
        assert 0 < whole.height <= limit
        assert set(values[: whole.height]).isdisjoint(values[whole.height :])


def test_days_and_moments_are_not_confused_in_a_token() -> None:
    for value in (
        date(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1),
        Decimal("1.10"),
    ):
        token = Progress(key=(value,)).token("s", ["a"])
        assert Progress.resume(token, "s", ["a"]).key == (value,)


@pytest.mark.parametrize("name", ["../elsewhere.sqlite", "../../etc/passwd"])
def test_a_file_outside_the_folder_named_is_no_source(directory: Path, name: str) -> None:
    for address, files in ((directory / name, directory), (directory / "rows.sqlite", None)):
        with pytest.raises(ConfigurationInvalid, match="no driver"):
            SqlEndpoint.parse(
                f"sqlite:///{address}", ca_pem=None, negotiation="postgres", timeout=1, files=files
            )
