"""An erased person: gone from the records, brought back by no sync, known to no question."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from audit.erasure.erasing import Erased, carry_out
from audit.erasure.grounds import ErasureGround, LiftGround
from audit.erasure.lifting import approve_lift, request_lift
from audit.erasure.requests import approve, request_erasure
from audit.subjects.vault import Vault
from audit.tree.batch_root import prove_record
from foundation.database import Role
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole
from records.errors import SubjectNotMatched
from records.identity import Applicant, confirm
from records.publishing import leaves_of
from records.suppression import forget_person, suppression_tag
from records.sync import publish, reject_held, release, take_over
from records.tables import RecordTable
from schemas.identifiers import Nik
from verification.forgetting import forget_person as forget_answers

from .world import DEATHS, PERSONS, World, death, nik_of, person

EVERYBODY = [person(number) for number in range(1, 121)]
NONE = timedelta(0)


def erase(world: World, number: int) -> Erased:
    """Two officers and a run, as `lintas audit erase` does."""
    installation = world.context.installation
    with Vault(installation, Role.STEWARD) as vault:
        keys = vault.handle_for("nik", nik_of(number))
    with installation.database.connect(Role.STEWARD) as connection:
        ground = ErasureGround.UNLAWFUL_PROCESSING
        request = request_erasure(connection, keys, ground, officer="steward-01", retention=NONE)
        approve(connection, request.request_id, keys, officer="steward-02", retention=NONE)
    return carry_out(
        installation, request.request_id, officer="steward-01", retention=NONE,
        tag_of=partial(suppression_tag, installation), forgetters=[forget_person, forget_answers],
    )  # fmt: skip


def ask(world: World, number: int) -> None:
    with world.api() as connection, world.vault() as vault:
        confirm(connection, vault, Applicant(Nik.parse(nik_of(number)), name="BUDI SANTOSO"), "office")


def known(world: World, number: int) -> list[str]:
    """In which tables the number stands."""
    found = []
    for table in ("person_v1", "person_v1_history", "death_v1", "death_v1_history"):
        query = f"SELECT 1 FROM records.{table} WHERE nik = %s"
        found += [table] * len(world.rows(query, [nik_of(number)]))
    return found


def test_an_erased_person_is_gone_and_no_sync_brings_them_back(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    world.sync(PERSONS, [person(7, alamat="LAIN"), *(each for each in EVERYBODY if each != person(7))])
    world.sync(DEATHS, [death(number) for number in range(1, 30)])
    ask(world, 7)
    ask(world, 8)
    done = erase(world, 7)
    assert done.records == 3  # the record, the version before, the death
    assert known(world, 7) == []
    for again in (EVERYBODY, [person(7, alamat="NEW"), *EVERYBODY[10:], *EVERYBODY[:6], *EVERYBODY[7:10]]):
        report = world.sync(PERSONS, again)
        assert report.published
        assert known(world, 7) == []
    assert world.entries()[-1]["batch"]["suppressed"] == 1
    assert "suppressed" in world.entries()[-1]["batch"]
    assert world.rows("SELECT count(*) AS n FROM records.person_v1")[0]["n"] == 119
    world.sync(DEATHS, [death(number) for number in range(1, 30)])
    assert known(world, 7) == []


def test_whose_suppression_was_lifted_is_taken_in_by_the_next_sync_as_a_stranger(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    ask(world, 7)
    erase(world, 7)
    world.sync(PERSONS, EVERYBODY)
    with world.context.installation.database.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency("operator", "Operator", "operator"))
        for name in ("steward-01", "steward-02"):
            officer = Officer(name, "operator", name, frozenset({OfficerRole.STEWARD}))
            register_officer(connection, officer)
        tag = suppression_tag(world.context.installation, nik_of(7))
        lift = request_lift(connection, tag, LiftGround.NEW_CONSENT, officer="steward-01")
        approve_lift(connection, lift.lift_id, officer="steward-02")
    world.sync(PERSONS, EVERYBODY)
    assert known(world, 7) == ["person_v1"]
    ask(world, 7)


def test_nobody_is_answered_about_an_erased_person(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    ask(world, 7)
    erase(world, 7)
    world.sync(PERSONS, EVERYBODY)
    with pytest.raises(SubjectNotMatched):
        ask(world, 7)
    ask(world, 8)
    with Vault(world.context.installation, Role.STEWARD) as vault:
        assert vault.find("nik", nik_of(7)) is None
    links = world.rows("SELECT count(DISTINCT subject_id) AS n FROM identity.link")
    assert links[0]["n"] == 1


def test_a_row_that_is_left_in_quarantine_about_an_erased_person_goes(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    wrong = [*EVERYBODY[:6], person(7, jenis_klmin=9), *EVERYBODY[7:]]
    world.sync(PERSONS, wrong)
    count = "SELECT (SELECT count(*) FROM quality.quarantine_row) AS n"
    assert world.rows(count)[0]["n"] == 1
    erase(world, 7)
    assert world.rows(count)[0]["n"] == 0
    world.sync(PERSONS, wrong)
    assert world.rows(count)[0]["n"] == 0


def staged(world: World, number: int) -> int:
    """How many rows about the number lie in staging, of whatever batch."""
    tables = world.rows("SELECT relname FROM pg_class WHERE relnamespace = 'staging'::regnamespace")
    count = "SELECT count(*) AS n FROM staging.{} WHERE nik = %s"
    found = [world.rows(count.format(each["relname"]), [nik_of(number)]) for each in tables]
    return sum(row["n"] for (row,) in found)


def test_a_held_batch_keeps_no_row_of_an_erased_person_and_is_released_all_the_same(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    held = world.sync(PERSONS, [person(7, alamat="LAIN"), *EVERYBODY[:6], *EVERYBODY[7:60]])
    assert held.held
    assert staged(world, 7) == 1
    erase(world, 7)
    assert staged(world, 7) == 0
    release(world.installation, held.batch_id, actor="steward-1", reason="they moved")
    published = publish(world.context, take_over(world.context, world.contracts[PERSONS], held.batch_id))
    assert published.closed == 60
    assert known(world, 7) == []


def test_what_a_rejected_batch_left_behind_about_an_erased_person_goes(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    held = world.sync(PERSONS, EVERYBODY[:60])
    reject_held(world.installation, held.batch_id, actor="steward-1", reason="cut")
    assert staged(world, 7) == 1
    erase(world, 7)
    assert (staged(world, 7), staged(world, 8)) == (0, 1)


def test_a_batch_that_is_held_after_the_erasure_leaves_the_person_out(world: World) -> None:
    world.sync(PERSONS, EVERYBODY)
    erase(world, 7)
    held = world.sync(PERSONS, EVERYBODY[:60])
    assert held.held
    assert (staged(world, 7), staged(world, 8)) == (0, 1)
    release(world.installation, held.batch_id, actor="steward-1", reason="they moved")
    publish(world.context, take_over(world.context, world.contracts[PERSONS], held.batch_id))
    assert known(world, 7) == []


def test_every_other_record_of_a_batch_stays_proven_after_an_erasure(world: World) -> None:
    report = world.sync(PERSONS, EVERYBODY)
    root = bytes.fromhex(world.entries()[-1]["batch"]["root"])
    erase(world, 7)
    table = RecordTable.of(world.contracts[PERSONS])
    rows = world.rows("SELECT record_id, leaf_salt, content_hash FROM records.person_v1")
    with world.context.connection() as connection:
        for row in (rows[0], rows[60], rows[-1]):
            proof = prove_record(connection, leaves_of(table), [report.batch_id], row["record_id"])
            proof.verify(bytes(row["leaf_salt"]), bytes(row["content_hash"]), root)
            assert proof.leaves == 120


def test_rooms_forget_nobody_without_an_erasure_that_has_begun(world: World) -> None:
    from uuid import uuid4

    import psycopg

    world.sync(PERSONS, EVERYBODY)
    calls = {
        "SELECT records.forget_person(%s, %s, %s)": [uuid4(), PERSONS, nik_of(7)],
        "SELECT identity.forget_person(%s, %s, %s)": [uuid4(), uuid4(), b""],
        "SELECT verification.forget_person(%s, %s, %s)": [uuid4(), uuid4(), b""],
    }
    for call, given in calls.items():
        for role in (Role.STEWARD, Role.API):
            with (
                world.context.installation.database.connect(role) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(call, given)
