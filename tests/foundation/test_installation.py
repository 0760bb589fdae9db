import os
import subprocess
import sys

import pytest

from foundation.database import DatabaseName, Role
from foundation.installation import INSTALLATION_KEYS, Installation
from foundation.settings import Settings


def test_an_installation_is_ready_to_use(installation, no_leaks):
    with installation.database.connect(Role.MIGRATOR) as connection:
        user, name = connection.execute("SELECT current_user, current_database()").fetchone()
    assert user == "lintas_migrator"
    assert name == DatabaseName.LINTAS.on_server(installation.settings)
    assert {name for name in INSTALLATION_KEYS} <= set(installation.keyring.names())


def test_a_second_installation_shares_nothing_but_the_server(make_installation):
    first, second = make_installation(), make_installation()
    with first.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with second.database.connect(Role.MIGRATOR) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
    assert first.home != second.home


_PREPARE = """
from foundation.installation import Installation
Installation.open().prepare()
"""


@pytest.fixture
def bare(session_directory):
    """An installation whose home does not exist yet, with a server of its own."""
    home = session_directory / f"bare-{os.urandom(4).hex()}"
    made = Installation.open(Settings(home=home, postgres_durable=False))
    yield made
    if made.database.server:
        made.database.server.remove()


def test_processes_that_prepare_a_bare_machine_at_once_make_one_installation(bare, no_leaks):
    environment = {**os.environ, **bare.settings.as_environment()}
    racers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _PREPARE], env=environment) for _ in range(3)
    ]
    assert [racer.wait(120) for racer in racers] == [0, 0, 0]
    for database in (DatabaseName.LINTAS, DatabaseName.VAULT):
        bare.database.connect(Role.API, database).close()
    assert all(bare.keyring.versions(name) == [1] for name in INSTALLATION_KEYS)
    before = [bare.keyring.current(name).kid for name in INSTALLATION_KEYS]
    bare.prepare()
    assert [
        Installation.open(bare.settings).keyring.current(name).kid for name in INSTALLATION_KEYS
    ] == before


def test_an_installation_survives_a_killed_database(bare):
    bare.prepare()
    with bare.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE TABLE kept ()")
    bare.database.server.kill()
    bare.prepare()
    with bare.database.connect(Role.MIGRATOR) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)


def test_everything_secret_in_a_home_is_private(bare):
    bare.prepare()
    open_to_others = [
        path.relative_to(bare.home)
        for path in bare.home.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and path.suffix in {".key", ".password", ".salt"}
    ]
    assert open_to_others == []
    for private in ("keys", "secrets", "logs", "tls"):
        assert (bare.home / private).stat().st_mode & 0o077 == 0
    assert (bare.home / "keys.passphrase").stat().st_mode & 0o777 == 0o600
    assert bare.home.stat().st_mode & 0o066 == 0
