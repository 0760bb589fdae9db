"""How a contract says where its data comes from: one model per kind of connector, told apart by `kind`.

Addresses are not here: the operator registers the system and its address, a contract only names it. Secrets
are references into the agency's own namespace, never values.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from connectors.errors import ConfigurationInvalid

_NAME = r"^[^\x00-\x1f\"]{1,63}$"
Name = Annotated[str, Field(pattern=_NAME)]
UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=200)]
JsonPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$", max_length=100)]
LookupKey = Annotated[tuple[Name, ...], Field(max_length=4)]
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


ConnectorConfiguration = Annotated[SqlConfiguration | RestConfiguration, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[SqlConfiguration | RestConfiguration] = TypeAdapter(ConnectorConfiguration)


def parse_configuration(kind: str, values: dict[str, object]) -> SqlConfiguration | RestConfiguration:
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
