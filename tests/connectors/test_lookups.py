from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from connectors import Lookup, Window, fhir_lookup, sql_lookup
from connectors.errors import KeyNotSelective, LookupTimedOut, PageUnreadable, Place
from connectors.lookups import LONGEST_ANSWER_ROWS, TimedLookup, breaker_of
from connectors.registry import lookup_key, open_lookup
from foundation.errors import FixSource, RetryLater
from foundation.http import AgencyFailing, CircuitBreaker, CircuitOpen, RateLimited
from sandbox import FIXED
from sandbox.agencies import PracticeAgencies
from sandbox.faults import FaultKind
from sandbox.health_faults import FhirFault
from tests.connectors.conformance import rows_of
from tests.connectors.conftest import COVERAGE, FHIR, REST, SQL, TAX_COLUMNS, Binding, Opener

SOON = timedelta(seconds=10)
PERSON_LOOKUP = {**SQL, "lookup_key": ["nik"]}
KINDS: dict[str, tuple[str, dict[str, object], str]] = {
    "sql": ("siak", PERSON_LOOKUP, "nik"),
    "rest": ("kswp", REST, "npwp16"),
    "fhir": ("satusehat", FHIR, "nik"),
}
OF_TAX = {"columns": TAX_COLUMNS}


@pytest.fixture(autouse=True)
def closed_circuits(agencies: PracticeAgencies) -> Iterator[None]:
    """A test that fails here does not take the next ones with it."""
    yield
    for system, address in agencies.endpoints.items():
        breaker_of(system, address).succeeded()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asking(opener: Opener, kind: str) -> Lookup:
    system, config, _ = KINDS[kind]
    return opener.ask(kind, system, config, **(OF_TAX if kind == "rest" else {}))


def column(kind: str) -> str:
    return KINDS[kind][2]


def test_a_lookup_is_one_and_names_its_key(opener: Opener, kind: str) -> None:
    lookup = asking(opener, kind)
    system, config, name = KINDS[kind]
    assert isinstance(lookup, Lookup)
    assert tuple(lookup.key) == lookup_key(Binding(kind, system, config)) == (name,)


def test_it_finds_the_rows_of_the_key(opener: Opener, kind: str) -> None:
    found = asking(opener, kind).find({column(kind): FIXED.verified.nik}, SOON)
    assert found.height >= 1
    assert set(found[column(kind)]) == {FIXED.verified.nik}


def test_nobody_is_an_empty_answer(opener: Opener, kind: str) -> None:
    assert asking(opener, kind).find({column(kind): "3576010101000000"}, SOON).height == 0


@pytest.mark.parametrize(
    "hostile", ["' OR 1=1 --", "%", "*", "x,y", "a|b", "\\", "3576%20", "&_count=1000", "🚀", "=cmd()", "a;b"]
)
def test_a_hostile_value_names_nobody(opener: Opener, kind: str, hostile: str) -> None:
    assert asking(opener, kind).find({column(kind): hostile}, SOON).height == 0


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\x00b", 7, None])
def test_what_is_no_text_is_never_asked_for(opener: Opener, kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=column(kind)) as caught:
        asking(opener, kind).find({column(kind): value}, SOON)  # type: ignore[dict-item]
    assert "x" * 201 not in str(caught.value)


def test_it_takes_exactly_its_key(opener: Opener, kind: str) -> None:
    for key in ({}, {"other": "1"}, {column(kind): "1", "other": "1"}):
        with pytest.raises(ValueError, match=column(kind)):
            asking(opener, kind).find(key, SOON)


def test_a_spent_budget_asks_nobody(opener: Opener, kind: str) -> None:
    with pytest.raises(LookupTimedOut):
        asking(opener, kind).find({column(kind): FIXED.verified.nik}, timedelta(0))


@pytest.fixture
def asked_before(opener: Opener, kind: str) -> None:
    """The practice servers live in this process: what they open at a first question is theirs to keep."""
    ask_once(opener, kind)


@pytest.mark.usefixtures("asked_before", "no_leaks")
def test_nothing_stays_open(opener: Opener, kind: str) -> None:
    ask_once(opener, kind)


def ask_once(opener: Opener, kind: str) -> None:
    lookup = asking(opener, kind)
    lookup.find({column(kind): FIXED.verified.nik}, SOON)
    lookup.close()


#: What is needed of each, in another order than the source's own.
NEEDED = {"sql": ("tgl_lhr", "nik"), "rest": ("status_kswp", "npwp16"), "fhir": ("birth_date", "nik")}


def test_only_what_is_needed_goes_further_than_the_connector(opener: Opener, kind: str) -> None:
    lookup, key = asking(opener, kind), {column(kind): FIXED.verified.nik}
    whole, narrow = lookup.find(key, SOON), lookup.find(key, SOON, columns=NEEDED[kind])
    assert set(narrow.columns) == set(NEEDED[kind]) < set(whole.columns)
    assert narrow.equals(whole.select(narrow.columns))
    nobody = lookup.find({column(kind): "3576010101000000"}, SOON, columns=NEEDED[kind])
    assert set(nobody.columns) <= set(NEEDED[kind])


def test_a_statement_names_only_the_columns_that_are_needed(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[list[str]] = []
    read = sql_lookup.read_few

    def noting(connection: Any, statement: Any, columns: Sequence[Any], megabytes: int) -> pl.DataFrame:
        named.append([each.name for each in columns])
        return read(connection, statement, columns, megabytes)

    monkeypatch.setattr(sql_lookup, "read_few", noting)
    lookup = opener.ask("sql", "siak", PERSON_LOOKUP)
    lookup.find({"nik": FIXED.verified.nik}, SOON, columns=("nik", "tgl_lhr"))
    assert [sorted(each) for each in named] == [["nik", "tgl_lhr"]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The resources that the health office sent."""
    found: list[dict[str, object]] = []
    read = fhir_lookup.read_bundle

    def noting(document: Mapping[str, object], *rest: object, **options: object) -> object:
        found.extend(entry["resource"] for entry in document.get("entry", []))  # type: ignore[attr-defined]
        return read(document, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fhir_lookup, "read_bundle", noting)
    return found


def test_a_fhir_server_is_asked_only_for_the_elements_that_are_needed(
    opener: Opener, sent: list[dict[str, object]]
) -> None:
    key = {"nik": FIXED.verified.nik}
    opener.ask("fhir", "satusehat", FHIR).find(key, SOON, columns=("birth_date",))
    assert all("birthDate" in each and "name" not in each for each in sent)
    sent.clear()
    found = opener.ask("fhir", "satusehat", COVERAGE).find(key, SOON, columns=("id", "nik", "status"))
    assert sent
    assert set(found["nik"]) == {FIXED.verified.nik}


def test_where_a_server_cannot_be_asked_for_elements_the_rest_is_left_behind(
    opener: Opener, sent: list[dict[str, object]]
) -> None:
    lookup = opener.ask("fhir", "satusehat", {**FHIR, "names_elements": False})
    found = lookup.find({"nik": FIXED.verified.nik}, SOON, columns=("birth_date",))
    assert found.columns == ["birth_date"]
    assert all("name" in each for each in sent)


def test_sql_gives_a_row_as_a_page_gives_it(opener: Opener) -> None:
    source = opener.sql(columns=())
    pages = rows_of(list(source.read(source.slices(Window())[0])))
    nik = FIXED.verified.nik
    found = opener.ask("sql", "siak", PERSON_LOOKUP).find({"nik": nik}, SOON)
    assert found.equals(pages.filter(pl.col("nik") == nik))


def test_a_number_longer_than_its_column_is_not_cut_to_somebody_else(opener: Opener) -> None:
    lookup = opener.ask("sql", "siak", PERSON_LOOKUP)
    assert lookup.find({"nik": f"{FIXED.verified.nik}0"}, SOON).height == 0


def test_the_source_never_sees_a_number_in_the_text_of_a_statement(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    lookup = opener.ask("sql", "siak", PERSON_LOOKUP)
    assert lookup.find({"nik": FIXED.verified.nik}, SOON).height == 1
    with agencies.registry.administrator() as connection:
        told = connection.execute("SELECT query FROM pg_stat_activity WHERE query <> ''").fetchall()
    assert told
    assert not [text for (text,) in told if FIXED.verified.nik in text]


@pytest.mark.parametrize("kind", ["rest", "fhir"], indirect=True)
def test_a_slow_system_is_left_when_the_budget_ends(
    opener: Opener, agencies: PracticeAgencies, kind: str
) -> None:
    board = agencies.tax.faults if kind == "rest" else agencies.health.faults
    board.switch_on(FaultKind.SLOW)
    lookup = asking(opener, kind)
    begin = time.monotonic()
    with pytest.raises(LookupTimedOut) as caught:
        lookup.find({column(kind): FIXED.verified.nik}, timedelta(seconds=0.5))
    assert time.monotonic() - begin < 5  # far less than the system takes; the machine may be busy
    assert isinstance(caught.value, RetryLater)
    assert FIXED.verified.nik not in f"{caught.value} {caught.value.as_dict()}"


@pytest.fixture
def slow_view(agencies: PracticeAgencies) -> Iterator[str]:
    with agencies.registry.administrator() as connection:
        connection.execute(
            "CREATE VIEW lambat AS SELECT nik, pg_sleep(20)::text AS tidur FROM biodata_wni LIMIT 1"
        )
        connection.execute("GRANT SELECT ON lambat TO lintas_reader")
    yield "lambat"
    with agencies.registry.administrator() as connection:
        connection.execute("DROP VIEW lambat")


def test_a_slow_statement_is_ended_at_the_source(
    opener: Opener, agencies: PracticeAgencies, slow_view: str
) -> None:
    lookup = opener.ask("sql", "siak", {**PERSON_LOOKUP, "table": slow_view, "changed_at": None})
    with pytest.raises(LookupTimedOut):
        lookup.find({"nik": FIXED.verified.nik}, timedelta(seconds=1))
    lookup.close()
    with agencies.registry.administrator() as connection:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%lambat%'"
        assert connection.execute(f"{busy} AND pid <> pg_backend_pid()").fetchone() == (0,)


def test_somebody_elses_record_is_refused(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.faults.switch_on(FaultKind.SOMEONE_ELSE)
    with pytest.raises(PageUnreadable, match="another key") as caught:
        opener.ask("fhir", "satusehat", FHIR).find({"nik": FIXED.verified.nik}, SOON)
    told = f"{caught.value} {caught.value.as_dict()}"
    assert FIXED.verified.nik not in told
    assert str(agencies.population.patients["ihs_number"][0]) not in told


def test_an_answer_that_goes_on_elsewhere_is_never_followed(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    agencies.health.faults.switch_on(FhirFault.LOOP)
    with pytest.raises(KeyNotSelective):
        opener.ask("fhir", "satusehat", COVERAGE).find({"nik": FIXED.verified.nik}, SOON)


def test_a_token_that_ends_is_renewed_within_the_budget(opener: Opener, agencies: PracticeAgencies) -> None:
    lookup = opener.ask("fhir", "satusehat", FHIR)
    assert lookup.find({"nik": FIXED.verified.nik}, SOON).height == 1
    agencies.health.expire_tokens()
    assert lookup.find({"nik": FIXED.verified.nik}, SOON).height == 1


def test_a_system_that_lies_down_is_left_in_peace_by_every_lookup(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    """The breaker belongs to the system, not to the look-up; other systems are not concerned."""
    breaker = breaker_of("satusehat", agencies.health.endpoint_url)
    agencies.health.faults.switch_on(FaultKind.STATUS_500)
    lookup = opener.ask("fhir", "satusehat", FHIR)
    for _ in range(5):
        with pytest.raises(AgencyFailing):
            lookup.find({"nik": FIXED.verified.nik}, SOON)
    agencies.health.faults.clear()
    with pytest.raises(CircuitOpen) as caught:
        opener.ask("fhir", "satusehat", COVERAGE).find({"nik": FIXED.verified.nik}, SOON)
    assert caught.value.retry_after
    assert opener.ask("sql", "siak", PERSON_LOOKUP).find({"nik": FIXED.verified.nik}, SOON).height == 1
    breaker.succeeded()
    assert lookup.find({"nik": FIXED.verified.nik}, SOON).height == 1


class Scripted:
    """A question that does what a test says."""

    place = Place("scripted", "things")
    key: Sequence[str] = ("id",)

    def __init__(self, answer: Callable[[float], pl.DataFrame]) -> None:
        self.answer = answer

    def ask(self, key: Mapping[str, str], seconds: float, columns: Sequence[str] = ()) -> pl.DataFrame:
        return self.answer(seconds)

    def close(self) -> None:
        pass


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def empty(_: float) -> pl.DataFrame:
    return pl.DataFrame({"id": pl.Series([], dtype=pl.String)})


def test_a_system_that_hangs_takes_few_threads_and_no_caller(release: threading.Event) -> None:
    def hangs(_: float) -> pl.DataFrame:
        release.wait(30)
        return empty(0)

    lookup = TimedLookup(Scripted(hangs), CircuitBreaker(1_000))
    before = threading.active_count()
    begin = time.monotonic()
    for _ in range(12):
        with pytest.raises(LookupTimedOut):
            lookup.find({"id": "1"}, timedelta(milliseconds=20))
    assert time.monotonic() - begin < 10
    assert threading.active_count() <= before + 8
    release.set()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert lookup.find({"id": "1"}, SOON).height == 0  # the places come free again
            break
        except LookupTimedOut:
            continue
    lookup.close()


def test_the_breaker_lets_one_question_try_after_its_pause() -> None:
    now = 0.0
    breaker = CircuitBreaker(2, 30.0, monotonic=lambda: now)
    failing = True

    def answer(seconds: float) -> pl.DataFrame:
        if failing:
            raise AgencyFailing("no")
        return empty(seconds)

    lookup = TimedLookup(Scripted(answer), breaker)
    for expected in (AgencyFailing, AgencyFailing, CircuitOpen):
        with pytest.raises(expected):
            lookup.find({"id": "1"}, SOON)
    now, failing = 31.0, False
    assert lookup.find({"id": "1"}, SOON).height == 0
    assert lookup.find({"id": "1"}, SOON).height == 0
    lookup.close()


@pytest.mark.parametrize("error", [FixSource("wrong"), RateLimited("slower")])
def test_a_system_that_answers_is_not_taken_for_one_that_lies_down(error: Exception) -> None:
    def answer(_: float) -> pl.DataFrame:
        raise error

    breaker = CircuitBreaker(2)
    lookup = TimedLookup(Scripted(answer), breaker)
    for _ in range(5):
        with pytest.raises(type(error)):
            lookup.find({"id": "1"}, SOON)
    lookup.close()


def test_an_answer_of_too_many_rows_is_refused() -> None:
    many = pl.DataFrame({"id": ["1"] * (LONGEST_ANSWER_ROWS + 1)})
    lookup = TimedLookup(Scripted(lambda _: many), CircuitBreaker())
    with pytest.raises(KeyNotSelective):
        lookup.find({"id": "1"}, SOON)
    lookup.close()


def test_a_contract_of_files_has_no_lookup() -> None:
    config = {"folder": "/drop", "pattern": "*.csv", "format": "csv", "transport": "local"}
    assert lookup_key(Binding("files", "oss-daerah", config)) == ()


def test_a_closed_lookup_can_be_closed_again(opener: Opener, kind: str) -> None:
    lookup = open_lookup(
        Binding(kind, KINDS[kind][0], KINDS[kind][1]), opener.registered(KINDS[kind][0]), opener.secrets()
    )
    lookup.close()
    lookup.close()
