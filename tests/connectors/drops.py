"""Drops made up by tests: files in a folder of this machine, or of a practice SFTP server."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import SecretStr

from connectors import Page, Source, Window
from connectors.registry import open_source
from sandbox.licensing_office import LicensingOffice
from tests.connectors.conformance import pages_of, rows_of

HOUR = 3600
COLUMNS = ("id_izin", "nib", "no_identitas_penanggung_jwb", "kd_status", "keterangan")


def licenses(rows: int) -> pl.DataFrame:
    """Rows with everything that a text can hold: quotes, line breaks, delimiters, empty and missing cells."""
    texts = ['kata "dalam" kutip', "dua\nbaris", "a;b,c", "Café Ümlaut", None, "biasa", "\tmasuk ", "'=1+1"]
    return pl.DataFrame(
        {
            "id_izin": [f"I-2026{number:017d}" for number in range(rows)],
            "nib": [f"{9120000000000 + number}" for number in range(rows)],
            "no_identitas_penanggung_jwb": [
                f"35760{2 + number % 3}5505{90 + number % 10}{number:04d}" for number in range(rows)
            ],
            "kd_status": [["50", "20", "07"][number % 3] for number in range(rows)],
            "keterangan": [texts[number % len(texts)] for number in range(rows)],
        }
    )


@dataclass(frozen=True)
class Binding:
    config: dict[str, Any]
    kind: str = "files"
    system_id: str = "oss-daerah"


@dataclass(frozen=True)
class Registered:
    endpoint_url: str | None = None
    ca_certificate_pem: str | None = None
    system_id: str = "oss-daerah"


@dataclass(frozen=True)
class Handed:
    values: dict[str, str] = field(default_factory=dict)

    def resolve(self, reference: str) -> SecretStr:
        return SecretStr(self.values[reference.removeprefix("file:")])


@dataclass
class LocalDrops:
    """A folder of this machine into which a test drops files."""

    root: Path
    opened: list[Source] = field(default_factory=list)

    def __enter__(self) -> LocalDrops:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self.opened:
            source.close()

    @property
    def folder(self) -> Path:
        path = self.root / "drops" / "kirim"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    def put(self, name: str, content: bytes | str, *, age: float = HOUR) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path

    def list_checksums(self, *names: str, manifest: str = "drop.sha256", age: float = HOUR) -> Path:
        lines = [
            f"{hashlib.sha256((self.folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
        ]
        return self.put(manifest, "".join(lines), age=age)

    def open(self, pattern: str, *, columns: tuple[str, ...] = (), **changes: Any) -> Source:
        known = {"csv": "csv", "xlsx": "xlsx", "jsonl": "jsonl", "parquet": "parquet"}
        format_ = known[pattern.removesuffix(".gz").rpartition(".")[2]]
        config = {"transport": "local", "folder": "kirim", "pattern": pattern, "format": format_, **changes}
        source = open_source(
            Binding(config),
            Registered(),
            Handed(),
            columns=columns,
            spool=self.spool,
            drops=self.root / "drops",
        )
        self.opened.append(source)
        return source

    def read(self, pattern: str, **changes: Any) -> pl.DataFrame:
        return rows_of(self.pages(pattern, **changes))

    def pages(self, pattern: str, **changes: Any) -> list[Page]:
        return pages_of(self.open(pattern, **changes), Window())

    def pages_of_one(self, name: str, content: bytes | str, **changes: Any) -> list[Page]:
        """Drop one file and read its pages."""
        self.put(name, content)
        return self.pages(name, **changes)

    def one(self, name: str, content: bytes | str, **changes: Any) -> pl.DataFrame:
        """Drop one file and read it."""
        self.put(name, content)
        return self.read(name, **changes)


@dataclass
class RemoteDrops:
    """A practice licensing office, read as the bus does."""

    office: LicensingOffice
    spool: Path
    opened: list[Source] = field(default_factory=list)

    def open(
        self, *, columns: tuple[str, ...] = (), system: Registered | None = None, **changes: Any
    ) -> Source:
        config = {
            "folder": "drop",
            "pattern": "nib_*.csv",
            "format": "csv",
            "delimiter": ";",
            "encoding": "windows-1252",
            "manifest": "*.sha256",
            "username": "lintas",
            "password": "file:password",
            **changes,
        }
        source = open_source(
            Binding({name: value for name, value in config.items() if value is not None}),
            system or self.registered(),
            Handed({"password": self.office.password, "key": self.office.private_key, "wrong": "wrong-0123"}),
            columns=columns,
            spool=self.spool,
        )
        self.opened.append(source)
        return source

    def registered(self, key: str | None = None) -> Registered:
        return Registered(self.office.endpoint_url, self.office.host_key if key is None else key or None)
