"""From a contract's server and a registered system to a source that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from connectors.configuration import (
    AnyConfiguration,
    FhirConfiguration,
    FilesConfiguration,
    RestConfiguration,
    SqlConfiguration,
    parse_configuration,
)
from connectors.endpoint import SqlEndpoint
from connectors.errors import ConfigurationInvalid
from connectors.fhir import FhirSource
from connectors.fhir_lookup import FhirQuestion
from connectors.fhir_service import FhirService
from connectors.files import FilesSource
from connectors.files_folder import Folder, LocalFolder
from connectors.lookups import Question, TimedLookup, breaker_of
from connectors.rest import RestSource
from connectors.rest_lookup import RestQuestion
from connectors.rest_service import RestService
from connectors.source import Lookup, Source
from connectors.sql import SqlSource
from connectors.sql_lookup import SqlQuestion
from connectors.web_service import Manner


class Binding(Protocol):
    """The part of a contract that says where its data comes from."""

    @property
    def kind(self) -> str:
        """Which connector reads it."""

    @property
    def system_id(self) -> str:
        """Which registered system has it."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The connector's own settings."""


class RegisteredSystem(Protocol):
    """What the operator registered about a system."""

    @property
    def system_id(self) -> str:
        """Its name."""

    @property
    def endpoint_url(self) -> str | None:
        """Its approved address, without credentials."""

    @property
    def ca_certificate_pem(self) -> str | None:
        """Who vouches for its certificate; the machine's own authorities when None.

        An SFTP server has no certificate: here stand its public keys, or their fingerprints, one a line.
        """


class Secrets(Protocol):
    """Gives secrets of one agency's namespace, and of no other."""

    def resolve(self, reference: str) -> SecretStr:
        """Look up a reference such as `file:siak-reader`."""


def open_source(
    binding: Binding,
    system: RegisteredSystem,
    secrets: Secrets,
    *,
    columns: Sequence[str] = (),
    spool: Path | None = None,
    drops: Path | None = None,
) -> Source:
    """Open the source of a dataset; nothing is connected before it is read.

    Args:
        binding: The contract's server.
        system: The registered system of that name.
        secrets: The agency's own secrets.
        columns: The columns to read, in this order (`Contract.source_columns`); all when empty.
        spool: Private folder for copies of files while they are read.
        drops: Folder on this machine below which the agency may drop files; none when None.

    Raises:
        ConfigurationInvalid: With everything that is wrong in the binding.
    """
    configuration = _configuration(binding, system)
    if isinstance(configuration, SqlConfiguration):
        endpoint = _sql_endpoint(configuration, system)
        password = secrets.resolve(configuration.password)
        return SqlSource(configuration, endpoint, password, system_id=system.system_id, columns=columns)
    if isinstance(configuration, FhirConfiguration):
        return FhirSource(_fhir_service(configuration, system, secrets), columns=columns)
    if isinstance(configuration, RestConfiguration):
        return RestSource(_rest_service(configuration, system, secrets), columns=columns)
    folder = _folder(configuration, system, secrets, drops)
    return FilesSource(configuration, folder, system_id=system.system_id, columns=columns, spool=spool)


def open_lookup(
    binding: Binding, system: RegisteredSystem, secrets: Secrets, *, columns: Sequence[str] = ()
) -> Lookup:
    """Open the live question of a dataset; keep it open, for it keeps its connections and its token.

    Every look-up of a process that asks the same system shares one circuit breaker.

    Raises:
        ConfigurationInvalid: When the contract names no `lookup_key`, or is wrong.
    """
    configuration = _configuration(binding, system)
    if not _key_of(configuration):
        raise ConfigurationInvalid(
            ["the contract names no lookup_key (for FHIR: lookup), so its system cannot be asked live"]
        )
    question = _question(configuration, system, secrets, columns)
    return TimedLookup(question, breaker_of(system.system_id, system.endpoint_url))


def lookup_key(binding: Binding) -> tuple[str, ...]:
    """The source columns by which a dataset can be asked live; none when it cannot be.

    Raises:
        ConfigurationInvalid: With everything that is wrong in the binding.
    """
    return _key_of(parse_configuration(binding.kind, dict(binding.config)))


def _key_of(configuration: AnyConfiguration) -> tuple[str, ...]:
    return () if isinstance(configuration, FilesConfiguration) else configuration.lookup_key


def _question(
    configuration: AnyConfiguration, system: RegisteredSystem, secrets: Secrets, columns: Sequence[str]
) -> Question:
    if isinstance(configuration, SqlConfiguration):
        return SqlQuestion(
            configuration,
            _sql_endpoint(configuration, system),
            secrets.resolve(configuration.password),
            system_id=system.system_id,
            columns=columns,
        )
    if isinstance(configuration, FhirConfiguration):
        manner = Manner.live(configuration)
        return FhirQuestion(_fhir_service(configuration, system, secrets, manner), columns=columns)
    if isinstance(configuration, RestConfiguration):
        manner = Manner.live(configuration)
        return RestQuestion(_rest_service(configuration, system, secrets, manner), columns=columns)
    raise ConfigurationInvalid([f"a system of kind {configuration.kind} cannot be asked live"])


def _configuration(binding: Binding, system: RegisteredSystem) -> AnyConfiguration:
    if binding.system_id != system.system_id:
        raise ConfigurationInvalid(["the system given is not the one that the contract names"])
    return parse_configuration(binding.kind, dict(binding.config))


def _sql_endpoint(configuration: SqlConfiguration, system: RegisteredSystem) -> SqlEndpoint:
    return SqlEndpoint.parse(
        system.endpoint_url,
        ca_pem=system.ca_certificate_pem,
        negotiation=configuration.negotiation,
        timeout=configuration.connect_timeout_seconds,
    )


def _folder(
    configuration: FilesConfiguration, system: RegisteredSystem, secrets: Secrets, drops: Path | None
) -> Folder:
    if configuration.transport == "local":
        return LocalFolder(drops, configuration.folder)
    from connectors.files_sftp import Login, SftpEndpoint, SftpFolder

    password, private_key = (
        secrets.resolve(reference) if reference else None
        for reference in (configuration.password, configuration.private_key)
    )
    return SftpFolder(
        SftpEndpoint.parse(system.endpoint_url, system.ca_certificate_pem, configuration.host_keys),
        Login(configuration.username or "", password, private_key),
        configuration.folder,
        connect_timeout=configuration.connect_timeout_seconds,
        timeout=configuration.timeout_seconds,
    )


def _rest_service(
    configuration: RestConfiguration, system: RegisteredSystem, secrets: Secrets, manner: Manner | None = None
) -> RestService:
    return RestService.open(
        configuration,
        system_id=system.system_id,
        address=system.endpoint_url,
        ca_pem=system.ca_certificate_pem,
        client_id=secrets.resolve(configuration.client_id),
        client_secret=secrets.resolve(configuration.client_secret),
        manner=manner,
    )


def _fhir_service(
    configuration: FhirConfiguration, system: RegisteredSystem, secrets: Secrets, manner: Manner | None = None
) -> FhirService:
    return FhirService.open(
        configuration,
        system_id=system.system_id,
        address=system.endpoint_url,
        ca_pem=system.ca_certificate_pem,
        client_id=secrets.resolve(configuration.client_id),
        client_secret=secrets.resolve(configuration.client_secret),
        manner=manner,
    )
