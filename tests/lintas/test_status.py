"""`lintas status`: one screen that says whether all is well."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from foundation import clock
from lintas.status import Causes, DatasetStatus, LogStatus, NoticeStatus, Status
from lintas.status_view import print_status, spoken

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noon():
    with clock.fixed(NOON):
        yield


def dataset(**changed):
    given = {
        "dataset": "dukcapil-mojokerto/persons",
        "records": 5_000,
        "as_of": NOON - timedelta(hours=1),
        "freshness": timedelta(hours=36),
        "last_batch": "b",
        "last_status": "published",
        "started_at": NOON - timedelta(hours=1),
        "quarantined": 0,
        "conflicts": 0,
    }
    return DatasetStatus(**given | changed)


SOUND_LOG = LogStatus(12, 12, NOON, 0)
NO_NOTICES = NoticeStatus(0, 0)


def status(*datasets, log=SOUND_LOG, notices=NO_NOTICES, quarantine=()):
    running = [{"process": "api", "state": "healthy"}]
    return Status(running, datasets or (dataset(),), quarantine, log, notices)


def shown(found):
    out = io.StringIO()
    print_status(Console(file=out, width=110), found)
    return out.getvalue()


def test_when_nothing_waits_for_a_person_it_says_so_first():
    assert status().troubles == []
    assert shown(status()).startswith("All is well")


def test_a_look_up_without_its_end_is_a_trouble_and_says_how_to_see_it():
    found = replace(status(), unfinished_lookups=2)
    (trouble,) = found.troubles
    assert trouble.next == "lintas lookups unfinished"
    assert "2 live look-ups have no completion" in shown(found)
    assert found.as_dict()["unfinished_lookups"] == 2


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "fresh"),
        ({"as_of": NOON - timedelta(hours=37)}, "overdue"),
        ({"as_of": None}, "never read"),
        ({"last_status": "held"}, "held"),
        ({"last_status": "failed"}, "failed"),
        ({"last_status": "rejected"}, "rejected"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_dataset_that_is_not_fresh_is_named_with_the_command_that_shows_more(changed, state):
    found = status(dataset(**changed))
    assert found.datasets[0].state == state
    assert bool(found.troubles) is (state != "fresh")
    if found.troubles:
        assert "dukcapil-mojokerto/persons" in found.troubles[0].what
        assert found.troubles[0].next.startswith("lintas ")


def test_a_log_that_stands_still_while_entries_wait_is_trouble():
    assert not LogStatus(12, 12, NOON - timedelta(days=2), 0).is_late
    assert not LogStatus(12, 12, NOON - timedelta(seconds=1), 5).is_late
    assert LogStatus(12, 12, NOON - timedelta(minutes=1), 5).is_late
    assert status(log=LogStatus(12, 12, NOON - timedelta(minutes=1), 5)).troubles
    (trouble,) = status(log=LogStatus(12, 12, NOON, 0, refuses=True)).troubles
    assert trouble.what == "the log does not keep up: exchanges are refused"


def test_notices_that_were_given_up_are_trouble():
    assert "2 notices" in status(notices=NoticeStatus(0, 2)).troubles[0].what


def test_the_screen_counts_the_quarantine_by_cause():
    text = shown(status(quarantine=[Causes("dukcapil-mojokerto/deaths", "death_date:in-future", 1_234)]))
    assert "1,234  dukcapil-mojokerto/deaths  death_date:in-future" in text


def test_programs_get_the_same_as_json():
    from lintas.output import _plain

    document = json.loads(json.dumps(_plain(status(dataset(as_of=None)).as_dict())))
    assert document["well"] is False
    assert document["datasets"][0]["state"] == "never read"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=40), "40 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(days=-3), "3 d"),
    ],
    ids=str,
)
def test_spans_are_told_in_their_largest_unit(span, text):
    assert spoken(span) == text


def test_it_is_read_from_the_database_by_a_steward(installation):
    from lintas.status import gather

    found = gather(installation)
    assert (found.log.entries, found.notices, found.quarantine) == (0, NoticeStatus(0, 0), [])
