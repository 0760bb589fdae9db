"""Runs the chains: finds every room's steps, checks that they form one line, applies what is missing.

A step is a file ``<room>/migrations/NNNN_name.py`` (``audit/vault_migrations`` for the vault) with
Alembic's ``revision``, ``down_revision``, ``upgrade()`` and ``downgrade()``. It runs as the migrator,
in one transaction with all others, under an advisory lock.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foundation.errors import FixInstallation

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

    from foundation.database import Database

__all__ = ["CHAINS", "Chain", "MigrationsBroken", "check_line", "downgrade", "migrate", "present_revisions"]

_LOCK = 0x6D6967726174  # "migrat"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps its present operation in a global


class MigrationsBroken(FixInstallation):
    """The migrations do not form one line, or the database is ahead of the code."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One database's line of migrations."""

    database: str
    folders: tuple[str, ...]

    def steps(self) -> list[ModuleType]:
        """Load every step that is present, in the order of their numbers."""
        root = Path(__file__).parents[2]
        files = [file for folder in self.folders for file in (root / folder).glob("[0-9]*.py")]
        return [_load(file) for file in sorted(files, key=lambda file: file.name)]


CHAINS = (
    Chain(
        "lintas",
        (
            "foundation/migrations/versions",
            "participants/migrations",
            "audit/migrations",
            "consent/migrations",
            "records/migrations",
            "verification/migrations",
            "web/migrations",
        ),
    ),
    Chain("vault", ("audit/vault_migrations",)),
)


def present_revisions(database: str = "lintas") -> list[str]:
    """Return the revision ids that the code holds for a database, first to last."""
    return [step.revision for step in _chain(database).steps()]


def migrate(database: Database, target: str = "head") -> None:
    """Bring the main database and the vault up to the code.

    Raises:
        MigrationsBroken: When the steps do not form one line, or the database knows a step that
            the code does not (a newer release has been here).
    """
    for chain in CHAINS:
        _run(database, chain, target if chain.database == "lintas" else "head", upwards=True)


def downgrade(database: Database, target: str, chain: str = "lintas") -> None:
    """Take a chain back to a revision, or to ``base``."""
    _run(database, _chain(chain), target, upwards=False)


def _run(database: Database, chain: Chain, target: str, *, upwards: bool) -> None:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import text

    from foundation.database import DatabaseName, Role

    scripts = _scripts(chain)
    if scripts is None:
        return

    def steps(current: Any, _context: MigrationContext) -> Any:
        if upwards:
            return scripts._upgrade_revs(target, current)
        return scripts._downgrade_revs(target, current)

    engine = database.engine(Role.MIGRATOR, DatabaseName(chain.database))
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _check_known(connection, chain, scripts)
            _apply(connection, scripts, steps)
    finally:
        engine.dispose()


def _apply(connection: Connection, scripts: ScriptDirectory, steps: Any) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _check_known(connection: Connection, chain: Chain, scripts: ScriptDirectory) -> None:
    from alembic.runtime.migration import MigrationContext

    known = {step.revision for step in scripts.walk_revisions()}
    strangers = set(MigrationContext.configure(connection).get_current_heads()) - known
    if strangers:
        raise MigrationsBroken(
            f"The {chain.database} database is at revision {', '.join(sorted(strangers))}, "
            "which this release does not know",
            remedy="Use the newer release that migrated it, or restore the backup made before",
        )


def _scripts(chain: Chain) -> ScriptDirectory | None:
    from alembic.script import ScriptDirectory
    from alembic.script.base import Script
    from alembic.script.revision import RevisionMap

    steps = chain.steps()
    if not steps:
        return None
    check_line(steps)
    directory = ScriptDirectory(str(Path(__file__).parent))

    def revisions() -> Iterator[Script]:
        for step in steps:
            yield Script(step, step.revision, str(step.__file__))

    directory.revision_map = RevisionMap(revisions)
    return directory


def check_line(steps: list[ModuleType]) -> None:
    """Refuse steps that do not follow each other one by one.

    Raises:
        MigrationsBroken: Naming the first that does not.
    """
    expected = None
    for step in steps:
        if step.down_revision != expected:
            raise MigrationsBroken(
                f"Migration {step.revision} follows {step.down_revision}, but {expected} comes before it",
                remedy="Number the steps in one line, each naming the one before",
                file=str(step.__file__),
            )
        expected = step.revision


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lintas_migration_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.revision != file.stem:
        raise MigrationsBroken(
            f"The file {file.name} holds revision {module.revision}",
            remedy="Name the file after its revision",
            file=str(file),
        )
    return module


def _chain(database: str) -> Chain:
    return next(chain for chain in CHAINS if chain.database == database)
