"""Rows that could not be used: kept, sealed, explained, opened only under an entry, and replayed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.errors import ExchangeDenied
from foundation.database import Role
from foundation.keyring import Keyring
from records import quarantine
from records.errors import QuarantineRowGone, RowNotReplayable
from records.replay import replay
from records.sealing import Place, SealBroken, open_row, seal_page

from .world import PERSONS, World, nik_of, person


def sync_with_bad_rows(world: World, *bad: dict[str, object]) -> None:
    world.sync(PERSONS, [*(person(number) for number in range(1, 100)), *bad])


def test_a_rejected_row_is_kept_with_its_reason_and_is_not_readable_in_the_database(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None, alamat="JL. RAHASIA 7"))
    with world.installation.database.connect(Role.STEWARD) as connection:
        (row,) = quarantine.list_rows(connection, dataset_id=PERSONS)
    assert (row.position, row.fields, row.state) == (99, ("name",), "open")
    assert row.errors[0]["remedy"]
    dumped = repr(world.rows("SELECT * FROM quality.quarantine_row"))
    assert "RAHASIA" not in dumped
    assert nik_of(200) not in dumped


def test_opening_a_row_is_logged_before_it_is_given_out(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None, alamat="JL. RAHASIA 7"))
    row_id = world.value("SELECT row_id FROM quality.quarantine_row")
    (opened,) = quarantine.show(world.installation, [row_id], actor="walidata-01", reason="complaint")
    assert opened.content["alamat"] == "JL. RAHASIA 7"
    assert "RAHASIA" not in repr(opened)
    (entry,) = world.entries("quarantine.")
    assert (entry["kind"], entry["actor"], entry["details"]["rows"]) == (
        "quarantine.viewed",
        "walidata-01",
        1,
    )


def test_the_ingest_role_cannot_read_what_it_sealed(world: World) -> None:
    from foundation.database_errors import PermissionMissing

    sync_with_bad_rows(world, person(200, nama_lgkp=None))
    with pytest.raises(PermissionMissing), world.context.connection() as connection:
        connection.execute("SELECT sealed FROM quality.quarantine_row")


def test_a_corrected_row_goes_through_the_same_pipeline(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None), person(201, nama_lgkp=None))
    first, second = (
        row["row_id"] for row in world.rows("SELECT row_id FROM quality.quarantine_row ORDER BY 1")
    )
    state = world.rows("SELECT source_time, cursor FROM records.dataset_state")
    done = replay(
        world.context, world.contracts[PERSONS], [first, second], actor="walidata-01", reason="names added",
        corrections={first: {"nama_lgkp": "SITI AMINAH"}},
    )  # fmt: skip
    assert (done.rows, done.accepted, done.quarantined) == (2, 1, 1)
    assert world.value("SELECT name FROM records.person_v1 WHERE nik = %s", [nik_of(200)]) == "SITI AMINAH"
    assert world.value("SELECT count(*) FROM records.person_v1") == 100
    assert world.kinds()[-2:] == ["sync.started", "sync.completed"]
    assert world.kinds("quarantine.") == ["quarantine.replayed"]
    assert world.rows("SELECT source_time, cursor FROM records.dataset_state") == state
    assert world.value("SELECT count(*) FROM quality.quarantine_row WHERE state = 'open'") == 1
    with pytest.raises(QuarantineRowGone):
        replay(world.context, world.contracts[PERSONS], [first], actor="walidata-01", reason="again")


def test_a_replay_that_no_agreement_covers_is_refused_with_an_entry(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None))
    row_id = world.value("SELECT row_id FROM quality.quarantine_row")
    world.end_agreement(world.contracts[PERSONS].agency)
    with pytest.raises(ExchangeDenied):
        replay(world.context, world.contracts[PERSONS], [row_id], actor="walidata-01", reason="try")
    entry = world.entries()[-1]
    assert (entry["kind"], entry["outcome"], entry["actor"]) == ("sync.failed", "denied", "walidata-01")
    assert (entry["details"]["error"], entry["details"]["step"]) == ("exchange-denied", "replay")
    assert world.value("SELECT state FROM quality.quarantine_row") == "open"


def test_rows_with_one_key_are_not_replayed_because_only_the_producer_knows(world: World) -> None:
    sync_with_bad_rows(world, person(5, alamat="LAIN"))
    ids = [row["row_id"] for row in world.rows("SELECT row_id FROM quality.quarantine_row")]
    with pytest.raises(RowNotReplayable):
        replay(world.context, world.contracts[PERSONS], ids, actor="walidata-01", reason="try")


def test_a_new_snapshot_settles_what_the_one_before_left_in_quarantine(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None))
    sync_with_bad_rows(world, person(200))
    assert world.value("SELECT state FROM quality.quarantine_row") == "superseded"
    assert world.value("SELECT count(*) FROM quality.quarantine_tag") == 0
    assert world.value("SELECT count(*) FROM records.person_v1") == 100


def test_a_discarded_row_no_longer_counts_and_that_is_logged(world: World) -> None:
    sync_with_bad_rows(world, person(200, nama_lgkp=None))
    row_id = world.value("SELECT row_id FROM quality.quarantine_row")
    assert quarantine.discard(world.installation, [row_id], actor="walidata-01", reason="test data") == 1
    assert world.value("SELECT count(*) FROM quality.quarantine_tag") == 0
    assert world.entries("quarantine.")[-1]["outcome"] == "discarded"


@given(
    st.dictionaries(
        st.text(max_size=10), st.none() | st.text() | st.integers(-(2**53), 2**53) | st.booleans(), max_size=5
    )
)
def test_what_is_sealed_opens_to_the_same_row_and_only_in_its_place(tmp_path_factory, row) -> None:
    from uuid import UUID

    keyring = _keyring(tmp_path_factory)
    place = Place(UUID(int=1), "all", 3)
    envelope = seal_page(keyring, place)
    sealed = envelope.seal(7, row)
    assert open_row(keyring, envelope.kid, envelope.sealed_key, place=place, position=7, sealed=sealed) == row
    for elsewhere, position in ((place, 8), (replace(place, page_no=4), 7)):
        with pytest.raises(SealBroken):
            open_row(
                keyring, envelope.kid, envelope.sealed_key, place=elsewhere, position=position, sealed=sealed
            )


_KEYRINGS: list[Keyring] = []


def _keyring(tmp_path_factory) -> Keyring:
    if not _KEYRINGS:
        keyring = Keyring.open(tmp_path_factory.mktemp("keys"), b"test")
        keyring.ensure("quarantine", "x25519")
        _KEYRINGS.append(keyring)
    return _KEYRINGS[0]
