"""A bus with a past: synced registers, answered applications, receipts, witnesses; and copies of all that.

What others keep (a portal's receipts, an auditor's checkpoint, a person's key, the agencies' access logs)
lies in folders of their own. An attack happens to a copy of the bus, never to what others keep.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import sql

from audit.checkpoints.keys import log_verifier_keys
from audit.publishing.sequencer import Sequencer
from benchmarks.practice import practice
from benchmarks.tampering.witnesses import Witnesses
from benchmarks.workspace import free_port, workspace
from foundation.database import DatabaseName
from foundation.installation import Installation
from lintas.practice import PORTAL, portal_keyring
from lintas.subject_key_view import give_subject_key
from records.sync import SyncContext, run_sync
from sandbox.agencies import PracticeAgencies
from sandbox.portal import Portal
from schemas.contracts import load_contracts
from web.server import configured

SERVICE = "bantuan-usaha-mikro"
_DATABASES = (DatabaseName.LINTAS, DatabaseName.VAULT)
_QUIET_SECONDS = 2.5
"""After the last honest exchange, so that a read of the database stands apart from it."""


@dataclass(frozen=True)
class Kept:
    """What others keep, out of the operator's reach.

    Attributes:
        folder: All of it.
        nik: The person with the key, known only to this scene.
    """

    folder: Path
    nik: str = field(repr=False)

    @property
    def receipts(self) -> Path:
        """The portal's answers, promises and receipts."""
        return self.folder / "receipts"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that an auditor noted down."""
        return self.folder / "auditor.checkpoint"

    @property
    def shown(self) -> Path:
        """A checkpoint that the operator shows to others than the witnesses, where there is one."""
        return self.folder / "shown.checkpoint"

    @property
    def log_keys(self) -> Path:
        """The log's verifier keys, obtained once."""
        return self.folder / "log.keys"

    @property
    def subject_key(self) -> Path:
        """The key file of one person."""
        return self.folder / "subject.key"

    @property
    def access_logs(self) -> Path:
        """What the agencies noted about every request they answered."""
        return self.folder / "access-logs"

    @property
    def nik_file(self) -> Path:
        """The person's number, in a file as the commands want it."""
        return self.folder / "nik.txt"


@dataclass(frozen=True)
class Scene:
    """A bus, what others keep about it, and a backup of an earlier moment.

    Attributes:
        installation: The bus; with the policy of its witnesses.
        kept: What others keep.
        witnesses: Who watches its log.
        agencies: The practice agencies that it syncs from.
        backup: Names of the databases as they were some exchanges ago.
    """

    installation: Installation
    kept: Kept
    witnesses: Witnesses
    agencies: PracticeAgencies
    backup: str

    @contextmanager
    def copied(self) -> Iterator[Scene]:
        """The same bus once more, with copies of all databases, of its home and of what others keep."""
        settings = self.installation.settings
        name = f"tampered_{uuid.uuid4().hex[:8]}"
        home = settings.home.with_name(name)
        _copy_home(settings.home, home, settings.database_name, name)
        _copy_databases(self.installation, settings.database_name, name)
        kept = replace(self.kept, folder=self.kept.folder.with_name(f"kept-{name}"))
        shutil.copytree(self.kept.folder, kept.folder)
        changes = {"home": home, "database_name": name, "postgres_directory": _server_of(self.installation)}
        copy = Installation.open(settings.model_copy(update=changes))
        try:
            with self.witnesses.as_they_are(), self.witnesses.serving():
                yield replace(self, installation=copy, kept=kept)
        finally:
            _drop_databases(self.installation, name)
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(kept.folder, ignore_errors=True)

    def restore_backup(self) -> None:
        """Put the databases of this copy back to the moment of the backup."""
        name = self.installation.settings.database_name
        _drop_databases(self.installation, name)
        _copy_databases(self.installation, self.backup, name)


@contextmanager
def scene(people: int, applications: int) -> Iterator[Scene]:
    """Build a bus and let it work for a while.

    Args:
        people: How many stand in the registers of the practice agencies.
        applications: How many applications are verified before the attacks begin.
    """
    port = free_port()
    with workspace(api_port=port) as plain, practice(plain, people) as agencies:
        folder = plain.settings.home.with_name("kept")
        folder.mkdir()
        witnesses = Witnesses(plain.settings.home.with_name("witnesses"), log_verifier_keys(plain))
        policy = witnesses.write_policy(folder / "policy")
        bus = Installation.open(
            plain.settings.model_copy(update={"log_policy": policy, "officer": "auditor-01"})
        )
        for contract in load_contracts(None):
            run_sync(SyncContext(bus), contract)
        applicants = _applicants(agencies, 3)
        kept = Kept(folder, applicants[0]["applicant"]["nik"])
        with witnesses.serving(), _serving(bus), _portal(bus, kept) as portal:
            backup = _live(bus, portal, applicants, kept, applications)
        _hand_over(bus, agencies, kept)
        time.sleep(_QUIET_SECONDS)
        yield Scene(bus, kept, witnesses, agencies, backup)


def _live(
    bus: Installation, portal: Portal, applicants: list[dict[str, Any]], kept: Kept, applications: int
) -> str:
    """Consents, applications, receipts; a backup on the way; two answers that are not yet in the log."""
    for each in applicants:
        portal.give_consent(SERVICE, each["applicant"])
    backup = ""
    for number in range(applications):
        if number == applications - applications // 4:
            backup = "backup"
            settle(bus)
            _copy_databases(bus, bus.settings.database_name, backup)
        each = applicants[number % len(applicants)]
        answer = portal.verify(SERVICE, each["applicant"], each["claims"], case_number=f"CASE-{number}")
        settle(bus)
        portal.check_receipt(answer, portal.receipt(answer))
    give_key(bus, kept)
    settle(bus)
    portal.look_at_log()
    published = bus.settings.home / "log" / f"{bus.settings.database_name}.cosigned"
    shutil.copy(published, kept.checkpoint)
    for each in applicants[:2]:
        portal.verify(SERVICE, each["applicant"], each["claims"])
    return backup


def give_key(bus: Installation, kept: Kept) -> None:
    """Hand the person their key."""
    kept.nik_file.write_text(f"{kept.nik}\n", encoding="utf-8")
    with as_environment(bus):
        give_subject_key(kept.nik_file, kept.subject_key, actor="walidata-01", reason="person asked")


def settle(bus: Installation) -> None:
    """Sequence, sign and have cosigned what waits."""
    with Sequencer(bus) as sequencer:
        sequencer.settle()


@contextmanager
def as_environment(bus: Installation) -> Iterator[None]:
    """Let what the command line calls find this bus."""
    before = dict(os.environ)
    os.environ.update(bus.settings.as_environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _hand_over(bus: Installation, agencies: PracticeAgencies, kept: Kept) -> None:
    kept.log_keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(bus)), encoding="utf-8")
    kept.access_logs.mkdir()
    for file in sorted(agencies.directory.glob("*/access-log.ndjson")):
        shutil.copy(file, kept.access_logs / f"access-log-{file.parent.name}.ndjson")


def _applicants(agencies: PracticeAgencies, count: int) -> list[dict[str, Any]]:
    """Living owners of a business, without injected errors."""
    population = agencies.population
    flawed = {error.key for error in population.errors}
    frame = population.persons.unique("nik", keep="none", maintain_order=True)
    cards = {row["nik"]: row["no_kk"] for row in frame.iter_rows(named=True) if row["no_kk"]}
    businesses = population.businesses.unique("nib", keep="none", maintain_order=True)
    found = []
    for nib, nik in businesses.select("nib", "no_identitas_penanggung_jwb").iter_rows():
        if nik in cards and not {nik, nib} & flawed and len(found) < count:
            claims = {"amount_requested": 2_000_000, "business_nib": nib}
            found.append({"applicant": {"nik": nik, "family_card_number": cards[nik]}, "claims": claims})
    return found


@contextmanager
def _serving(bus: Installation) -> Iterator[None]:
    server = uvicorn.Server(configured(bus))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _portal(bus: Installation, kept: Kept) -> Iterator[Portal]:
    key = portal_keyring(bus).current("auth")
    url = f"https://127.0.0.1:{bus.settings.api_port}"
    with Portal(url, bus.authority.ca_path, PORTAL, key, keep=kept.receipts) as portal:
        yield portal


def _server_of(bus: Installation) -> Path:
    server = bus.database.server
    if server is None:
        raise SystemExit("this benchmark needs the embedded PostgreSQL")
    return server.directory


def _copy_home(home: Path, to: Path, database: str, name: str) -> None:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("postgres", "sandbox", "logs"))
    for file in (to / "log").glob(f"{database}.*"):
        file.rename(file.with_name(file.name.replace(database, name, 1)))


def _names(bus: Installation, name: str) -> list[tuple[DatabaseName, str]]:
    settings = bus.settings.model_copy(update={"database_name": name})
    return [(each, each.on_server(settings)) for each in _DATABASES]


def _copy_databases(bus: Installation, name: str, to: str) -> None:
    pairs = zip(_names(bus, name), _names(bus, to), strict=True)
    with bus.database.admin() as connection:
        for (database, source), (_, target) in pairs:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [source]
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER lintas_migrator TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(target), sql.Identifier(source)
                )
            )
            bus.database.grant_connect(connection, database, target)


def _drop_databases(bus: Installation, name: str) -> None:
    with bus.database.admin() as connection:
        for _, each in _names(bus, name):
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each))
            )
