"""What the sync is compared with: the fastest plain way, and a loader that others use."""

from __future__ import annotations

import os
import tempfile
from urllib.parse import quote

import polars as pl
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

_COLUMNS = (
    "nik, no_kk, nama_lgkp, tmpt_lhr, tgl_lhr, jenis_klmin, stat_kwn, stat_hbkel, nik_ibu, nik_ayah, alamat, "
    "no_rt, no_rw, no_prop, no_kab, no_kec, no_kel"
)
_GUARD = " OR ".join(f"t.{c} IS DISTINCT FROM s.{c}" for c in _COLUMNS.split(", ")[1:])
_SET = ", ".join(f"{c} = s.{c}" for c in _COLUMNS.split(", ")[1:])
_MERGE = f"""
MERGE INTO bench.person t
USING (SELECT DISTINCT ON (nik) {_COLUMNS} FROM bench.stage WHERE nik IS NOT NULL ORDER BY nik) s
   ON t.nik = s.nik
 WHEN MATCHED AND ({_GUARD}) THEN UPDATE SET {_SET}
 WHEN NOT MATCHED THEN INSERT ({_COLUMNS}) VALUES ({", ".join(f"s.{c}" for c in _COLUMNS.split(", "))})
"""


def prepare(source: psycopg.Connection, target: psycopg.Connection) -> None:
    """Make the two plain tables, typed as the source's."""
    types = dict(
        source.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'biodata_wni'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchall()
    )
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(types[c])) for c in _COLUMNS.split(", ")
    )
    with target.transaction():
        target.execute("CREATE SCHEMA IF NOT EXISTS bench")
        target.execute(sql.SQL("CREATE TABLE bench.stage ({})").format(columns))
        target.execute(sql.SQL("CREATE TABLE bench.person ({}, PRIMARY KEY (nik))").format(columns))


def copy_and_merge(source: psycopg.Connection, target: psycopg.Connection) -> int:
    """Binary COPY from the source into logged staging, then one guarded MERGE: no check, history or log."""
    with target.transaction():
        target.execute("TRUNCATE bench.stage")
        reading = f"COPY (SELECT {_COLUMNS} FROM biodata_wni) TO STDOUT (FORMAT binary)"
        with (
            source.cursor().copy(reading) as out,
            target.cursor().copy(f"COPY bench.stage ({_COLUMNS}) FROM STDIN (FORMAT binary)") as into,
        ):
            for block in out:
                into.write(block)
        target.execute("ANALYZE bench.stage")
    with target.transaction():
        return target.execute(_MERGE).rowcount


def load_frame(connection: psycopg.Connection, name: str, frame: pl.DataFrame) -> int:
    """Binary COPY of a whole frame into logged staging, then one guarded MERGE by its first column.

    A column that stands for the first one is not unique in practice data; the last row of each wins.
    """
    staged = sql.Identifier("bench", f"{name}_stage")
    kept = sql.Identifier("bench", name)
    columns = [sql.Identifier(column) for column in frame.columns]
    key, others = columns[0], columns[1:]
    typed = sql.SQL(", ").join(
        sql.SQL("{} {}").format(column, sql.SQL(_sql_type(kind)))
        for column, kind in zip(columns, frame.dtypes, strict=True)
    )
    with connection.transaction():
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench")
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(staged, typed))
        connection.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))").format(kept, typed, key)
        )
        connection.execute(sql.SQL("TRUNCATE {}").format(staged))
        names = sql.SQL(", ").join(columns)
        with connection.cursor().copy(
            sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(staged, names)
        ) as into:
            into.set_types([_sql_type(kind) for kind in frame.dtypes])
            for row in frame.iter_rows():
                into.write_row(row)
        connection.execute(sql.SQL("ANALYZE {}").format(staged))
    with connection.transaction():
        return connection.execute(
            sql.SQL(
                "MERGE INTO {kept} t USING (SELECT DISTINCT ON ({key}) * FROM {staged}"
                " WHERE {key} IS NOT NULL ORDER BY {key}) s ON t.{key} = s.{key}"
                " WHEN MATCHED AND ({changed}) THEN UPDATE SET {set}"
                " WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
            ).format(
                kept=kept,
                staged=staged,
                key=key,
                changed=sql.SQL(" OR ").join(
                    sql.SQL("t.{0} IS DISTINCT FROM s.{0}").format(column) for column in others
                ),
                set=sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(column) for column in others),
                names=names,
                values=sql.SQL(", ").join(sql.SQL("s.{}").format(column) for column in columns),
            )
        ).rowcount


def _sql_type(kind: pl.DataType) -> str:
    if isinstance(kind, pl.Datetime):
        return "timestamptz" if kind.time_zone else "timestamp"
    plain: dict[type[pl.DataType], str] = {
        pl.Boolean: "boolean",
        pl.Int16: "int2",
        pl.Int32: "int4",
        pl.Int64: "int8",
        pl.Float64: "float8",
        pl.Date: "date",
        pl.Decimal: "numeric",
    }
    return plain.get(kind.base_type(), "text")  # type: ignore[call-overload, no-any-return]


def dlt_merge(source_conninfo: str, target_conninfo: str) -> None:
    """The same job by dlt: Arrow pages from the table, merged by key into PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            {
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "RUNTIME__LOG_LEVEL": "CRITICAL",
                "DLT_DATA_DIR": folder,
                "DLT_PROJECT_DIR": folder,
            }
        )
        import dlt
        from dlt.sources.sql_database import sql_table

        table = sql_table(
            credentials=_url(source_conninfo),
            table="biodata_wni",
            backend="pyarrow",
            chunk_size=20_000,
            reflection_level="full",
        )
        table.apply_hints(write_disposition="merge", primary_key="nik")
        pipeline = dlt.pipeline(
            pipeline_name="bench",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(_url(target_conninfo)),
            dataset_name="bench_dlt",
        )
        pipeline.run(table, loader_file_format="parquet")


def _url(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    user, password = quote(str(parts["user"])), quote(str(parts.get("password", "")))
    host, port = quote(str(parts["host"]), safe=""), parts.get("port", 5432)
    return f"postgresql://{user}:{password}@localhost/{parts['dbname']}?host={host}&port={port}"
