"""Files that agencies drop, read in pages with checksums, beside Polars that reads the bare file whole.

Every figure is taken in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import polars as pl
from pydantic import SecretStr
from rich.console import Console

from benchmarks.measure import Measurement, measured
from connectors import Window
from connectors.registry import open_source
from sandbox import drops as writing
from sandbox.licensing_office import USERNAME, LicensingOffice

TITLE = "Files dropped by an agency (14 columns; each figure in a process of its own)"
_FORMATS = ("csv", "jsonl", "parquet", "xlsx")
_SUMS = "drop.sha256"


@dataclass(frozen=True)
class _Job:
    """What one process measures."""

    what: str
    format: str
    rows: int
    path: Path
    baseline: bool = False
    office: tuple[str, str, str] | None = None


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    rows = {name: 2_000 if smoke else 1_000_000 for name in _FORMATS}
    rows["xlsx"] = 500 if smoke else 200_000
    with tempfile.TemporaryDirectory() as directory:
        office = LicensingOffice(Path(directory) / "office")
        office.start()
        try:
            _write(office.folder, rows)
            return [_alone(job) for job in _jobs(office, rows)]
        finally:
            office.stop()
            console.print("[dim]Lintas reads checked copies page by page; Polars reads the file whole[/dim]")


def _jobs(office: LicensingOffice, rows: dict[str, int]) -> list[_Job]:
    jobs = []
    access = (office.endpoint_url, office.host_key, office.password)
    for name in _FORMATS:
        path, count = office.folder / f"nib.{name}", rows[name]
        reader = "fastexcel to Polars" if name == "xlsx" else "Polars"
        jobs.append(_Job(f"{name}: {reader}, the bare file", name, count, path, baseline=True))
        jobs.append(_Job(f"{name}: Lintas, local folder", name, count, path))
    csv = office.folder / "nib.csv"
    jobs.append(_Job("csv: Lintas, over SFTP", "csv", rows["csv"], csv, office=access))
    return jobs


def _alone(job: _Job) -> Measurement:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, job).result()


def _measure(job: _Job) -> Measurement:
    read = _polars if job.baseline else _lintas
    with measured(job.what, job.rows, f"{job.format} rows", baseline=job.baseline) as result:
        found = read(job)
    assert found == job.rows, f"{found} rows of {job.rows}"
    result.note = f"{job.path.stat().st_size / 2**20:,.0f} MiB"
    return result


def _polars(job: _Job) -> int:
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        "csv": lambda path: pl.read_csv(path, infer_schema=False),
        "jsonl": pl.read_ndjson,
        "parquet": pl.read_parquet,
        "xlsx": pl.read_excel,
    }
    return readers[job.format](job.path).height


def _lintas(job: _Job) -> int:
    access = {"username": USERNAME, "password": "file:x"} if job.office else {"transport": "local"}
    config = {
        **access,
        "folder": "drop",
        "pattern": job.path.name,
        "format": job.format,
        "manifest": _SUMS,
        "file_megabytes": 4_096,
        "unpacked_megabytes": 4_096,
    }
    url, host_key, password = job.office or (None, None, "")
    source = open_source(
        SimpleNamespace(kind="files", system_id="oss-daerah", config=config),
        SimpleNamespace(system_id="oss-daerah", endpoint_url=url, ca_certificate_pem=host_key),
        SimpleNamespace(resolve=lambda _: SecretStr(password)),
        drops=job.path.parent.parent,
    )
    try:
        return sum(page.frame.height for slice in source.slices(Window()) for page in source.read(slice))
    finally:
        source.close()


def _write(folder: Path, rows: dict[str, int]) -> None:
    frame = _businesses(max(rows.values()))
    frame.head(rows["csv"]).write_csv(folder / "nib.csv")
    frame.head(rows["jsonl"]).write_ndjson(folder / "nib.jsonl")
    frame.head(rows["parquet"]).write_parquet(folder / "nib.parquet")
    (folder / "nib.xlsx").write_bytes(writing.workbook(frame.head(rows["xlsx"])))
    files = [(path.name, path.read_bytes()) for path in sorted(folder.glob("nib.*"))]
    writing.put(folder, _SUMS, writing.manifest(files))


def _businesses(rows: int) -> pl.DataFrame:
    """Rows shaped as the licensing office's, of an NIB for each number."""
    number = pl.int_range(rows)
    return pl.select(
        nib=(number + 9_120_000_000_000).cast(pl.String),
        jns_identitas_penanggung_jwb=pl.lit("01"),
        no_identitas_penanggung_jwb=(number % 9_000 + 3_576_021_505_900_001).cast(pl.String),
        nama_penanggung_jwb=pl.format("SITI CONTOH {}", number % 10_000),
        npwp_perseroan=(number % 9_000 + 3_576_021_505_900_001).cast(pl.String),
        nama_perseroan=pl.format("WARUNG CONTOH {}", number),
        jenis_pelaku_usaha=pl.lit("02"),
        flag_umk=pl.lit("Y"),
        skala_usaha=pl.lit("01"),
        kbli=pl.lit("56101"),
        skala_resiko=pl.lit("R"),
        perseroan_daerah_id=pl.lit("3576021001"),
        status_nib=pl.lit("01"),
        tgl_terbit_nib=pl.lit("2024-07-01"),
    )
