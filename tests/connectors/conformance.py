"""What every connector must keep, whatever it reads from: one kit, run against each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import polars as pl
import pytest

from connectors import Operation, Page, PageToken, Source, Window
from connectors.errors import TokenNotOurs
from foundation.errors import LintasError

BEFORE_EVERYTHING = datetime(2020, 1, 1, tzinfo=UTC)
Open = Callable[..., Source]


def pages_of(source: Source, window: Window | None = None) -> list[Page]:
    return [page for slice in source.slices(window or Window()) for page in source.read(slice)]


def rows_of(pages: Sequence[Page]) -> pl.DataFrame:
    return pl.concat([page.frame for page in pages])


class Conformance:
    """Subclasses give `open` (keyword arguments change the configuration), `expected` and `columns`."""

    steps: ClassVar[set[str]] = {
        *("resolve", "connect", "tls", "authenticate"),
        *("authorise", "list", "schema", "read-one"),
    }

    @pytest.fixture
    def open(self) -> Open:
        raise NotImplementedError

    @pytest.fixture
    def expected(self) -> pl.DataFrame:
        raise NotImplementedError

    def test_it_is_a_source(self, open: Open) -> None:
        assert isinstance(open(), Source)

    def test_every_row_arrives_once_and_unchanged(self, open: Open, expected: pl.DataFrame) -> None:
        rows = rows_of(pages_of(open(page_rows=97)))
        assert rows.columns == expected.columns
        assert rows.sort(rows.columns).equals(expected.sort(expected.columns))

    def test_the_size_of_a_page_changes_nothing(self, open: Open, expected: pl.DataFrame) -> None:
        for size in (211, 1_000):
            rows = rows_of(pages_of(open(page_rows=size)))
            assert rows.sort(rows.columns).equals(expected.sort(expected.columns))

    def test_positions_and_numbers_go_on_without_a_gap(self, open: Open, expected: pl.DataFrame) -> None:
        pages = pages_of(open(page_rows=150))
        assert [page.number for page in pages] == list(range(len(pages)))
        assert [position for page in pages for position in page.positions] == list(range(expected.height))

    def test_only_the_last_page_is_complete_and_has_no_token(self, open: Open) -> None:
        pages = pages_of(open(page_rows=150))
        assert len(pages) > 3
        assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
        assert [page.token is None for page in pages] == [page.complete for page in pages]

    def test_no_page_is_larger_than_asked_for(self, open: Open) -> None:
        assert max(page.frame.height for page in pages_of(open(page_rows=100))) <= 100

    def test_reading_resumes_after_any_page_in_another_process(
        self, open: Open, expected: pl.DataFrame
    ) -> None:
        first = open(page_rows=400)
        slice = first.slices(Window())[0]
        pages = list(first.read(slice))
        for stop in range(len(pages) - 1):
            token = pages[stop].token
            assert token is not None
            rest = list(open(page_rows=400).read(slice, PageToken(token.value)))
            assert rest[0].first_position == pages[stop + 1].first_position
            assert rest[0].number == stop + 1
            assert rows_of([*pages[: stop + 1], *rest]).equals(rows_of(pages))

    def test_a_token_resumes_at_another_size_of_page(self, open: Open, expected: pl.DataFrame) -> None:
        slice = open().slices(Window())[0]
        reading = open(page_rows=200).read(slice)
        first = next(reading)
        rest = list(open(page_rows=333).read(slice, first.token))
        rows = rows_of([first, *rest])
        assert rows.sort(rows.columns).equals(expected.sort(expected.columns))

    @pytest.mark.parametrize(
        "token", ["", "{}", "[]", "null", "x" * 5000, '{"v":1,"s":"elsewhere"}', '{"v":99}']
    )
    def test_a_foreign_token_is_refused(self, open: Open, token: str) -> None:
        source = open()
        with pytest.raises(TokenNotOurs):
            next(source.read(source.slices(Window())[0], PageToken(token)))

    def test_a_token_never_shows_what_it_holds(self, open: Open) -> None:
        token = pages_of(open(page_rows=400))[0].token
        assert token is not None
        assert token.value not in repr(token)
        assert repr(token) == "PageToken()"

    def test_everything_is_a_snapshot_and_changes_are_upserts(self, open: Open) -> None:
        source = open()
        (everything,) = source.slices(Window())
        (changes,) = source.slices(Window(since=BEFORE_EVERYTHING))
        assert everything.operation is Operation.SNAPSHOT
        assert changes.operation is Operation.UPSERT
        assert everything.slice_id != changes.slice_id

    def test_slices_have_the_same_names_in_every_run(self, open: Open) -> None:
        window = Window(since=BEFORE_EVERYTHING)
        assert open().slices(window) == open().slices(window)

    def test_all_changes_since_ever_are_everything(self, open: Open, expected: pl.DataFrame) -> None:
        rows = rows_of(pages_of(open(page_rows=333), Window(since=BEFORE_EVERYTHING)))
        assert rows.sort(rows.columns).equals(expected.sort(expected.columns))

    def test_no_changes_give_one_empty_complete_page(self, open: Open, expected: pl.DataFrame) -> None:
        since = datetime.now(UTC) + timedelta(days=400)
        (page,) = pages_of(open(), Window(since=since))
        assert page.complete
        assert page.frame.height == 0
        assert page.frame.columns == expected.columns

    def test_the_columns_come_as_asked(self, open: Open, expected: pl.DataFrame) -> None:
        backwards = tuple(reversed(expected.columns))
        page = pages_of(open(columns=backwards))[0]
        assert tuple(page.frame.columns) == backwards

    def test_every_step_of_the_check_passes_and_says_something(self, open: Open) -> None:
        steps = open().check()
        assert self.steps <= {step.name for step in steps}
        assert all(step.ok and step.detail and not step.skipped for step in steps)

    def test_discovery_names_the_columns(self, open: Open, expected: pl.DataFrame) -> None:
        found = {column.name for dataset in open().discover() for column in dataset.columns}
        assert set(expected.columns) <= found

    def test_a_column_that_is_not_there_is_named_with_the_closest(
        self, open: Open, expected: pl.DataFrame
    ) -> None:
        right = expected.columns[0]
        wrong = f"{right[:-1]}x"
        with pytest.raises(LintasError) as caught:
            pages_of(open(columns=(wrong, *expected.columns[1:])))
        assert caught.value.code == "columns-missing"
        assert caught.value.attributes["missing"] == (wrong,)
        assert caught.value.attributes["closest"] == {wrong: right}
        assert caught.value.attributes["slice_id"] == open().slices(Window())[0].slice_id

    def test_closing_twice_is_harmless(self, open: Open) -> None:
        source = open()
        pages_of(source)
        source.close()
        source.close()
