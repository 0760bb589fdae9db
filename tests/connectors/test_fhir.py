from __future__ import annotations

import threading
from datetime import timedelta
from enum import StrEnum

import polars as pl
import pytest

from connectors import Page, Window
from connectors.configuration import parse_configuration
from connectors.errors import (
    ConfigurationInvalid,
    CursorRepeated,
    FhirVersionRefused,
    NextLinkForeign,
    OutcomeReported,
    PageUnreadable,
    SourceBusy,
)
from connectors.registry import open_source
from foundation import clock
from foundation.errors import LintasError, RetryLater
from foundation.http import HttpClient
from foundation.http_errors import (
    AccessRefused,
    AgencyFailing,
    BodyCut,
    BodyTooLarge,
    LoginRefused,
    UnexpectedContent,
)
from sandbox import FIXED
from sandbox.agencies import PracticeAgencies
from sandbox.faults import FaultKind
from sandbox.health_faults import FhirFault
from tests.connectors.conformance import BEFORE_EVERYTHING, pages_of, rows_of
from tests.connectors.conftest import COVERAGE, FHIR, Binding, Opener

SIZE = 400
LASTING: list[tuple[StrEnum, type[LintasError]]] = [
    (FhirFault.LINK_TO_ITSELF, CursorRepeated),
    (FhirFault.LOOP, CursorRepeated),
    (FhirFault.NEW_LINK_SAME_PAGE, CursorRepeated),
    (FhirFault.FOREIGN_LINK, NextLinkForeign),
    (FhirFault.OUTCOME, OutcomeReported),
    (FhirFault.PASSING_OUTCOME, SourceBusy),
    (FhirFault.GRAVE_ENTRY, OutcomeReported),
    (FhirFault.NO_RESOURCE, PageUnreadable),
    (FhirFault.OTHER_TYPE, PageUnreadable),
    (FhirFault.PARTIAL, PageUnreadable),
    (FhirFault.OVERFULL, PageUnreadable),
    (FhirFault.R5_RESOURCE, FhirVersionRefused),
    (FaultKind.TRUNCATED, PageUnreadable),
    (FaultKind.HTML, UnexpectedContent),
    (FaultKind.NOT_AN_OBJECT, UnexpectedContent),
    (FaultKind.CUT, BodyCut),
    (FaultKind.STATUS_500, AgencyFailing),
    (FaultKind.HUGE, BodyTooLarge),
    (FaultKind.OUT_OF_ORDER, AccessRefused),
]
PASSING = [FaultKind.CUT, FaultKind.STATUS_500, FaultKind.EXPIRED_TOKENS, FaultKind.PAUSE]
HARMLESS = [FhirFault.UNKNOWN_EXTENSION, FhirFault.WARNING, FhirFault.INCLUDED, FhirFault.DELETED]


def whole(pages: list[Page]) -> pl.DataFrame:
    rows = rows_of(pages)
    return rows.sort(rows.columns)


@pytest.mark.parametrize(("fault", "error"), LASTING, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_lasting_fault_has_a_name_a_place_and_a_remedy(
    opener: Opener, agencies: PracticeAgencies, fault: StrEnum, error: type[LintasError]
) -> None:
    agencies.health.faults.switch_on(fault, page=1)
    with pytest.raises(error) as caught:
        pages_of(opener.fhir(page_rows=SIZE))
    where = caught.value.attributes
    assert (where["system_id"], where["dataset"], where["slice_id"]) == ("satusehat", "Patient", "everything")
    assert where["page"] in {1, 2}
    assert caught.value.remedy
    told = f"{caught.value} {caught.value.as_dict()}"
    numbers = [number for number in agencies.population.patients["nik"].drop_nulls() if number in told]
    assert not numbers
    assert "3576010101900001" not in told  # the diagnostics of the outcome quote it


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_costs_no_row(opener: Opener, agencies: PracticeAgencies, fault: FaultKind) -> None:
    undisturbed = whole(pages_of(opener.fhir(page_rows=SIZE)))
    agencies.health.faults.switch_on(fault, page=1, times=1)
    assert whole(pages_of(opener.fhir(page_rows=SIZE))).equals(undisturbed)


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_nobody_declared_is_ignored(
    opener: Opener, agencies: PracticeAgencies, fault: FhirFault
) -> None:
    undisturbed = whole(pages_of(opener.fhir(page_rows=SIZE)))
    agencies.health.faults.switch_on(fault, page=1)
    assert whole(pages_of(opener.fhir(page_rows=SIZE))).equals(undisturbed)


def test_a_modifier_extension_is_never_ignored(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.faults.switch_on(FhirFault.MODIFIER_EXTENSION, page=1)
    sound, changed = pages_of(opener.fhir(page_rows=SIZE))[:2]
    assert not sound.frame["name"].str.starts_with("modified:").any()
    for name in ("ihs_number", "name", "deceased"):
        assert changed.frame[name].str.starts_with("modified:").all()


def test_of_two_niks_in_one_resource_none_is_picked(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.faults.switch_on(FhirFault.TWO_NIKS, page=0)
    page = pages_of(opener.fhir(page_rows=SIZE))[0]
    known = page.frame.filter(pl.col("nik").str.starts_with("list:"))
    assert known.height >= page.frame.height // 2


def test_a_person_within_the_resource_is_found_there(opener: Opener, agencies: PracticeAgencies) -> None:
    undisturbed = whole(pages_of(opener.fhir(of=COVERAGE, page_rows=SIZE)))
    agencies.health.faults.switch_on(FhirFault.CONTAINED)
    rows = whole(pages_of(opener.fhir(of=COVERAGE, page_rows=SIZE)))
    assert rows["nik"].to_list() == undisturbed["nik"].to_list()
    assert rows["ihs_number"].null_count() == rows.height  # the reference leads to no patient of the server


@pytest.mark.parametrize("of", [FHIR, COVERAGE], ids=["Patient", "Coverage"])
def test_a_server_of_another_version_is_refused_before_anybody_is_read(
    opener: Opener, agencies: PracticeAgencies, of: dict[str, object]
) -> None:
    agencies.health.faults.switch_on(FhirFault.R5_SERVER)
    source = opener.fhir(of=of)
    with pytest.raises(FhirVersionRefused, match=r"FHIR 4\.0"):
        pages_of(source)
    failed = next(step for step in source.check() if not step.ok)
    assert failed.name == "version"
    assert failed.remedy


def test_an_r5_resource_names_its_elements(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.faults.switch_on(FhirFault.R5_RESOURCE)
    with pytest.raises(FhirVersionRefused, match="insurer, kind"):
        pages_of(opener.fhir(of=COVERAGE))


def test_a_deletion_among_changes_is_not_lost_in_silence(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.faults.switch_on(FhirFault.DELETED)
    with pytest.raises(PageUnreadable, match="changes: false"):
        pages_of(opener.fhir(), Window(since=BEFORE_EVERYTHING))
    assert pages_of(opener.fhir(changes=False), Window(since=BEFORE_EVERYTHING))


def test_only_what_changed_is_asked_for(opener: Opener, agencies: PracticeAgencies) -> None:
    since = clock.now() + timedelta(seconds=595)  # the overlap of 600 s is taken off again
    assert agencies.health.change("Coverage", FIXED.verified.nik, {"status": "cancelled"}) == 1
    changed = rows_of(pages_of(opener.fhir(of=COVERAGE), Window(since=since)))
    agencies.health.load(agencies.population)
    assert changed.select("nik", "status").rows() == [(FIXED.verified.nik, "cancelled")]


def test_a_refused_login_is_not_tried_again_at_once(opener: Opener, agencies: PracticeAgencies) -> None:
    source = open_source(
        Binding("fhir", "satusehat", FHIR),
        opener.registered("satusehat"),
        opener.secrets(satusehat_client_secret="wrong"),
    )
    opener.opened.append(source)
    asked = agencies.health.tokens_asked_for
    for _ in range(3):
        with pytest.raises(LoginRefused):
            pages_of(source)
    assert agencies.health.tokens_asked_for == asked + 1
    agencies.health.forgive()


def test_one_token_serves_every_reader_until_it_ends(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.expire_tokens()
    asked = agencies.health.tokens_asked_for
    assert len(pages_of(opener.fhir(page_rows=200))) > 5
    assert pages_of(opener.fhir(of=COVERAGE))
    opener.ask("fhir", "satusehat", FHIR).find({"nik": FIXED.verified.nik}, timedelta(seconds=5))
    assert agencies.health.tokens_asked_for == asked + 1


def test_no_address_ever_holds_a_number_of_anybody(
    opener: Opener, agencies: PracticeAgencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    ask = HttpClient.request

    def noting(self: HttpClient, method: str, url: str, **options: object) -> object:
        called.append(f"{method} {url} {options.get('params')} {options.get('headers')}")
        return ask(self, method, url, **options)

    monkeypatch.setattr(HttpClient, "request", noting)
    pages_of(opener.fhir(page_rows=SIZE), Window(since=BEFORE_EVERYTHING))
    opener.ask("fhir", "satusehat", FHIR).find({"nik": FIXED.verified.nik}, timedelta(seconds=5))
    assert len(called) > 3
    numbers = set(agencies.population.patients["nik"].drop_nulls())
    assert not [number for number in numbers for call in called if number in call]


def test_every_problem_of_a_configuration_is_told_at_once() -> None:
    wrong = {
        **FHIR,
        "columns": {"nik": "identifier[", "name": "a b"},
        "lookup": {"ktp": {"parameter": "identifier"}},
        "search": {"_count": "5", "identifier": "3576020101900001"},
    }
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_configuration("fhir", wrong)
    for part in ("columns.nik", "columns.name", "ktp", "_count", "search.identifier"):
        assert part in caught.value.why
    assert "3576020101900001" not in str(caught.value)


def test_a_failing_source_is_asked_again_later(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.health.hang_up()
    try:
        with pytest.raises(RetryLater):
            pages_of(opener.fhir())
    finally:
        agencies.health.listen()


def test_a_reading_that_is_left_leaves_nothing_behind(opener: Opener, no_leaks: None) -> None:
    source = opener.fhir(page_rows=100)
    threads = threading.active_count()
    reading = source.read(source.slices(Window())[0])
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= threads
    source.close()


def test_nothing_stays_open(opener: Opener, no_leaks: None) -> None:
    source = opener.fhir()
    pages_of(source)
    source.close()
