"""What an operator may set: ``LINTAS_*`` environment variables, frozen once read.

Personal data and passwords do not belong here; secrets of agencies are references
(:mod:`foundation.secrets`), and passwords of the database are generated into private files.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from foundation.errors import FixInstallation

__all__ = ["PREFIX", "SettingDescription", "Settings", "SettingsInvalid", "describe", "load_settings"]

PREFIX = "LINTAS_"
_SECRETS_PREFIX = "LINTAS_SECRET_"
_DATABASE_NAME = r"^[a-z][a-z0-9_]{0,39}$"


class SettingsInvalid(FixInstallation):
    """One or more ``LINTAS_*`` settings cannot be used; all of them are named at once."""


class Settings(BaseSettings):
    """Everything an operator may set, with defaults for one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True)

    home: Path = Field(Path(".lintas"), description="Folder of everything this installation keeps.")

    database_url: SecretStr | None = Field(
        None,
        description=(
            "Administrator URL of a PostgreSQL 18 server to use instead of the embedded one; "
            "over the network it must say `sslmode=verify-full`."
        ),
    )
    database_password_file: Path | None = Field(
        None,
        description="File with the administrator's password; only `lintas init` needs it.",
    )
    database_name: str = Field(
        "lintas", pattern=_DATABASE_NAME, description="Name of the main database; the others follow from it."
    )
    postgres_directory: Path | None = Field(
        None, description="Folder of the embedded PostgreSQL. Default: `postgres` under the home."
    )
    postgres_durable: bool = Field(
        True, description="Flush every commit to disk. Only throw-away installations may turn this off."
    )

    contracts: Path | None = Field(
        None, description="Folder of data contracts. Default: those that come with Lintas."
    )
    services: Path | None = Field(
        None, description="Folder of the service catalogue. Default: the one that comes with Lintas."
    )

    api_host: str = Field("127.0.0.1", description="Address on which the HTTP API listens.")
    api_port: int = Field(8800, ge=0, le=65535, description="Port of the HTTP API.")
    api_workers: int = Field(1, ge=1, le=64, description="Processes that serve the HTTP API.")
    api_public_url: str | None = Field(
        None, description="URL under which portals reach the API, when it stands behind a proxy."
    )
    airflow_port: int = Field(8810, ge=0, le=65535, description="Port of Airflow's own page and API.")
    airflow_host: str = Field("127.0.0.1", description="Address on which Airflow's own page and API listen.")
    airflow_url: str | None = Field(
        None,
        description="URL under which Airflow's other processes reach its API, when they run on other hosts.",
    )
    airflow_parallelism: int = Field(
        4,
        ge=1,
        le=256,
        description="Tasks that Airflow runs at once; with Celery, that one worker runs at once.",
    )
    airflow_executor: Literal["local", "celery"] = Field(
        "local", description="Who runs the tasks: the scheduler's own children, or Celery workers anywhere."
    )
    airflow_slots_per_agency: int = Field(
        2, ge=1, le=64, description="Syncs of one agency that may read from its systems at once."
    )
    broker_url: str | None = Field(
        None, description="Redis that carries tasks to Celery workers, such as `rediss://redis:6379/0`."
    )
    broker_ca_file: Path | None = Field(
        None, description="Certificate of the authority that vouches for that Redis. Default: the system's."
    )
    broker_password_file: Path | None = Field(None, description="File with the password of that Redis.")
    sync_retries: int = Field(4, ge=0, le=20, description="How often Airflow tries a step of a sync again.")
    sync_retry_seconds: int = Field(
        5, ge=1, le=3600, description="Pause before the first retry; it doubles up to ten minutes."
    )

    sandbox_host: str = Field(
        "localhost",
        description="Name under which the practice agencies are reached; as `localhost`, on loopback alone.",
    )
    sandbox_civil_registry_port: int = Field(
        8821, ge=0, le=65535, description="Port of the practice civil registry's database."
    )
    sandbox_tax_office_port: int = Field(
        8822, ge=0, le=65535, description="Port of the practice tax office's REST service."
    )
    sandbox_licensing_office_port: int = Field(
        8823, ge=0, le=65535, description="Port of the practice licensing office's SFTP server."
    )
    sandbox_health_office_port: int = Field(
        8824, ge=0, le=65535, description="Port of the practice health office's FHIR server."
    )
    people: int = Field(
        5000, ge=100, le=10_000_000, description="How many synthetic people the practice agencies know."
    )
    seed: int = Field(20260101, ge=0, description="Seed from which the synthetic people are drawn.")

    log_origin: str = Field(
        "lintas.mojokertokota.go.id/log",
        min_length=1,
        max_length=200,
        description="Name (origin) of the transparency log in its checkpoints.",
    )
    log_policy: Path | None = Field(
        None,
        description=(
            "File (C2SP tlog-policy) that names the log's witnesses and their quorum, or `none` (default)."
        ),
    )
    witness_ca_file: Path | None = Field(
        None,
        description=(
            "Certificates (PEM) of the authorities of the witnesses, or `none` (default) for the system's."
        ),
    )
    quorum_grace_seconds: int = Field(
        14_400,
        ge=1,
        description="How long exchanges go on while the quorum of witnesses is missing; then none is made.",
    )
    timestamp_authorities: Path | None = Field(
        None,
        description=(
            "File (YAML) that names the authorities which stamp the log's checkpoints (RFC 3161), or `none`"
            " (default)."
        ),
    )
    log_backlog_entries: int = Field(
        100_000,
        ge=1_000,
        description="Exchanges are refused while more entries than these wait for their number.",
    )
    log_backlog_seconds: int = Field(
        30,
        ge=5,
        description=(
            "How long exchanges go on after the sequencer was heard last; an entry is promised to stand in"
            " the log within 30 seconds."
        ),
    )
    log_sink: Path | None = Field(
        None,
        description=(
            "Folder in another failure domain into which every entry of the log is copied, append-only;"
            " it must exist. Default: no copy."
        ),
    )
    log_sink_required: bool = Field(
        False,
        description=(
            "Sign nothing that does not stand in that copy, and stop exchanges while it cannot be written."
        ),
    )
    witness_directory: Path | None = Field(
        None, description="Folder of a witness that `lintas up` runs beside the bus. Default: none runs."
    )
    keyring_passphrase_file: Path | None = Field(
        None, description="File with the passphrase of the keys. Default: made under the home on first use."
    )
    allowed_addresses: tuple[str, ...] = Field(
        (),
        description=(
            'Hosts that connectors may call, as a JSON list such as `["siak.example.go.id:443"]`; '
            "the endpoints of registered systems are always allowed."
        ),
    )
    vault_url: str | None = Field(None, description="HashiCorp Vault (KV v2) of `vault:` secrets.")
    vault_token_file: Path | None = Field(None, description="File with the token for that Vault.")

    key_encryption: Literal["keyring", "transit", "pkcs11"] = Field(
        "keyring",
        description=(
            "Who keeps the key that wraps subjects' keys: the keyring, HashiCorp Vault (Transit), or a"
            " hardware security module (PKCS#11)."
        ),
    )
    transit_url: str | None = Field(
        None,
        description="Where that Transit engine is mounted: `https://vault.example.go.id:8200/v1/transit`.",
    )
    transit_token_file: Path | None = Field(None, description="File with the token for that Transit engine.")
    transit_ca_file: Path | None = Field(
        None, description="Certificate of the authority that vouches for it. Default: the system's."
    )
    transit_key: str = Field(
        "lintas-kek", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Name of its key."
    )
    pkcs11_module: Path | None = Field(
        None, description="Library of that security module, such as `/usr/lib/softhsm/libsofthsm2.so`."
    )
    pkcs11_token: str | None = Field(None, max_length=32, description="Label of the token in it.")
    pkcs11_pin_file: Path | None = Field(None, description="File with the user PIN of that token.")
    pkcs11_key: str = Field(
        "lintas-kek", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Label of its keys."
    )
    erasure_retention_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description=(
            "Days after an exchange about a person during which they cannot be erased. Default: the time"
            " within which a decision can be brought before the administrative court (UU 5/1986 Art. 55)."
        ),
    )

    audit_retention_days: int = Field(
        3_650,
        ge=1,
        le=36_500,
        description="Days that entries of the log are kept at least; pruning takes two stewards, too.",
    )
    audit_retention_by_kind: tuple[str, ...] = Field(
        (),
        description=(
            "Other days for kinds of entries or whole families, as a JSON list such as"
            ' `["audit=1825", "sync.completed=7300"]`.'
        ),
    )

    officer: str | None = Field(
        None,
        description=(
            "Pseudonym of the officer who sits at this command line and reads the log, where a command is not"
            " told by `--actor` or `--auditor`. The log names them, so they must be registered with the role."
        ),
    )

    clock_offset_seconds: float = Field(
        0.0, description="Moves the clock of every process, for drills and tests."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe events that are written to the process logs."
    )
    otlp_endpoint: str | None = Field(
        None, description="OpenTelemetry collector (OTLP over HTTP) for traces and metrics. Default: none."
    )

    @field_validator(
        "home",
        "postgres_directory",
        "contracts",
        "services",
        "log_policy",
        "log_sink",
        "witness_ca_file",
        "timestamp_authorities",
        "witness_directory",
        "keyring_passphrase_file",
        "database_password_file",
        "broker_password_file",
        "broker_ca_file",
        "vault_token_file",
        "transit_token_file",
        "transit_ca_file",
        "pkcs11_module",
        "pkcs11_pin_file",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path.expanduser()))

    @model_validator(mode="after")
    def _transit_is_named(self) -> Self:
        if self.key_encryption == "transit" and (self.transit_url is None or self.transit_token_file is None):
            raise ValueError("transit needs LINTAS_TRANSIT_URL and LINTAS_TRANSIT_TOKEN_FILE")
        return self

    @model_validator(mode="after")
    def _module_is_named(self) -> Self:
        named = (self.pkcs11_module, self.pkcs11_token, self.pkcs11_pin_file)
        if self.key_encryption == "pkcs11" and None in named:
            raise ValueError(
                "pkcs11 needs LINTAS_PKCS11_MODULE, LINTAS_PKCS11_TOKEN and LINTAS_PKCS11_PIN_FILE"
            )
        return self

    @field_validator("log_policy", "witness_ca_file", "timestamp_authorities", mode="before")
    @classmethod
    def _none(cls, path: Any) -> Any:
        return None if path == "none" else path

    @model_validator(mode="after")
    def _celery_has_a_broker(self) -> Self:
        if self.airflow_executor == "celery" and self.broker_url is None:
            raise ValueError("celery needs LINTAS_BROKER_URL, the Redis that carries its tasks")
        return self

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "rediss://-")
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.password:
            raise ValueError(
                "write rediss://HOST:PORT/NUMBER; the password stands in LINTAS_BROKER_PASSWORD_FILE"
            )
        if parts.scheme == "redis" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("write rediss://: tasks and their tokens cross the network only under TLS")
        return url

    @property
    def vault_database_name(self) -> str:
        """Name of the database that maps identifiers to handles."""
        return f"{self.database_name}_vault"

    @property
    def airflow_database_name(self) -> str:
        """Name of Airflow's database."""
        return "airflow" if self.database_name == "lintas" else f"{self.database_name}_airflow"

    @property
    def embedded(self) -> bool:
        """Whether the bus runs its own PostgreSQL."""
        return self.database_url is None

    @property
    def postgres_home(self) -> Path:
        """Folder of the embedded PostgreSQL."""
        return self.postgres_directory or self.home / "postgres"

    def as_environment(self) -> dict[str, str]:
        """Return the ``LINTAS_*`` variables that make a child process read the same settings."""
        found = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is not None:
                found[variable_name(name)] = _as_text(value)
        found[variable_name("home")] = str(self.home)
        return found


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One setting as `lintas settings` and the reference page show it."""

    variable: str
    description: str
    default: str
    value: str
    is_set: bool
    secret: bool


def load_settings() -> Settings:
    """Read the settings from the environment; the same environment gives the same object.

    Raises:
        SettingsInvalid: With every wrong or unknown ``LINTAS_*`` variable at once.
    """
    found = {key: value for key, value in os.environ.items() if key.upper().startswith(PREFIX)}
    return _load(tuple(sorted(found.items())))


def describe(settings: Settings | None = None) -> list[SettingDescription]:
    """List every setting with its meaning, default and present value (secrets masked)."""
    present = settings or load_settings()
    return [_describe(name, present) for name in Settings.model_fields]


def variable_name(field: str) -> str:
    """Return the environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


@lru_cache(maxsize=8)
def _load(environment: tuple[tuple[str, str], ...]) -> Settings:
    problems = _unknown(dict(environment))
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [
            ": ".join([*(variable_name(str(name)) for name in item["loc"][:1]), item["msg"]])
            for item in error.errors(include_input=False, include_url=False)
        ]
        settings = None
    except Exception as error:  # pydantic-settings wraps JSON errors of list settings
        problems.append(f"{type(error).__name__}: a list setting must be written as JSON")
        settings = None
    if problems or settings is None:
        raise SettingsInvalid(
            f"{len(problems)} setting(s) cannot be used: " + "; ".join(problems),
            remedy="Correct or unset them; `lintas settings` lists every setting",
            problems=problems,
        )
    return settings


def _unknown(environment: Mapping[str, str]) -> list[str]:
    known = {variable_name(name) for name in Settings.model_fields}
    problems = []
    for key in environment:
        if key.upper() in known or key.upper().startswith(_SECRETS_PREFIX):
            continue
        closest = difflib.get_close_matches(key.upper(), known, n=1)
        hint = f", did you mean {closest[0]}?" if closest else ""
        problems.append(f"{key}: there is no such setting{hint}")
    return problems


def _describe(name: str, settings: Settings) -> SettingDescription:
    field = Settings.model_fields[name]
    value = getattr(settings, name)
    return SettingDescription(
        variable=variable_name(name),
        description=field.description or "",
        default=_as_text(field.get_default()),
        value=_as_text(value, reveal=False),
        is_set=name in settings.model_fields_set,
        secret=isinstance(value, SecretStr) or "SecretStr" in str(field.annotation),
    )


def _as_text(value: Any, *, reveal: bool = True) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value() if reveal else "********"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        import json

        return json.dumps(list(value))
    return str(value)
