"""Parquet: columns of the writer's own types, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.configuration import FilesConfiguration
from connectors.errors import FileTooLarge, PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from foundation.errors import Location

_SOME = 20_000
_MEGABYTE = 1024 * 1024


class ParquetTable:
    """A Parquet file, opened."""

    def __init__(self, spool: Spool, configuration: FilesConfiguration) -> None:
        """Read the footer.

        Raises:
            PageUnreadable: When the file is none, or cut off.
            FileTooLarge: When it unpacks to more than allowed.
        """
        self._location = Location(file=shown(spool.name))
        self._rows_at_once = min(configuration.page_rows, _SOME)
        try:
            self._file = pq.ParquetFile(spool.file)
        except (pa.ArrowException, OSError):
            raise self._unreadable() from None
        metadata = self._file.metadata
        unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        if unpacked > configuration.unpacked_megabytes * _MEGABYTE:
            raise FileTooLarge(
                f"The file holds more than {configuration.unpacked_megabytes} MB when it is unpacked",
                remedy="Make unpacked_megabytes larger in the contract, if the file is right",
                location=self._location,
            )
        self.columns = tuple(self._file.schema_arrow.names)

    @property
    def rows(self) -> int | None:
        """As the footer says."""
        return int(self._file.metadata.num_rows)

    def describe(self) -> list[tuple[str, str]]:
        """The columns with their types."""
        schema = self._file.schema_arrow
        return [(field.name, str(field.type)) for field in schema]

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read batch by batch."""
        if not self.rows:  # making an empty table costs the import of pandas
            yield self._frame(self._file.schema_arrow.empty_table(), columns)
        try:
            for batch in self._file.iter_batches(
                batch_size=self._rows_at_once, columns=list(columns), use_threads=False
            ):
                yield self._frame(batch, columns)
        except (pa.ArrowException, OSError):
            raise self._unreadable() from None

    @staticmethod
    def _frame(batch: pa.RecordBatch | pa.Table, columns: Sequence[str]) -> pl.DataFrame:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        return frame.select(columns).with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))

    def _unreadable(self) -> PageUnreadable:
        return PageUnreadable(
            "The file is no Parquet, or it is damaged",
            remedy="Have the agency drop it again; nothing of this batch is published",
            location=self._location,
        )
