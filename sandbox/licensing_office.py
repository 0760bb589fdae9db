"""The practice licensing office: businesses as CSV and licenses as a workbook, dropped into a folder."""

from __future__ import annotations

import io
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from foundation.files import make_private_directory, read_private, write_private
from foundation.tls import LocalAuthority
from sandbox import drops
from sandbox.access_log import AccessLog
from sandbox.address import LOCALHOST, listening_on
from sandbox.datasets import LICENSING_OFFICE
from sandbox.faults import FaultBoard
from sandbox.population import Population

if TYPE_CHECKING:
    from sandbox.sftp_service import SftpService

USERNAME = "lintas"
FOLDER = "/drop"
_BOOKS = ("businesses", "licenses")
_SECRETS = ("reader.password", "practice.key")
_FILES = {"nib_": "businesses", "izin_": "licenses"}
_NIGHT_SECONDS = 12 * 3600


class LicensingOffice:
    """One folder with the office's drops, one account that may read it, and switches for what may go wrong.

    Its server proves itself by a key of its own, not by a certificate: `host_key` is what the office hands
    the bus for that, and the authority is not asked.
    """

    def __init__(
        self, directory: Path, authority: LocalAuthority | None = None, *, host: str = LOCALHOST
    ) -> None:
        self.directory = directory
        self.host = host
        self.authority = authority
        self.faults = FaultBoard()
        self.served = AccessLog(directory, LICENSING_OFFICE)
        self.csv = drops.CsvForm(delimiter=";", encoding="windows-1252")
        self.businesses = pl.DataFrame()
        self.licenses = pl.DataFrame()
        self._service: SftpService | None = None
        self._port = 0

    @property
    def folder(self) -> Path:
        """Where the drops lie on this machine."""
        return self.directory / "sftp" / FOLDER.strip("/")

    @property
    def port(self) -> int:
        """The port at which clients find the office."""
        return self._port

    @property
    def endpoint_url(self) -> str:
        """Where the office is."""
        return f"sftp://{self.host}:{self._port}"

    @property
    def password(self) -> str:
        """Password of the reading account."""
        return read_private(self.directory / "reader.password").decode().strip()

    @property
    def private_key(self) -> str:
        """The reading account's own key, for logins without a password."""
        return read_private(self.directory / "reader.key").decode()

    @property
    def host_key(self) -> str:
        """The public key of the server, as the office hands it over: one line in OpenSSH's format."""
        return (self.directory / "host.key.pub").read_text(encoding="ascii").strip()

    @property
    def practice_key(self) -> str:
        """What opens the switches from outside the process."""
        return read_private(self.directory / "practice.key").decode().strip()

    @property
    def blocks_read(self) -> int:
        """How many blocks of files clients have read."""
        return self._service.blocks if self._service else 0

    def start(self, port: int = 0) -> None:
        """Open the office; 0 takes a free port."""
        make_private_directory(self.directory)
        make_private_directory(self.folder)
        for name in _SECRETS:
            if not (self.directory / name).exists():
                write_private(self.directory / name, f"{secrets.token_urlsafe(24)}\n".encode())
        for name in ("host.key", "reader.key"):
            self._ensure_key(name)
        self._recall()
        if self.is_loaded and self._is_stale():
            self.drop()
        self._port = port
        self.listen()

    def stop(self) -> None:
        """Close the office; what it dropped is kept."""
        self.hang_up()

    def listen(self) -> None:
        """Let clients in, at the same port as before."""
        from sandbox.sftp_service import Account, SftpService

        if self._service is not None:
            return
        public_key = (self.directory / "reader.key.pub").read_text(encoding="ascii")
        self._service = SftpService(
            self.directory / "sftp",
            Account(USERNAME, self.password, public_key),
            read_private(self.directory / "host.key"),
            self.faults,
            host=listening_on(self.host),
            opened=self._note_opened,
        )
        self._service.replace = _another_file
        self._port = self._service.start(self._port)

    def hang_up(self) -> None:
        """Be unreachable, as an agency whose line is down."""
        if self._service is not None:
            self._service.stop()
            self._service = None

    def change_password(self) -> str:
        """Give the reading account another password, which the bus does not know yet."""
        password = secrets.token_urlsafe(24)
        write_private(self.directory / "reader.password", f"{password}\n".encode())
        self._open_again()
        return password

    def change_host_key(self) -> str:
        """Prove itself by another key, as a machine does that was set up anew, or somebody in between."""
        (self.directory / "host.key").unlink()
        self._ensure_key("host.key")
        self._open_again()
        return self.host_key

    def load(self, population: Population) -> None:
        """Make a population the office's books, and drop them."""
        self.businesses, self.licenses = population.businesses, population.licenses
        for path in self.folder.iterdir():
            path.unlink()
        self.drop()

    @property
    def is_loaded(self) -> bool:
        """Whether there is anything in the books."""
        return self.businesses.width > 0

    def drop(self, day: datetime | None = None) -> list[str]:
        """Write a drop of everything: both files, then the list of their checksums. Tells the names."""
        stamp = f"{day or datetime.now(UTC):%Y%m%d}"
        files = [
            (f"nib_{stamp}.csv", self.csv.write(self.businesses)),
            (f"izin_{stamp}.xlsx", drops.workbook(self.licenses)),
        ]
        for name, content in files:
            drops.put(self.folder, name, content)
        listing = f"drop_{stamp}.sha256"
        drops.put(self.folder, listing, drops.manifest(files))
        self._save()
        return [*(name for name, _ in files), listing]

    def set_business_status(self, nib: str, status: str) -> None:
        """Write down another status of a business (`status_nib`), and drop the books again."""
        chosen = pl.col("nib") == nib
        self.businesses = self.businesses.with_columns(
            pl.when(chosen).then(pl.lit(status)).otherwise("status_nib").alias("status_nib")
        )
        self.drop()

    def _note_opened(self, name: str) -> None:
        """Note which book was taken; lists of checksums hold no records."""
        for start, dataset in _FILES.items():
            if name.startswith(start):
                self.served.note(dataset, "list")

    def _is_stale(self) -> bool:
        """Whether the last drop is older than a night's: a real office drops every night."""
        dropped = [path.stat().st_mtime for path in self.folder.glob("*.sha256")]
        return not dropped or time.time() - max(dropped) > _NIGHT_SECONDS

    def _open_again(self) -> None:
        if self._service is not None:
            self.hang_up()
            self.listen()

    def _ensure_key(self, name: str) -> None:
        if (self.directory / name).exists():
            return
        import asyncssh

        key = asyncssh.generate_private_key("ssh-ed25519", comment=f"practice-{name.partition('.')[0]}")
        write_private(self.directory / f"{name}.pub", key.export_public_key())
        write_private(self.directory / name, key.export_private_key())

    def _save(self) -> None:
        for name in _BOOKS:
            buffer = io.BytesIO()
            getattr(self, name).write_parquet(buffer)
            write_private(self.directory / f"{name}.parquet", buffer.getvalue())

    def _recall(self) -> None:
        stored = {name: self.directory / f"{name}.parquet" for name in _BOOKS}
        if not self.is_loaded and all(path.exists() for path in stored.values()):
            self.businesses, self.licenses = (pl.read_parquet(stored[name]) for name in _BOOKS)


def _another_file(path: Path) -> None:
    """Put a longer file in the place of one that somebody reads."""
    drops.put(path.parent, path.name, path.read_bytes() + b"\n")
