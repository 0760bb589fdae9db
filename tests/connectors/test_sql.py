from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from connectors import CheckStep, Source, Window
from connectors.errors import (
    ColumnsMissing,
    ConfigurationInvalid,
    DatasetMissing,
    KeyNotSelective,
    PageTooLarge,
    SourceBusy,
    SourceInterrupted,
)
from connectors.registry import open_source
from foundation.errors import LintasError
from foundation.http_errors import AccessRefused, AgencyUnreachable, LoginRefused, TlsRefused
from sandbox.agencies import PracticeAgencies
from sandbox.mutations import RegistryMutations
from tests.connectors.conformance import pages_of, rows_of
from tests.connectors.conftest import SQL, Binding, Opener, Registered

HOSTILE = """
CREATE TABLE "hostile 100%s 😀" (
    id integer PRIMARY KEY, "1st name" text, "per%cent" varchar(40), "semi;colon" char(4), big bigint,
    small smallint, real8 double precision, price numeric(12,2), any_number numeric, yes boolean, day date,
    moment timestamptz, local timestamp, raw bytea, doc jsonb, tags text[], took interval, id4 uuid
);
GRANT SELECT ON "hostile 100%s 😀" TO lintas_reader;
"""
ODD_TEXT = [
    "",
    " ",
    "\\N",
    "\\.",
    "NULL",
    '"',
    '""',
    ",",
    "a\nb",
    "a\r\nb",
    "\r",
    "é😀\u202e",
    "0000123",
    "1e5",
    "%s",
]


QUOTED = '"hostile 100%%s 😀"'
LOCAL = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the source has no time zone here


@pytest.fixture
def hostile(agencies: PracticeAgencies) -> Iterator[str]:
    with agencies.registry.administrator() as connection:
        connection.execute(HOSTILE.encode())
    yield "hostile 100%s 😀"
    with agencies.registry.administrator() as connection:
        connection.execute('DROP TABLE "hostile 100%s 😀"')


@pytest.fixture
def table(agencies: PracticeAgencies) -> Iterator[str]:
    """A table without any rule: keys and moments may be missing or shared."""
    with agencies.registry.administrator() as connection:
        connection.execute("CREATE TABLE loose (k text, changed timestamptz, n integer)")
        connection.execute("GRANT SELECT ON loose TO lintas_reader")
    yield "loose"
    with agencies.registry.administrator() as connection:
        connection.execute("DROP TABLE loose")


def loose(opener: Opener, **changes: object) -> Source:
    settings = {"table": "loose", "key": ["k"], "changed_at": "changed", **changes}
    return opener.sql(columns=("n",), **settings)


def failed(steps: list[CheckStep]) -> list[CheckStep]:
    return [step for step in steps if not step.ok and not step.skipped]


def test_cells_keep_the_types_that_the_source_declares(
    hostile: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute(
            f"INSERT INTO {QUOTED} VALUES ({', '.join(['%s'] * 18)})".encode(),
            (
                1, "00123", "3576021505900001", "ab", 2**62, -7, 0.1, Decimal("12.50"), Decimal("1.5"), True,
                date(1990, 5, 15), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), LOCAL, b"\x00\xff",
                '{"a": 1}', ["x", "y"], timedelta(hours=1), "12345678-1234-5678-1234-567812345678",
            ),
        )  # fmt: skip
        connection.execute(f'INSERT INTO "{hostile}" (id) VALUES (2)'.encode())
    frame = rows_of(pages_of(opener.sql(columns=(), table=hostile, key=["id"], changed_at=None)))
    assert frame.schema == pl.Schema(
        {
            "id": pl.Int32, "1st name": pl.String, "per%cent": pl.String, "semi;colon": pl.String,
            "big": pl.Int64, "small": pl.Int16, "real8": pl.Float64, "price": pl.Decimal(12, 2),
            "any_number": pl.Decimal(38, 18), "yes": pl.Boolean, "day": pl.Date,
            "moment": pl.Datetime("us", "UTC"), "local": pl.Datetime("us"),
            "raw": pl.Binary, "doc": pl.String, "tags": pl.String, "took": pl.String, "id4": pl.String,
        }
    )  # fmt: skip
    assert frame.row(0) == (
        1, "00123", "3576021505900001", "ab  ", 2**62, -7, 0.1, Decimal("12.50"), Decimal("1.5"), True,
        date(1990, 5, 15), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), LOCAL, b"\x00\xff",
        '{"a": 1}', "{x,y}", "01:00:00", "12345678-1234-5678-1234-567812345678",
    )  # fmt: skip
    assert frame.row(1)[1:] == (None,) * 17


def test_odd_text_arrives_as_it_is(hostile: str, opener: Opener, agencies: PracticeAgencies) -> None:
    with agencies.registry.administrator() as connection, connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {QUOTED} (id, "1st name") VALUES (%s, %s)'.encode(),
            [*enumerate(ODD_TEXT), (999, None)],
        )
    source = opener.sql(columns=("1st name",), table=hostile, key=["id"], changed_at=None, page_rows=4)
    assert rows_of(pages_of(source))["1st name"].to_list() == [*ODD_TEXT, None]


def test_days_that_no_other_tool_can_hold_arrive_as_the_nearest(
    hostile: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        for row, text in enumerate(["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"]):
            moment = "infinity" if text.startswith("5874") else text
            connection.execute(
                f"INSERT INTO {QUOTED} (id, day, moment, local) VALUES (%s, %s::date, %s, %s)".encode(),
                (row, text, moment, moment),
            )
    columns = ("day", "moment", "local")
    frame = rows_of(pages_of(opener.sql(columns=columns, table=hostile, key=["id"], changed_at=None)))
    assert frame["day"].dt.year().to_list() == [9999, 1, 1, 9999]
    assert frame["moment"].dt.year().to_list() == [9999, 1, 1, 9999]
    assert frame["local"].dt.year().to_list() == [9999, 1, 1, 9999]


def test_a_number_that_no_column_can_hold_is_named_without_its_value(
    hostile: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute(
            f'INSERT INTO "{hostile}" (id, any_number) VALUES (1, 3576021505900001e40)'.encode()
        )
    with pytest.raises(LintasError) as caught:
        pages_of(opener.sql(columns=("any_number",), table=hostile, key=["id"], changed_at=None))
    assert caught.value.code == "page-unreadable"
    assert "3576021505900001" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_rows_that_share_a_moment_are_not_lost_between_pages(
    table: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute(
            "INSERT INTO loose SELECT 'k' || (g / 3), '2026-01-01', g FROM generate_series(0, 99) g"
        )
    for size in (4, 7, 50):
        for window in (Window(), Window(since=datetime(2025, 1, 1, tzinfo=UTC))):
            rows = rows_of(pages_of(loose(opener, page_rows=size), window))
            assert sorted(rows["n"]) == list(range(100))


def test_rows_without_key_or_moment_are_not_lost(
    table: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute(
            "INSERT INTO loose SELECT nullif('k' || (g %% 7), 'k3'),"
            " CASE WHEN g %% 5 = 0 THEN NULL ELSE '2026-01-01'::timestamptz + g * interval '1 s' END, g"
            " FROM generate_series(0, 59) g",
            (),
        )
    for window in (Window(), Window(since=datetime(2025, 1, 1, tzinfo=UTC))):
        rows = rows_of(pages_of(loose(opener, page_rows=11), window))
        assert sorted(rows["n"]) == list(range(60))


def test_a_key_that_names_too_many_rows_is_refused_with_the_way_out(
    table: str, opener: Opener, agencies: PracticeAgencies
) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute("INSERT INTO loose SELECT 'same', now(), g FROM generate_series(0, 99) g")
    with pytest.raises(KeyNotSelective) as caught:
        pages_of(loose(opener, page_rows=5))
    assert "key" in caught.value.remedy
    assert caught.value.attributes["page"] == 0


def test_slices_divide_the_table_without_losing_rows(opener: Opener, agencies: PracticeAgencies) -> None:
    source = opener.sql(slice_bounds=["3576020000000000", "3576030000000000"], page_rows=400)
    slices = source.slices(Window())
    assert [slice.slice_id for slice in slices] == ["part-001", "part-002", "part-003"]
    parts = [rows_of(list(source.read(slice))) for slice in slices]
    assert all(part.height for part in parts)
    assert sum(part.height for part in parts) == agencies.population.persons.height
    assert parts[2]["nik"].null_count() == agencies.population.persons["nik"].null_count()


def test_a_token_of_one_slice_does_not_fit_another(opener: Opener) -> None:
    source = opener.sql(slice_bounds=["3576020000000000"], page_rows=100)
    first, second = source.slices(Window())
    token = next(source.read(first)).token
    with pytest.raises(LintasError) as caught:
        next(source.read(second, token))
    assert caught.value.code == "token-not-ours"
    assert caught.value.attributes["slice_id"] == "part-002"


def test_changes_begin_a_little_early_and_end_before_the_run_began(
    opener: Opener, changing: PracticeAgencies
) -> None:
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    with changing.registry.administrator() as connection:
        for minutes, name in ((-11, "TOO EARLY"), (-9, "LATE COMMIT"), (1, "CHANGED"), (61, "NEXT RUN")):
            connection.execute(
                "INSERT INTO biodata_wni (nik, nama_lgkp, last_sync) VALUES (%s, %s, %s)",
                (f"x{minutes}", name, moment + timedelta(minutes=minutes)),
            )
    window = Window(since=moment, until=moment + timedelta(hours=1))
    names = rows_of(pages_of(opener.sql(overlap_seconds=600), window))["nama_lgkp"].to_list()
    assert names == ["LATE COMMIT", "CHANGED"]


def test_a_source_cannot_be_written_to(opener: Opener, changing: PracticeAgencies) -> None:
    with changing.registry.administrator() as connection:
        connection.execute("GRANT ALL ON biodata_wni TO lintas_reader")
    source = opener.sql()
    with pytest.raises(LintasError), source.database.reading("biodata_wni") as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DELETE FROM biodata_wni")
    assert rows_of(pages_of(source)).height == changing.population.persons.height


def test_a_page_that_takes_too_long_is_cancelled_at_the_source(
    opener: Opener, changing: PracticeAgencies
) -> None:
    with changing.registry.administrator() as connection:
        connection.execute("CREATE VIEW slow AS SELECT nik, pg_sleep(0.5)::text AS nap FROM biodata_wni")
        connection.execute("GRANT SELECT ON slow TO lintas_reader")
    source = opener.sql(table="slow", columns=(), changed_at=None, statement_timeout_seconds=1)
    try:
        with pytest.raises(SourceBusy):
            pages_of(source)
    finally:
        source.close()
        with changing.registry.administrator() as connection:
            connection.execute("DROP VIEW slow")


def test_a_page_beyond_its_size_is_refused(opener: Opener, table: str, agencies: PracticeAgencies) -> None:
    with agencies.registry.administrator() as connection:
        connection.execute(
            "INSERT INTO loose SELECT repeat('x', 99999) || g, now(), g FROM generate_series(0, 20) g"
        )
    with pytest.raises(PageTooLarge):
        pages_of(loose(opener, page_megabytes=1))


def test_a_cut_line_is_named_and_reading_goes_on_after_the_last_page(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    source = opener.sql(page_rows=500)
    (slice,) = source.slices(Window())
    reading = source.read(slice)
    landed = [next(reading), next(reading)]
    agencies.registry.cut_connections()
    agencies.registry.hang_up()
    try:
        with pytest.raises((AgencyUnreachable, SourceInterrupted)) as caught:
            next(reading)
    finally:
        agencies.registry.listen()
    assert caught.value.attributes["page"] == 2
    rest = list(opener.sql(page_rows=500).read(slice, landed[-1].token))
    assert rows_of([*landed, *rest]).height == agencies.population.persons.height


def test_a_short_cut_is_bridged_by_the_next_page(opener: Opener, agencies: PracticeAgencies) -> None:
    source = opener.sql(page_rows=500)
    reading = source.read(source.slices(Window())[0])
    pages = [next(reading)]
    agencies.registry.cut_connections()
    assert rows_of([*pages, *reading]).height == agencies.population.persons.height


def test_a_changed_password_is_named_and_never_shown(opener: Opener, changing: PracticeAgencies) -> None:
    old = changing.registry.password
    source = opener.sql()
    changing.registry.change_password()
    with pytest.raises(LoginRefused) as caught:
        pages_of(source)
    assert old not in str(caught.value.as_dict())
    (step,) = failed(source.check())
    assert step.name == "authenticate"
    assert "password" in step.remedy
    assert pages_of(opener.sql())


def test_an_agency_that_is_down_is_named_by_the_step(opener: Opener, agencies: PracticeAgencies) -> None:
    source = opener.sql(connect_timeout_seconds=3)
    agencies.registry.hang_up()
    try:
        steps = source.check()
        with pytest.raises(AgencyUnreachable):
            pages_of(source)
    finally:
        agencies.registry.listen()
    assert [step.name for step in failed(steps)] == ["connect"]
    assert [step.skipped for step in steps[2:]] == [True] * len(steps[2:])


def registered(opener: Opener, **changes: str | None) -> Source:
    known = opener.registered("siak")
    system = Registered(
        "siak", changes.get("url") or known.endpoint_url, changes.get("ca", known.ca_certificate_pem)
    )
    source = open_source(Binding("sql", "siak", dict(SQL)), system, opener.secrets())
    opener.opened.append(source)
    return source


def test_a_certificate_of_another_authority_is_not_trusted(opener: Opener) -> None:
    source = registered(opener, ca=None)
    (step,) = failed(source.check())
    assert step.name == "tls"
    with pytest.raises(TlsRefused):
        pages_of(source)


def test_a_certificate_for_another_name_is_not_trusted(opener: Opener, agencies: PracticeAgencies) -> None:
    other = f"postgresql://127.0.0.1.nip:{agencies.registry.port}/siak"
    source = registered(opener, url=other.replace("127.0.0.1.nip", "127.1"))
    (step,) = failed(source.check())
    assert step.name == "tls"


def test_an_unknown_host_is_named(opener: Opener) -> None:
    source = registered(opener, url="postgresql://siak.invalid:5432/siak")
    (step,) = failed(source.check())
    assert (step.name, "siak.invalid" in step.detail) == ("resolve", True)
    with pytest.raises(AgencyUnreachable):
        pages_of(source)


def test_an_unknown_database_is_named(opener: Opener, agencies: PracticeAgencies) -> None:
    source = registered(opener, url=f"postgresql://localhost:{agencies.registry.port}/siak2")
    with pytest.raises(DatasetMissing):
        pages_of(source)


def test_an_unknown_table_is_named(opener: Opener) -> None:
    source = opener.sql(table="biodata_wna")
    with pytest.raises(DatasetMissing) as caught:
        pages_of(source)
    assert "biodata_wna" in caught.value.what
    (step,) = failed(source.check())
    assert step.name == "list"


def test_a_table_that_is_dropped_while_it_is_read_is_named(
    opener: Opener, changing: PracticeAgencies
) -> None:
    source = opener.sql(page_rows=500)
    reading = source.read(source.slices(Window())[0])
    next(reading)
    RegistryMutations(changing.registry).drop_table()
    with pytest.raises(DatasetMissing) as caught:
        next(reading)
    assert caught.value.attributes["page"] == 1


def test_a_renamed_column_is_named_with_the_closest(opener: Opener, changing: PracticeAgencies) -> None:
    RegistryMutations(changing.registry).rename_column(old="nama_lgkp", new="nama_lengkap")
    source = opener.sql()
    with pytest.raises(ColumnsMissing) as caught:
        pages_of(source)
    assert caught.value.attributes["closest"] == {"nama_lgkp": "nama_lengkap"}
    (step,) = failed(source.check())
    assert step.name == "schema"


def test_a_revoked_right_is_named_with_the_grant(opener: Opener, changing: PracticeAgencies) -> None:
    RegistryMutations(changing.registry).revoke()
    source = opener.sql()
    with pytest.raises(AccessRefused) as caught:
        pages_of(source)
    assert "GRANT SELECT" in caught.value.remedy
    (step,) = failed(source.check())
    assert step.name == "authorise"


@pytest.mark.parametrize(
    "url",
    [None, "", "nonsense", "postgresql://lintas:secret@localhost/siak", "postgresql:///siak", "mysql://localhost/siak",
     "postgresql://localhost/siak?sslmode=disable", "sqlite:////etc/siak.db", "sqlite://localhost/siak.db",
     "sqlite://"],
)  # fmt: skip
def test_an_address_that_is_none_or_carries_a_secret_is_refused(opener: Opener, url: str | None) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        open_source(Binding("sql", "siak", dict(SQL)), Registered("siak", url, None), opener.secrets())
    assert "secret@" not in str(caught.value)
