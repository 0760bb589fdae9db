"""What is staler than the service allows is asked live: under entries, within a budget, and kept nowhere."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from consent.errors import ConsentChanged
from foundation import clock
from foundation.http import CircuitOpen
from records import live as reading_live
from records.identity import sever
from tests.verification.city import AGUS, ASKER, POLICE, SITI, City
from tests.verification.live_sources import PracticeLookups
from verification import judging, live, sources
from verification.answering import answer
from verification.catalogue import Catalogue
from verification.context import AnsweringContext
from verification.service import LiveTerms

PERSONS, DEATHS = "dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths"
COVERAGE = "dinkes-mojokerto/coverage"
PERSON_ROW = {
    "nik": SITI.nik, "no_kk": SITI.family_card_number, "nama_lgkp": SITI.name, "tgl_lhr": SITI.birth_date,
    "jenis_klmin": 2, "no_prop": 35, "no_kab": 76, "no_kec": 2, "no_kel": 1003,
}  # fmt: skip
DEATH_ROW = {
    "nik": SITI.nik, "tgl_mati": dt.date(2026, 2, 3), "tgl_lapor": dt.date(2026, 2, 4),
    "no_akta": "3576-KM-04022026-0007", "nomor": 77,
}  # fmt: skip
COVERAGE_ROW = {
    "id": "C1", "subscriber_id": "0001234567890", "nik": SITI.nik,
    "status": "active", "coverage_id": "C1", "period_start": "2024-01-01",
}  # fmt: skip


@pytest.fixture
def lookups(context: AnsweringContext, monkeypatch: pytest.MonkeyPatch) -> PracticeLookups:
    assert context.sources is not None
    found = PracticeLookups(context.sources._contracts)
    monkeypatch.setattr(sources, "open_lookup", found.open)
    found.rows = {PERSONS: [PERSON_ROW], DEATHS: [], COVERAGE: [COVERAGE_ROW]}
    return found


@pytest.fixture
def certificate(city: City, lookups: PracticeLookups) -> PracticeLookups:
    """Every register that the police certificate looks at is overdue, and can be asked live."""
    city.overdue()
    return lookups


def asks(context: AnsweringContext, citizen=SITI):
    return answer(context, citizen.question(service="skck", claims={}), POLICE)


def outcomes(given) -> dict[str, str]:
    return {each["criterion"]: each["outcome"] for each in given.content["outcomes"]}


def within(context: AnsweringContext, milliseconds: int) -> AnsweringContext:
    """The same context, with a service that waits no longer for its sources."""
    service = context.catalogue.service("skck")
    definition = service.definition.model_copy(update={"live": LiveTerms(milliseconds=milliseconds)})
    return replace(context, catalogue=Catalogue({"skck": replace(service, definition=definition)}))


def kinds(city: City) -> list[str]:
    wanted = ("lookup.requested", "lookup.completed", "exchange.answered")
    return [entry["kind"] for entry in city.entries() if entry["kind"] in wanted]


def test_overdue_registers_are_asked_live_each_under_its_two_entries(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    given = asks(context)
    assert given.content["verdict"] == "verified"
    assert sorted(each.dataset for each in certificate.asked) == [COVERAGE, DEATHS, PERSONS]
    assert {value for each in certificate.asked for value in each.key.values()} == {SITI.nik}
    assert kinds(city) == ["lookup.requested"] * 3 + ["lookup.completed"] * 3 + ["exchange.answered"]
    requested, completed = city.entries("lookup.requested"), city.entries("lookup.completed")
    pairs = {entry["details"]["lookup"] for entry in requested}
    assert pairs == {entry["details"]["lookup"] for entry in completed}
    (answered,) = city.entries("exchange.answered")
    assert answered["details"]["lookups"] == 3
    for entry in (*requested, *completed):
        assert entry["decision"] == answered["decision"]
        assert entry["subjects"]
        assert entry["provider"] == entry["datasets"][0].partition("/")[0]
        assert SITI.nik not in str(entry)
    assert {entry["outcome"] for entry in completed} == {"answered"}


def test_a_register_is_asked_for_what_was_decided_and_what_judges_it_and_for_nothing_else(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    asks(context)
    asked = {each.dataset: set(each.columns) for each in certificate.asked}
    assert asked[PERSONS] == {"nik", "no_prop", "no_kab", "no_kec", "no_kel"}
    assert asked[DEATHS] >= {"nik", "tgl_mati"}
    assert "nama_lgkp" not in asked[PERSONS]
    told = {entry["datasets"][0]: entry["fields"] for entry in city.entries("lookup.requested")}
    assert told[PERSONS] == [f"{PERSONS}:nik", f"{PERSONS}:region_code"]


def test_what_nobody_asked_for_cannot_spoil_an_answer(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.rows[PERSONS] = [{**PERSON_ROW, "tgl_lhr": dt.date(3026, 1, 1), "nama_lgkp": ""}]
    assert outcomes(asks(context))["resident"] == "met"


def test_a_live_reply_says_when_it_came_and_is_kept_nowhere(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    before = {table: city.count(table) for table in ("records.person_v1", "records.coverage_v1")}
    given = asks(context)
    seen = [source for each in given.content["outcomes"] for source in each["evidence"]]
    assert all(source["live"] for source in seen)
    today = clock.now().date().isoformat()
    assert all(source["as_of"].startswith(today) for source in seen)
    assert before == {table: city.count(table) for table in before}
    assert city.count("quality.quarantine_row") == 0
    assert city.count("records.death_v1") == 1  # the one who was dead already


def test_a_death_that_only_the_source_knows_counts(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.rows[DEATHS] = [DEATH_ROW]
    given = asks(context)
    assert outcomes(given)["alive"] == "not_met"
    assert given.content["verdict"] == "refer"


def test_the_latest_word_of_a_feed_counts_live_too(
    context: AnsweringContext, lookups: PracticeLookups, city: City
) -> None:
    contract = lookups.contracts[DEATHS]
    corrected = {**DEATH_ROW, "nomor": 78, "tgl_mati": dt.date(2026, 2, 2)}
    lookups.rows[DEATHS] = [DEATH_ROW, corrected]
    city.overdue(DEATHS)
    said = reading_live._said(contract, _rows(contract, [DEATH_ROW, corrected]), frozenset())
    assert said is not None
    assert [row["event_number"] for row in said] == [78]
    assert outcomes(asks(context))["alive"] == "not_met"


def _rows(contract, rows):
    import polars as pl

    filled = [{column: row.get(column) for column in contract.source_columns} for row in rows]
    return reading_live._mapping(contract).apply(pl.DataFrame(filled)).accepted.to_dicts()


def test_fresh_evidence_is_not_asked_for(context: AnsweringContext, lookups: PracticeLookups) -> None:
    assert asks(context).content["verdict"] == "verified"
    assert lookups.asked == []


def test_a_service_may_allow_less_age_than_the_contract(
    city: City, context: AnsweringContext, lookups: PracticeLookups
) -> None:
    city.execute("UPDATE records.dataset_state SET source_time = source_time - interval '2 hours'")
    service = context.catalogue.service("skck")
    needs = tuple(
        replace(need, maximum_age=dt.timedelta(hours=1)) if need.dataset_id == DEATHS else need
        for need in service.needs
    )
    strict = replace(context, catalogue=Catalogue({"skck": replace(service, needs=needs)}))
    assert asks(strict).content["verdict"] == "verified"
    assert [each.dataset for each in lookups.asked] == [DEATHS]


def test_all_sources_are_asked_at_once_and_nobody_holds_a_connection_meanwhile(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    together, held = threading.Barrier(3, timeout=5), []

    def meet(_dataset: str) -> None:
        together.wait()
        figures = context.pool.get_stats()
        held.append(figures["pool_size"] - figures["pool_available"])

    certificate.before = meet
    assert outcomes(asks(context)) == {"alive": "met", "resident": "met", "insured": "met"}
    assert held == [0, 0, 0]


@pytest.fixture
def never() -> Iterator[Callable[[str], None]]:
    """A source that does not answer before the test is over."""
    over = threading.Event()
    yield lambda dataset: over.wait(20) if dataset == COVERAGE else None
    over.set()


def test_a_source_that_does_not_answer_in_time_is_down_and_the_others_count(
    city: City, context: AnsweringContext, certificate: PracticeLookups, never: Callable[[str], None]
) -> None:
    certificate.before = never
    given = asks(within(context, 100))
    assert outcomes(given) == {"alive": "met", "resident": "met", "insured": "source_down"}
    assert given.content["verdict"] == "not_possible"
    down = [entry for entry in city.entries("lookup.completed") if entry["outcome"] == "source_down"]
    assert [entry["details"]["status"] for entry in down] == ["lookup-timed-out"]


def test_a_system_that_is_left_in_peace_is_down(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.errors[COVERAGE] = CircuitOpen("satusehat is left in peace", retry_after=20)
    given = asks(context)
    assert outcomes(given)["insured"] == "source_down"
    (down,) = [e for e in city.entries("lookup.completed") if e["outcome"] == "source_down"]
    assert down["details"]["status"] == "circuit-open"
    assert down["provider"] == "dinkes-mojokerto"


def test_an_unknown_trouble_of_a_driver_is_down_and_tells_no_value(
    city: City, context: AnsweringContext, certificate: PracticeLookups, caplog: pytest.LogCaptureFixture
) -> None:
    certificate.errors[COVERAGE] = RuntimeError(f"bad row for {SITI.nik}")
    assert outcomes(asks(context))["insured"] == "source_down"
    assert SITI.nik not in caplog.text
    assert SITI.nik not in str(city.entries())


def test_a_reply_about_somebody_else_is_no_reply(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.rows[DEATHS] = [{**DEATH_ROW, "nik": AGUS.nik}]
    given = asks(context)
    assert outcomes(given)["alive"] == "source_down"
    (down,) = [e for e in city.entries("lookup.completed") if e["outcome"] == "source_down"]
    assert down["details"]["status"] == "strangers-shown"


def test_a_reply_that_breaks_the_contract_is_unknown(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.rows[DEATHS] = [{**DEATH_ROW, "tgl_mati": dt.date(3026, 2, 3)}]
    assert outcomes(asks(context))["alive"] == "unknown"


def test_two_records_under_one_key_are_unknown(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    certificate.rows[PERSONS] = [PERSON_ROW, {**PERSON_ROW, "no_kec": 3}]
    assert outcomes(asks(context))["resident"] == "unknown"


def test_what_cannot_be_asked_live_stays_stale(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    del certificate.rows[COVERAGE]
    given = asks(context)
    assert outcomes(given)["insured"] == "stale"
    assert len(city.entries("lookup.requested")) == 2


def test_a_contract_that_is_not_the_one_in_force_asks_nobody(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    assert context.sources is not None
    contracts = dict(context.sources._contracts)
    contracts[COVERAGE] = replace(contracts[COVERAGE], hash="0" * 64)
    context.sources._contracts = contracts
    assert outcomes(asks(context))["insured"] == "stale"


def test_a_consent_withdrawn_before_a_source_is_asked_stops_the_question(
    city: City, context: AnsweringContext, certificate: PracticeLookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent = city.consent_of(context, SITI)
    gathered = judging.evidence_of

    def then_withdraw(*arguments):
        found = gathered(*arguments)
        city.withdraw(context, SITI, consent)
        return found

    monkeypatch.setattr(judging, "evidence_of", then_withdraw)
    with pytest.raises(ConsentChanged):
        answer(context, SITI.question(), ASKER)
    assert certificate.asked == []
    assert city.entries("lookup.requested") == []
    (refused,) = city.entries("exchange.refused")
    assert refused["details"]["problem"] == "consent-changed"


class Killed(BaseException):
    """The process dies."""


def test_a_process_that_dies_between_leaves_requests_without_completion(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    def die(_dataset: str) -> None:
        raise Killed

    certificate.before = die
    with pytest.raises(Killed):
        asks(context)
    assert kinds(city) == ["lookup.requested"] * 3
    assert city.count("verification.answer") == 0


def test_if_the_completion_cannot_be_written_there_is_no_answer(
    city: City, context: AnsweringContext, certificate: PracticeLookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = live.append

    def fails_at_completion(connection, draft):
        if draft.kind == "lookup.completed":
            raise RuntimeError
        return written(connection, draft)

    monkeypatch.setattr(live, "append", fails_at_completion)
    with pytest.raises(RuntimeError):
        asks(context)
    assert kinds(city) == ["lookup.requested"] * 3
    assert city.count("verification.answer") == 0


def test_a_record_that_a_person_cut_loose_is_not_let_in_by_the_back_door(
    city: City, context: AnsweringContext, certificate: PracticeLookups
) -> None:
    assert outcomes(asks(context))["insured"] == "met"
    keys = context.vault.handle_for("nik", SITI.nik)
    from foundation.database import Role

    with city.connect(Role.STEWARD) as connection:
        row = connection.execute(
            "SELECT record_id, source_key FROM records.coverage_v1 WHERE nik = %s", [SITI.nik]
        ).fetchone()
        assert row is not None
        sever(connection, keys, row[0], actor="steward-1", why="another-person")
    city.execute("UPDATE records.coverage_v1 SET source_key = 'C1' WHERE nik = %s", SITI.nik)
    assert outcomes(asks(context))["insured"] == "not_met"


def test_look_ups_are_opened_once_and_closed_with_the_process(
    context: AnsweringContext, certificate: PracticeLookups
) -> None:
    for _ in range(3):
        asks(context)
    assert context.sources is not None
    assert len(context.sources._opened) == 3
    context.sources.close()
    assert certificate.closed == 3
