from __future__ import annotations

import time
from datetime import timedelta

import polars as pl
import pytest

from connectors import Page, Window
from connectors.errors import ColumnsMissing, ConfigurationInvalid, CursorRepeated, PageUnreadable
from connectors.registry import open_lookup, open_source
from connectors.rest import frame_of
from foundation.errors import LintasError, RetryLater
from foundation.http_errors import (
    AccessRefused,
    AgencyFailing,
    AgencyTooSlow,
    AgencyUnreachable,
    BodyCut,
    BodyTooLarge,
    LoginRefused,
    NotFoundAtSource,
    RateLimited,
    TlsRefused,
    UnexpectedContent,
)
from sandbox import FIXED
from sandbox.agencies import PracticeAgencies
from sandbox.faults import FaultKind
from sandbox.mutations import TaxSwitches
from tests.connectors.conformance import pages_of, rows_of
from tests.connectors.conftest import REST, Binding, Opener, Registered

SIZE = 200
SOON = timedelta(seconds=10)
LASTING = [
    (FaultKind.HTML, UnexpectedContent),
    (FaultKind.CUT, BodyCut),
    (FaultKind.STATUS_500, AgencyFailing),
    (FaultKind.REPEATED_CURSOR, CursorRepeated),
    (FaultKind.CURSOR_LOOP, CursorRepeated),
    (FaultKind.RENAMED_COLUMN, ColumnsMissing),
    (FaultKind.TRUNCATED, PageUnreadable),
    (FaultKind.NOT_AN_OBJECT, PageUnreadable),
    (FaultKind.HUGE, BodyTooLarge),
    (FaultKind.OUT_OF_ORDER, AccessRefused),
]
PASSING = [FaultKind.CUT, FaultKind.STATUS_500, FaultKind.HANG_UP, FaultKind.EXPIRED_TOKENS, FaultKind.PAUSE]


@pytest.mark.parametrize(("kind", "expected"), LASTING)
def test_a_lasting_fault_is_named_with_its_page_and_a_remedy(
    opener: Opener, agencies: PracticeAgencies, kind: FaultKind, expected: type[LintasError]
) -> None:
    agencies.tax.faults.switch_on(kind, page=2)
    source = opener.rest(page_rows=SIZE, page_megabytes=1)
    landed: list[Page] = []
    with pytest.raises(expected) as caught:
        landed.extend(source.read(source.slices(Window())[0]))
    assert len(landed) >= 2
    error = caught.value
    assert error.remedy
    assert error.attributes["system_id"] == "kswp"
    assert error.attributes["slice_id"] == "everything"
    assert error.attributes["page"] in (2, 3)
    secret = agencies.tax.client_secret
    told = f"{error} {error.as_dict()}"
    assert secret not in told
    assert not any(nik in told for nik in agencies.population.tax["npwp16"].head(SIZE * 3).to_list())


@pytest.mark.parametrize("kind", PASSING)
def test_a_passing_fault_is_bridged_and_no_row_is_lost_or_doubled(
    opener: Opener, agencies: PracticeAgencies, kind: FaultKind
) -> None:
    agencies.tax.faults.switch_on(kind, page=2, times=1)
    rows = rows_of(pages_of(opener.rest(page_rows=SIZE)))
    assert rows.height == agencies.population.tax.height


def test_after_a_lasting_fault_reading_resumes_where_it_stopped(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    agencies.tax.faults.switch_on(FaultKind.HTML, page=3)
    source = opener.rest(page_rows=SIZE)
    (slice,) = source.slices(Window())
    landed: list[Page] = []
    with pytest.raises(UnexpectedContent):
        landed.extend(source.read(slice))
    agencies.tax.faults.clear()
    rest = list(opener.rest(page_rows=SIZE).read(slice, landed[-1].token))
    assert rows_of([*landed, *rest]).height == agencies.population.tax.height
    assert rest[0].number == 3


def test_a_token_that_ends_mid_way_is_renewed_without_a_word(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    source = opener.rest(page_rows=SIZE)
    landed = []
    for page in source.read(source.slices(Window())[0]):
        landed.append(page)
        agencies.tax.expire_tokens()
    assert len(landed) > 3
    assert rows_of(landed).height == agencies.population.tax.height


def test_a_pause_that_is_asked_for_is_kept(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.tax.faults.switch_on(FaultKind.PAUSE, page=1, times=1)
    begin = time.monotonic()
    pages_of(opener.rest(page_rows=SIZE))
    assert time.monotonic() - begin >= 1.0


def test_an_office_that_only_asks_for_pauses_is_left_in_peace(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    agencies.tax.faults.switch_on(FaultKind.PAUSE)
    with pytest.raises(RateLimited) as caught:
        pages_of(opener.rest())
    assert caught.value.retry_after == 1.0


def test_an_office_that_is_too_slow_is_not_waited_for(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.tax.faults.switch_on(FaultKind.SLOW)
    begin = time.monotonic()
    with pytest.raises((AgencyTooSlow, AgencyUnreachable)):
        pages_of(opener.rest(timeout_seconds=0.2))
    assert time.monotonic() - begin < 10


def test_garbage_arrives_as_garbage_for_the_mapping_to_judge(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    agencies.tax.faults.switch_on(FaultKind.GARBAGE)
    rows = rows_of(pages_of(opener.rest(page_rows=SIZE)))
    assert rows.height == agencies.population.tax.height
    assert set(rows["npwp16"]) == {"\ufffd#N/A"}


def test_a_wrong_secret_is_named_and_never_shown(opener: Opener) -> None:
    wrong = "a-wrong-secret-0123456789"
    source = open_source(
        Binding("rest", "kswp", REST), opener.registered("kswp"), opener.secrets(kswp_client_secret=wrong)
    )
    opener.opened.append(source)
    with pytest.raises(LoginRefused) as caught:
        pages_of(source)
    assert wrong not in str(caught.value.as_dict())
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["authenticate"]
    assert failed[0].remedy


def test_an_office_that_is_closed_is_named_by_the_step(opener: Opener, agencies: PracticeAgencies) -> None:
    source = opener.rest()
    agencies.tax.hang_up()
    try:
        with pytest.raises(AgencyUnreachable):
            pages_of(source)
        failed = [step for step in source.check() if not step.ok and not step.skipped]
    finally:
        agencies.tax.listen()
    assert [step.name for step in failed] == ["connect"]


def test_a_certificate_of_another_authority_is_not_trusted(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    system = Registered("kswp", agencies.tax.endpoint_url, None)
    source = open_source(Binding("rest", "kswp", REST), system, opener.secrets())
    opener.opened.append(source)
    with pytest.raises(TlsRefused):
        pages_of(source)
    failed = [step for step in source.check() if not step.ok and not step.skipped]
    assert [step.name for step in failed] == ["tls"]


def test_a_wrong_path_is_named(opener: Opener) -> None:
    with pytest.raises(NotFoundAtSource) as caught:
        pages_of(opener.rest(path="/v2/kswp"))
    assert caught.value.attributes["dataset"] == "/v2/kswp"


@pytest.mark.parametrize(
    "changes",
    [
        {"records_at": "items"},
        {"next_cursor_at": "total"},
        {"records_at": "data.items"},
        {"records_at": "next_cursor"},
    ],
)
def test_another_shape_than_agreed_is_named(opener: Opener, changes: dict[str, str]) -> None:
    with pytest.raises(PageUnreadable) as caught:
        pages_of(opener.rest(page_rows=SIZE, **changes))
    assert "contract" in caught.value.remedy


def test_a_listing_that_ends_early_is_not_taken_for_a_complete_one(
    opener: Opener, agencies: PracticeAgencies
) -> None:
    agencies.tax.faults.switch_on(FaultKind.TRUNCATED, page=1)
    with pytest.raises(PageUnreadable) as caught:
        pages_of(opener.rest(page_rows=SIZE))
    assert str(agencies.population.tax.height) in caught.value.what


def test_a_lookup_finds_one_person_and_asks_in_the_body(opener: Opener) -> None:
    found = opener.lookup().find({"npwp16": FIXED.tax_not_valid.nik}, SOON)
    assert found["status_kswp"].to_list() == ["TIDAK VALID"]


def test_a_lookup_of_nobody_is_empty_with_the_columns_of_the_contract(opener: Opener) -> None:
    found = opener.lookup().find({"npwp16": FIXED.no_tax.nik}, SOON)
    assert (found.height, found.columns[0]) == (0, "nama_wp")


def test_a_lookup_that_shows_somebody_else_is_refused(opener: Opener, agencies: PracticeAgencies) -> None:
    agencies.tax.faults.switch_on(FaultKind.SOMEONE_ELSE)
    with pytest.raises(PageUnreadable) as caught:
        opener.lookup().find({"npwp16": FIXED.verified.nik}, SOON)
    told = f"{caught.value} {caught.value.as_dict()}"
    assert agencies.population.tax["npwp16"][0] not in told
    assert FIXED.verified.nik not in told


def test_a_lookup_takes_exactly_its_key(opener: Opener) -> None:
    with pytest.raises(ValueError, match="npwp16"):
        opener.lookup().find({"nik": "1"}, SOON)


def test_a_contract_without_a_lookup_cannot_be_asked_live(opener: Opener) -> None:
    without = {name: value for name, value in REST.items() if not name.startswith("lookup")}
    with pytest.raises(ConfigurationInvalid):
        open_lookup(Binding("rest", "kswp", without), opener.registered("kswp"), opener.secrets())


def test_the_switches_work_from_another_process(opener: Opener, changing: PracticeAgencies) -> None:
    tax = changing.tax
    switches = TaxSwitches(tax.endpoint_url, changing.ca_pem, tax.practice_key)
    switches.set_standing(FIXED.verified.nik, "TIDAK VALID")
    switches.switch_on(FaultKind.OUT_OF_ORDER)
    with pytest.raises(AccessRefused):
        pages_of(opener.rest())
    switches.clear()
    switches.close()
    found = opener.lookup().find({"npwp16": FIXED.verified.nik}, SOON)
    assert found["status_kswp"].to_list() == ["TIDAK VALID"]
    stranger = TaxSwitches(tax.endpoint_url, changing.ca_pem, "no key")
    with pytest.raises(AccessRefused):
        stranger.clear()
    stranger.close()


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "ftp://localhost",
        "https://u:p@localhost",
        "https://localhost/?a=b",
        "localhost:1",
        "https://",
    ],
)
def test_an_address_that_is_none_or_carries_a_secret_is_refused(opener: Opener, url: str | None) -> None:
    with pytest.raises(ConfigurationInvalid):
        open_source(Binding("rest", "kswp", REST), Registered("kswp", url, None), opener.secrets())


def test_an_address_beyond_this_machine_is_never_called_without_tls(opener: Opener) -> None:
    source = open_source(
        Binding("rest", "kswp", REST), Registered("kswp", "http://example.invalid", None), opener.secrets()
    )
    opener.opened.append(source)
    with pytest.raises(LintasError) as caught:
        pages_of(source)
    assert not isinstance(caught.value, RetryLater)


def test_a_missing_field_is_empty_only_where_that_is_known_and_likely() -> None:
    rows = [{"npwp16": "1", "status_kswp": "VALID"}]
    wanted = ("npwp16", "status_kswp", "alasan")
    assert frame_of(rows, wanted, dataset="d", omits_nulls=True)["alasan"].to_list() == [None]
    with pytest.raises(ColumnsMissing):
        frame_of(rows, wanted, dataset="d", omits_nulls=False)
    with pytest.raises(ColumnsMissing):
        frame_of([{"npwp16": "1", "status_wp": "VALID"}], wanted[:2], dataset="d", omits_nulls=True)
    assert frame_of([], wanted, dataset="d", omits_nulls=False).schema == pl.Schema(
        dict.fromkeys(wanted, pl.String)
    )
