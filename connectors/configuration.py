"""How a contract says where its data comes from: one model per kind of connector, told apart by `kind`.

Addresses are not here: the operator registers the system and its address, a contract only names it. Secrets
are references into the agency's own namespace, never values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from connectors.errors import ConfigurationInvalid
from connectors.fhir_paths import path_problems

_NAME = r"^[^\x00-\x1f\"]{1,63}$"
Name = Annotated[str, Field(pattern=_NAME)]
UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=200)]
JsonPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$", max_length=100)]
LookupKey = Annotated[tuple[Name, ...], Field(max_length=4)]
FolderPath = Annotated[str, Field(pattern=r"^[^\x00-\x1f\\]{1,300}$")]
FileGlob = Annotated[str, Field(pattern=r"^[^\x00-\x1f/\\]{1,120}$")]
Fingerprint = Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
SearchParameter = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_:.-]{0,63}$")]
_SEARCH_VALUE = r"^[^\x00-\x1f]{0,200}$"
#: Parts of a search stand in addresses, where no number of anybody may.
_SOMEBODYS_NUMBER = re.compile(r"[0-9]{6}")
_OUR_PARAMETERS = frozenset(
    {"_count", "_lastUpdated", "_format", "_summary", "_elements", "_include", "_revinclude"}
)
Reference = Annotated[str, Field(pattern=r"^(env|file|airflow|vault):.+$", max_length=300)]


class _Configuration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SqlConfiguration(_Configuration):
    """A table or view of a SQL database.

    Attributes:
        kind: Always `sql`.
        table: The table or view, with its schema where it is not the account's own (`public.biodata_wni`).
        key: Columns that name a row; pages are cut between keys, so rows of one key stay together.
        changed_at: Column with the moment of a row's last change; without it every run reads everything.
        username: The reading account.
        password: Reference to its password.
        negotiation: `direct` for servers that begin with TLS at once (PostgreSQL 17), else `postgres`.
        page_rows: Rows of a page.
        page_megabytes: Most that a page may hold before the source is refused.
        statement_timeout_seconds: Longest that one page may take at the source.
        connect_timeout_seconds: Longest that a connection may take.
        overlap_seconds: How far before the window's begin reading starts, for changes committed late.
        slice_bounds: Values of the first key column at which the table is divided into slices.
        lookup_key: Columns that a live question carries, if the table may be asked live.
    """

    kind: Literal["sql"] = "sql"
    table: Annotated[str, Field(pattern=r"^[^\x00-\x1f\".]{1,63}(\.[^\x00-\x1f\".]{1,63})?$")]
    key: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    changed_at: Name | None = None
    username: Name
    password: Reference
    negotiation: Literal["direct", "postgres"] = "postgres"
    page_rows: Annotated[int, Field(ge=1, le=200_000)] = 20_000
    page_megabytes: Annotated[int, Field(ge=1, le=512)] = 64
    statement_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    connect_timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 10
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 600
    slice_bounds: Annotated[tuple[str, ...], Field(max_length=256)] = ()
    lookup_key: LookupKey = ()

    @model_validator(mode="after")
    def _bounds_ascend(self) -> SqlConfiguration:
        if list(self.slice_bounds) != sorted(set(self.slice_bounds)):
            raise ValueError("slice_bounds must ascend, each once")
        return self


class RestConfiguration(_Configuration):
    """A collection of a REST service, read in cursor pages with OAuth 2 client credentials.

    Attributes:
        kind: Always `rest`.
        path: UrlPath of the collection below the system's address.
        records_at: Where the page's records stand in the reply (`data`, `result.items`).
        next_cursor_at: Where the cursor of the next page stands; null or missing ends the reading.
        total_at: Where the number of all records stands, if the service tells it; it is then checked.
        cursor_parameter: Query parameter that takes the cursor.
        limit_parameter: Query parameter that takes the size of a page, if there is one.
        changed_since_parameter: Query parameter that takes the begin of the window, if there is one.
        page_rows: Records of a page.
        page_megabytes: Most that a page may hold before the source is refused.
        omits_nulls: Whether the service leaves out fields without a value; a missing column is then null.
        token_path: UrlPath of the token endpoint below the system's address.
        client_id: Reference to the client's identifier.
        client_secret: Reference to the client's secret.
        scope: Scope to ask for.
        lookup_path: UrlPath to which the key of one record is posted, if the service answers live.
        lookup_key: Fields that such a question carries.
        overlap_seconds: How far before the window's begin reading starts, for changes committed late.
        timeout_seconds: Longest that one reply may take.
    """

    kind: Literal["rest"] = "rest"
    path: UrlPath
    records_at: JsonPath = "data"
    next_cursor_at: JsonPath = "next_cursor"
    total_at: JsonPath | None = None
    cursor_parameter: Name = "cursor"
    limit_parameter: Name | None = "limit"
    changed_since_parameter: Name | None = None
    page_rows: Annotated[int, Field(ge=1, le=50_000)] = 500
    page_megabytes: Annotated[int, Field(ge=1, le=256)] = 16
    omits_nulls: bool = False
    token_path: UrlPath = "/oauth/token"  # noqa: S105 - a path, not a secret
    client_id: Reference
    client_secret: Reference
    scope: str = ""
    lookup_path: UrlPath | None = None
    lookup_key: LookupKey = ()
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 600
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0

    @model_validator(mode="after")
    def _lookup_is_whole(self) -> RestConfiguration:
        if bool(self.lookup_path) != bool(self.lookup_key):
            raise ValueError("lookup_path and lookup_key belong together")
        return self


class FilesConfiguration(_Configuration):
    """Files that an agency drops into a folder, over SFTP or on this machine.

    Attributes:
        kind: Always `files`.
        transport: `sftp`, or `local` for a folder below the one that the operator set aside.
        folder: Where the files are dropped.
        pattern: Which of the folder's files belong to the dataset (`nib_*.csv`); `*`, `?` and `[…]`.
        files: `newest` when the newest file is the whole, `all` when every file is a part of it.
        format: How the files are written; a name that ends with `.gz` is unpacked first.
        delimiter: What stands between the cells of a CSV file.
        encoding: How a CSV or JSON Lines file is written; declared, never guessed.
        sheet: The sheet of a workbook; without it there must be exactly one that is visible.
        header_row: The row with the names of the columns, as a person counts.
        first_row: The first row of data, where it is not the one below the header.
        omits_nulls: Whether JSON Lines leave out fields without a value; a missing column is then null.
        manifest: Which files list checksums (`*.sha256`); a file that no list names is left alone.
        settle_seconds: How long a file must rest before it is taken for complete, where no list says so.
        host_keys: Fingerprints (`SHA256:…`) of the server's keys, beside those registered with the system.
        username: The account on the SFTP server.
        password: Reference to its password.
        private_key: Reference to its private key, in OpenSSH's format and without a passphrase.
        page_rows: Rows of a page.
        page_megabytes: Most that a page may hold; a larger one is divided.
        file_megabytes: Most that a file may hold.
        unpacked_megabytes: Most that a file may hold when it is unpacked.
        overlap_seconds: How far before the window's begin reading starts, for files completed late.
        connect_timeout_seconds: Longest that a login may take.
        timeout_seconds: Longest that one reply of the server may take.
    """

    kind: Literal["files"] = "files"
    transport: Literal["sftp", "local"] = "sftp"
    folder: FolderPath
    pattern: FileGlob
    files: Literal["newest", "all"] = "newest"
    format: Literal["csv", "xlsx", "jsonl", "parquet"]
    delimiter: Annotated[str, Field(pattern=r"^[,;|\t:~^]$")] = ","
    encoding: Literal["utf-8", "windows-1252"] = "utf-8"
    sheet: Annotated[str, Field(min_length=1, max_length=31)] | None = None
    header_row: Annotated[int, Field(ge=1, le=1_000)] = 1
    first_row: Annotated[int, Field(ge=2, le=2_000)] | None = None
    omits_nulls: bool = False
    manifest: FileGlob | None = None
    settle_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    host_keys: Annotated[tuple[Fingerprint, ...], Field(max_length=8)] = ()
    username: Name | None = None
    password: Reference | None = None
    private_key: Reference | None = None
    page_rows: Annotated[int, Field(ge=1, le=200_000)] = 20_000
    page_megabytes: Annotated[int, Field(ge=1, le=512)] = 64
    file_megabytes: Annotated[int, Field(ge=1, le=65_536)] = 1_024
    unpacked_megabytes: Annotated[int, Field(ge=1, le=262_144)] = 1_024
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 600
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0

    @property
    def data_row(self) -> int:
        """The first row of data, as a person counts."""
        return self.first_row or self.header_row + 1

    @model_validator(mode="after")
    def _is_whole(self) -> FilesConfiguration:
        logins = [self.password, self.private_key]
        if self.transport == "sftp" and (self.username is None or logins.count(None) != 1):
            raise ValueError("an SFTP server needs a username and either a password or a private_key")
        if self.transport == "local" and (self.username or self.host_keys or any(logins)):
            raise ValueError("a local folder has no username, password, private_key or host_keys")
        if ".." in self.folder.split("/"):
            raise ValueError("folder must not lead upwards (`..`)")
        if self.data_row <= self.header_row:
            raise ValueError("first_row must come after header_row")
        if self.overlap_seconds < self.settle_seconds and not self.manifest:
            raise ValueError("overlap_seconds must not be shorter than settle_seconds")
        return self


class FhirLookupKey(_Configuration):
    """How a column is asked for in a FHIR search.

    Attributes:
        parameter: The search parameter (`identifier`, `patient:identifier`, `subscriber-id`).
        system: The system of the identifiers that the column holds, where the parameter takes one.
    """

    parameter: Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_:.-]{0,63}$")]
    system: Annotated[str, Field(pattern=r"^[a-z]+:[^\s|,$\\]{1,200}$")] | None = None


class FhirConfiguration(_Configuration):
    """Resources of one type on a FHIR server, searched page by page with OAuth 2 client credentials.

    Attributes:
        kind: Always `fhir`.
        base_path: UrlPath of the FHIR server below the system's address.
        fhir_version: The version that is agreed; resources of another are refused.
        resource: Type of the resources (`Patient`).
        search: Further parameters of every search that reads pages; they stand in addresses, so no values.
        columns: For each column the path at which a resource holds it.
        changes: Whether the server can be asked for what changed (`_lastUpdated`).
        page_size: Resources of a page (`_count`).
        page_megabytes: Most that a page may hold before the source is refused.
        token_path: UrlPath of the token endpoint below the system's address.
        grant_type_in_url: Whether the token endpoint wants the grant type in its address (SATUSEHAT does).
        client_id: Reference to the client's identifier.
        client_secret: Reference to the client's secret.
        scope: Scope to ask for.
        login_pause_seconds: How long nobody tries again after a login was refused.
        lookup: For each column that a live question carries, how it is asked for.
        names_elements: Whether live questions name the elements that are needed (`_elements`); false where
            the server refuses that, and the rest is left behind here.
        overlap_seconds: How far before the window's begin reading starts, for changes written down late.
        timeout_seconds: Longest that one reply may take.
    """

    kind: Literal["fhir"] = "fhir"
    base_path: UrlPath
    fhir_version: Literal["4.0", "4.3"] = "4.0"
    resource: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,63}$")]
    search: Mapping[SearchParameter, Annotated[str, Field(pattern=_SEARCH_VALUE)]] = {}
    columns: Annotated[Mapping[Name, str], Field(min_length=1, max_length=200)]
    changes: bool = True
    page_size: Annotated[int, Field(ge=1, le=5_000)] = 500
    page_megabytes: Annotated[int, Field(ge=1, le=256)] = 32
    token_path: UrlPath = "/oauth2/v1/accesstoken"  # noqa: S105 - a path, not a secret
    grant_type_in_url: bool = False
    client_id: Reference
    client_secret: Reference
    scope: str = ""
    login_pause_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    lookup: Annotated[Mapping[Name, FhirLookupKey], Field(max_length=4)] = {}
    names_elements: bool = True
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 600
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0

    @property
    def lookup_key(self) -> LookupKey:
        """Columns that a live question carries."""
        return tuple(self.lookup)

    @model_validator(mode="after")
    def _paths_can_be_read(self) -> FhirConfiguration:
        problems = [problem for name, path in self.columns.items() for problem in path_problems(name, path)]
        problems += [f"lookup names no column: {name}" for name in self.lookup if name not in self.columns]
        problems += [
            f"search.{name} is the bus's own to set" for name in self.search if name in _OUR_PARAMETERS
        ]
        problems += [
            f"search.{name} holds a number; addresses never do"
            for name, value in self.search.items()
            if _SOMEBODYS_NUMBER.search(value)
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


AnyConfiguration = SqlConfiguration | RestConfiguration | FilesConfiguration | FhirConfiguration
ConnectorConfiguration = Annotated[AnyConfiguration, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[AnyConfiguration] = TypeAdapter(ConnectorConfiguration)


def parse_configuration(kind: str, values: dict[str, object]) -> AnyConfiguration:
    """Read the connector's part of a contract.

    Raises:
        ConfigurationInvalid: With every problem at once, each with its field; no value is repeated.
    """
    try:
        return _ADAPTER.validate_python({**values, "kind": kind})
    except ValidationError as error:
        problems = tuple(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise ConfigurationInvalid(problems) from None
