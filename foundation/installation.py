"""One installation of the bus: what every process is handed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from foundation.database import Database
from foundation.files import make_private_directory
from foundation.keyring import Algorithm, Keyring
from foundation.settings import Settings, load_settings
from foundation.tls import LocalAuthority

__all__ = ["INSTALLATION_KEYS", "Installation"]

#: Keys that an installation is born with; rooms add further ones by ``keyring.ensure``.
INSTALLATION_KEYS: dict[str, Algorithm] = {
    "bus": "ed25519",  # promises, answers, agreements signed as the bus
    "log": "ed25519",  # checkpoints of the transparency log
    "quarantine": "x25519",  # rejected rows are sealed to it; only stewards open them
    "vault-kek": "symmetric",  # wraps per-subject keys in the vault
    "vault-index": "symmetric",  # keyed index of identifiers in the vault
    "case-index": "symmetric",  # keyed index of case numbers beside the log
    "tags": "symmetric",  # keyed tags that let quarantine be matched without values
}


@dataclass(frozen=True)
class Installation:
    """Settings, databases, keys and authority of one installation: the one object passed around."""

    settings: Settings

    @classmethod
    def open(cls, settings: Settings | None = None) -> Installation:
        """Return the installation that the settings (default: the environment's) describe."""
        return cls(settings or load_settings())

    @cached_property
    def database(self) -> Database:
        """The databases."""
        return Database(self.settings)

    @cached_property
    def keyring(self) -> Keyring:
        """The private keys of this installation."""
        return Keyring.open(self.settings.home / "keys", self.settings.keyring_passphrase_file)

    @cached_property
    def authority(self) -> LocalAuthority:
        """The authority that issues this installation's TLS certificates."""
        return LocalAuthority(self.settings.home / "tls")

    @property
    def home(self) -> Path:
        """Folder of everything this installation keeps."""
        return self.settings.home

    def prepare(self) -> Installation:
        """Do what `lintas init` does: folders, keys, authority, roles, databases, migrations.

        Safe to repeat and to run from several processes at once.
        """
        self.prepare_files()
        self.database.ensure()
        return self

    def prepare_files(self) -> Installation:
        """Make folders, keys and the TLS authority, without the database."""
        # As root, PostgreSQL's own account walks through the home; the files in it stay private.
        make_private_directory(self.home, 0o711 if os.geteuid() == 0 else 0o700)
        make_private_directory(self.home / "secrets")
        make_private_directory(self.home / "logs")
        for name, algorithm in INSTALLATION_KEYS.items():
            self.keyring.ensure(name, algorithm)
        self.authority.ensure()
        return self
