"""Parquet: columns of the writer's own types, read row group by row group.

Invariant: nothing is unpacked before it is known how large it will be. What the pages hold when unpacked is
read from their headers; texts stay behind the dictionary that stands for them until their lengths are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.configuration import FilesConfiguration
from connectors.errors import FileTooLarge, PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from connectors.parquet_pages import DELTA_BYTE_ARRAY, PagesUnreadableError, page_headers
from foundation.errors import Location

_SOME = 20_000
_MEGABYTE = 1024 * 1024
_PIECE = 32 * _MEGABYTE
_LONGEST_FIXED = 64 * 1024
_TEXTS = "BYTE_ARRAY"


class ParquetTable:
    """A Parquet file, opened."""

    def __init__(self, spool: Spool, configuration: FilesConfiguration) -> None:
        """Read the footer and the header of every page.

        Raises:
            PageUnreadable: When the file is none, or cut off.
            FileTooLarge: When it unpacks to more than allowed.
        """
        self._location = Location(file=shown(spool.name))
        self._rows_at_once = min(configuration.page_rows, _SOME)
        self._megabytes = configuration.unpacked_megabytes
        try:
            whole = pq.ParquetFile(spool.file)
            self._metadata, self._schema = whole.metadata, whole.schema_arrow
            self._check_sizes(spool)
            texts = [column.path for column in self._leaves() if column.physical_type == _TEXTS]
            self._file = pq.ParquetFile(spool.file, metadata=self._metadata, read_dictionary=texts)
        except (pa.ArrowException, OSError, PagesUnreadableError):
            raise self._unreadable() from None
        self.columns = tuple(self._schema.names)

    @property
    def rows(self) -> int | None:
        """As the footer says."""
        return int(self._metadata.num_rows)

    def describe(self) -> list[tuple[str, str]]:
        """The columns with their types."""
        return [(field.name, str(field.type)) for field in self._schema]

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read batch by batch.

        Raises:
            PageUnreadable: When the file is damaged, or a column holds lists or structures.
            FileTooLarge: When the columns hold more than allowed.
        """
        self._check_columns(columns)
        if not self.rows:  # making an empty table costs the import of pandas
            yield self._frame(self._schema.empty_table(), columns)
        left = self._megabytes * _MEGABYTE
        try:
            for batch in self._file.iter_batches(
                batch_size=self._rows_at_once, columns=list(columns), use_threads=False
            ):
                weights = _weights(batch)
                left -= int(weights.sum())
                if left < 0:
                    raise self._too_large()
                for start, end in pairwise(_cuts(weights)):
                    yield self._frame(_plain(batch.slice(start, end - start)), columns)
        except (pa.ArrowException, OSError):
            raise self._unreadable() from None

    @staticmethod
    def _frame(batch: pa.RecordBatch | pa.Table, columns: Sequence[str]) -> pl.DataFrame:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        return frame.select(columns).with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))

    def _leaves(self) -> list[pq.ColumnSchema]:
        return [self._metadata.schema.column(place) for place in range(self._metadata.num_columns)]

    def _check_columns(self, columns: Sequence[str]) -> None:
        """A cell is one value; what is nested could be any number of them."""
        flat = {column.path for column in self._leaves() if column.max_repetition_level == 0}
        for name in columns:
            if name in self.columns and name not in flat:
                raise PageUnreadable(
                    f"The column {shown(name)} holds lists or structures",
                    remedy="Have the agency write one value a cell",
                    location=self._location,
                )

    def _check_sizes(self, spool: Spool) -> None:
        """Add up what every page unpacks to, and refuse what hides how much that is."""
        left = self._megabytes * _MEGABYTE
        if any(column.length > _LONGEST_FIXED for column in self._leaves()):
            raise self._too_large()
        for group in range(self._metadata.num_row_groups):
            for place in range(self._metadata.num_columns):
                chunk = self._metadata.row_group(group).column(place)
                starts = (chunk.dictionary_page_offset, chunk.data_page_offset)
                start = min(each for each in starts if each)
                for page in page_headers(spool.file, start, chunk.total_compressed_size):
                    left -= page.unpacked
                    if left < 0:
                        raise self._too_large()
                    if page.encoding == DELTA_BYTE_ARRAY and page.values:
                        raise PageUnreadable(
                            "The file holds texts that are built on each other (DELTA_BYTE_ARRAY)",
                            why="How much they unpack to cannot be known beforehand",
                            remedy="Have the agency write the file with dictionary or plain encoding",
                            location=self._location,
                        )

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"The file holds more than {self._megabytes} MB when it is unpacked",
            remedy="Make unpacked_megabytes larger in the contract, if the file is right",
            location=self._location,
        )

    def _unreadable(self) -> PageUnreadable:
        return PageUnreadable(
            "The file is no Parquet, or it is damaged",
            remedy="Have the agency drop it again; nothing of this batch is published",
            location=self._location,
        )


def _weights(batch: pa.RecordBatch) -> np.ndarray:
    """How many bytes each row of a batch takes once its texts are written out."""
    weights = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        if not pa.types.is_dictionary(column.type):
            weights += max(8, -(-column.nbytes // max(1, batch.num_rows)))
        elif len(column.dictionary):
            lengths = pc.binary_length(column.dictionary).cast(pa.int64())
            each = pc.fill_null(pc.take(lengths, column.indices), 0)
            weights += each.to_numpy(zero_copy_only=False)
    return weights


def _cuts(weights: np.ndarray) -> list[int]:
    """Where to cut a batch, so that no piece is heavier than it may be, if rows allow."""
    ends = np.cumsum(weights)
    cuts, before = [0], 0
    while cuts[-1] < len(weights):
        end = int(np.searchsorted(ends, before + _PIECE, side="right"))
        cuts.append(max(end, cuts[-1] + 1))
        before = int(ends[cuts[-1] - 1])
    return cuts


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with its texts written out."""
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
