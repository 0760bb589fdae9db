"""Parquet: every value as it was written, and nothing unpacked before its size is known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import FileTooLarge, PageUnreadable
from connectors.parquet_pages import PagesUnreadableError, page_headers
from tests.connectors.drops import LocalDrops


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as drops:
        yield drops


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000), ["x" * 1_000_000])}),
        pa.table({"id": [f"{number:07}" + "x" * 1_000_000 for number in range(3)]}),
        pa.table({"id": pa.array([7] * 500_000)}),
    ],
    ids=["many rows of one long text", "a dictionary of long texts", "many rows of one number"],
)
def test_a_small_parquet_file_that_unpacks_to_much_is_refused_before_it_does(
    drops: LocalDrops, table: pa.Table
) -> None:
    content = parquet(table, compression="zstd")
    assert len(content) < 100_000
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    with pytest.raises(FileTooLarge, match="2 MB"):
        drops.one("a.parquet", content, unpacked_megabytes=2)
    assert pool.bytes_allocated() - before < 64 * 1024 * 1024


def test_a_footer_that_lies_about_sizes_is_not_believed(drops: LocalDrops) -> None:
    honest = parquet(pa.table({"id": ["x" * 3_000_000]}), compression="zstd", use_dictionary=False)
    said = pq.ParquetFile(io.BytesIO(honest)).metadata.row_group(0).column(0).total_uncompressed_size
    content = _lying(honest, said, 1_500_000)
    assert pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).total_byte_size == 1_500_000
    with pytest.raises(FileTooLarge, match="2 MB"):
        drops.one("a.parquet", content, unpacked_megabytes=2)


def _lying(content: bytes, said: int, instead: int) -> bytes:
    """The same file whose footer names another size."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    assert len(_zigzag(said)) == len(_zigzag(instead))
    return content[:start] + content[start:].replace(_zigzag(said), _zigzag(instead))


def _zigzag(number: int) -> bytes:
    """As Thrift writes it."""
    value, found = number << 1, bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def test_texts_that_hide_how_long_they_are_are_refused(drops: LocalDrops) -> None:
    table = pa.table({"id": ["x" * 1_000_000] * 100})
    content = parquet(table, use_dictionary=False, column_encoding={"id": "DELTA_BYTE_ARRAY"})
    with pytest.raises(PageUnreadable, match="DELTA_BYTE_ARRAY"):
        drops.one("a.parquet", content)


def test_a_column_of_lists_is_named(drops: LocalDrops) -> None:
    table = pa.table({"id": ["1"], "nomor": [[1, 2]]})
    assert drops.one("a.parquet", parquet(table), columns=("id",))["id"].to_list() == ["1"]
    with pytest.raises(PageUnreadable, match="nomor"):
        drops.read("a.parquet", columns=("id", "nomor"))


COLUMNS = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.text(max_size=8)),
        "number": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "flag": st.one_of(st.none(), st.booleans()),
        "day": st.one_of(st.none(), st.dates()),
    }
)


@settings(max_examples=25)
@given(
    st.lists(COLUMNS, min_size=1, max_size=30), st.booleans(), st.sampled_from(["none", "zstd", "snappy"]),
    st.integers(1, 9), st.sampled_from(["1.0", "2.0"]),
)  # fmt: skip
def test_what_a_parquet_file_holds_arrives_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    dictionary: bool,
    compression: str,
    group: int,
    version: str,
) -> None:
    kinds = {"text": pa.string(), "number": pa.int64(), "flag": pa.bool_(), "day": pa.date32()}
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))
    content = parquet(
        table, use_dictionary=dictionary, compression=compression, row_group_size=group,
        data_page_version=version,
    )  # fmt: skip
    with LocalDrops(tmp_path_factory.mktemp("drops")) as drops:
        assert drops.one("a.parquet", content).to_dicts() == rows


@given(st.binary(max_size=200))
def test_any_bytes_are_headers_or_none(content: bytes) -> None:
    try:
        list(page_headers(io.BytesIO(content), 0, len(content)))
    except PagesUnreadableError:
        return


@pytest.mark.parametrize(
    "content", [b"\x19" * 5_000, b"\x1c" * 5_000, b"\x18" + b"\xff" * 5_000, b"\x19\xf9" * 400]
)
def test_headers_that_go_deep_or_have_no_end_are_none(content: bytes) -> None:
    with pytest.raises(PagesUnreadableError):
        list(page_headers(io.BytesIO(content), 0, len(content)))
