"""Who a number stands for, and what the registers say about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import clock
from foundation.database import Role
from records import attempts
from records.errors import NeedUnknown, SubjectNotMatched, TooManyAttempts
from records.evidence import Evidence, EvidenceStatus, Need, evidence
from records.identity import (
    ATTEMPT_WINDOW,
    ATTEMPTS,
    Applicant,
    ConfirmedSubject,
    confirm,
    links_of,
    relink,
    sever,
)
from records.names import same_name
from records.sync import reject_held
from schemas.identifiers import FamilyCardNumber, Nik

from .world import DEATHS, PERSONS, TAX, World, death, nik_of, person, tax
from .worlds import AnotherWorld, copies_of

PERSON = Need("person", PERSONS, ("birth_date", "region_code"))
DEATH = Need("death", DEATHS, ("death_date",))
STANDING = Need("tax", TAX, ("standing", "tax_year"))
BIRTH = date(1990, 1, 1)
NAME = "BUDI SANTOSO"


@contextmanager
def asking(world: World, number: int = 1) -> Iterator[tuple[Any, ConfirmedSubject]]:
    with world.api() as connection, world.vault() as vault:
        yield (
            connection,
            confirm(connection, vault, Applicant(Nik.parse(nik_of(number)), name=NAME), "office"),
        )


def ask(world: World, *needs: Need, number: int = 1) -> dict[str, Evidence]:
    with asking(world, number) as (connection, subject):
        return evidence(connection, subject, needs, clock.now())


def status(world: World, need: Need, number: int = 1) -> EvidenceStatus:
    return ask(world, need, number=number)[need.name].status


@pytest.fixture(scope="module")
def another_city(another_world: AnotherWorld, session_directory: Path) -> Iterator[AnotherWorld]:
    with another_world() as world:
        world.sync(PERSONS, [person(number) for number in range(1, 101)])
        world.sync(DEATHS, [death(2)])
        world.sync(
            TAX, [tax(1), tax(1, tahun_kswp="2025", tanggal_terbit="2025-02-01", status_kswp="TIDAK VALID")]
        )
        yield copies_of(world, session_directory)


@pytest.fixture
def city(another_city: AnotherWorld) -> Iterator[World]:
    with another_city() as found:
        yield found


def test_evidence_holds_the_needed_fields_and_nothing_else(city: World) -> None:
    found = ask(city, PERSON, DEATH, STANDING)
    assert found["person"].values == {"birth_date": BIRTH, "region_code": "35.76.02.1001"}
    assert found["person"].status == "present"
    assert found["death"].status == "absent"
    assert found["tax"].values == {"standing": "valid", "tax_year": 2026}
    assert found["person"].provider == "dukcapil-mojokerto"
    assert found["person"].fresh_until > clock.now()
    assert nik_of(1) not in repr(found)


def test_a_death_published_a_moment_ago_counts_at_once(city: World) -> None:
    with asking(city) as (connection, subject):
        assert evidence(connection, subject, [DEATH], clock.now())["death"].status == "absent"
        city.sync(DEATHS, [death(2), death(1)])
        found = evidence(connection, subject, [DEATH], clock.now())["death"]
    assert (found.status, found.values) == ("present", {"death_date": date(2024, 5, 1)})


def test_a_quarantined_death_is_never_absent(city: World) -> None:
    report = city.sync(
        DEATHS, [death(2), *(death(number) for number in range(50, 80)), death(1, tgl_mati=date(2926, 1, 1))]
    )
    assert report.quarantined == 1
    assert status(city, DEATH) == "quarantined"
    assert status(city, DEATH, number=3) == "absent"


def test_a_batch_that_is_held_makes_only_those_uncertain_whose_records_it_would_change(city: World) -> None:
    report = city.sync(
        PERSONS, [person(1, alamat="JL. BARU 1"), *(person(number) for number in range(2, 60))]
    )
    assert report.held
    assert status(city, PERSON) == "held"
    assert status(city, PERSON, number=3) == "present"
    reject_held(city.installation, report.batch_id, actor="steward-1", reason="cut")
    assert status(city, PERSON) == "present"


def test_what_is_older_than_its_contract_allows_is_stale(city: World) -> None:
    with asking(city) as (connection, subject):
        later = evidence(connection, subject, [PERSON, DEATH], clock.now() + timedelta(hours=37))
    assert {each.status for each in later.values()} == {EvidenceStatus.STALE}


def test_a_dataset_that_was_never_read_says_nothing(world: World) -> None:
    world.sync(PERSONS, [person(1)])
    assert ask(world, DEATH, STANDING)["death"].status == "unknown"
    assert status(world, Need("x", "nobody/nothing", ("a",))) == "unknown"


def test_absence_from_an_open_world_is_unknown(city: World) -> None:
    assert status(city, STANDING, number=3) == "unknown"


def test_two_records_that_disagree_are_a_conflict(city: World) -> None:
    city.execute(
        "INSERT INTO records.tax_standing_v1 SELECT nextval('records.record_id'), agency, dataset,"
        " source_key || 'x',"
        " valid_from, valid_to, recorded_from, batch_id, contract_version, content_hash, leaf_salt,"
        " npwp, nik, name,"
        " tax_year, 'not_valid', reason, issued_on FROM records.tax_standing_v1 WHERE tax_year = 2026"
    )
    found = ask(city, STANDING)["tax"]
    assert (found.status, found.values, len(found.record_ids)) == ("conflict", {}, 2)


def test_a_need_for_a_field_that_is_not_there_is_named(city: World) -> None:
    with pytest.raises(NeedUnknown, match="shoe_size"):
        ask(city, Need("person", PERSONS, ("shoe_size",)))


def test_a_severed_record_gives_no_evidence_until_it_is_linked_again(city: World) -> None:
    with asking(city) as (connection, subject):
        (record_id,) = evidence(connection, subject, [PERSON], clock.now())["person"].record_ids
        assert record_id in {link.record_id for link in links_of(connection, subject.keys)}
        with city.installation.database.connect(Role.STEWARD) as steward:
            sever(steward, subject.keys, record_id, actor="walidata-01", why="another person's record")
        assert evidence(connection, subject, [PERSON], clock.now())["person"].status == "absent"
        assert record_id not in {link.record_id for link in links_of(connection, subject.keys)}
    with asking(city) as (connection, subject):
        assert evidence(connection, subject, [PERSON], clock.now())["person"].status == "absent"
        with city.installation.database.connect(Role.STEWARD) as steward:
            relink(
                steward, subject.keys, record_id, PERSONS, actor="walidata-01", why="it was right after all"
            )
        assert evidence(connection, subject, [PERSON], clock.now())["person"].status == "present"
    assert city.kinds("identity.") == ["identity.unlinked", "identity.linked"]


def test_a_subject_is_linked_to_every_record_that_carries_the_number(city: World) -> None:
    with asking(city) as (connection, subject):
        links = links_of(connection, subject.keys)
    assert sorted(link.dataset_id for link in links) == sorted([PERSONS, TAX, TAX])


def refusals(world: World, applicants: list[Applicant]) -> list[BaseException]:
    found: list[BaseException] = []
    with world.api() as connection, world.vault() as vault:
        for number, applicant in enumerate(applicants):
            with pytest.raises(SubjectNotMatched) as raised:
                confirm(connection, vault, applicant, f"office-{number}")
            found.append(raised.value)
    return found


def test_every_failed_match_looks_the_same(city: World) -> None:
    known, unknown = Nik.parse(nik_of(1)), Nik.parse(nik_of(900))
    card = FamilyCardNumber.parse("3576020101129999")
    found = refusals(
        city,
        [
            Applicant(known),
            Applicant(known, name="ORANG LAIN"),
            Applicant(known, birth_date=BIRTH),
            Applicant(known, name="BUDI SANTOSO", birth_date=date(1991, 1, 1)),
            Applicant(known, family_card_number=card),
            Applicant(unknown, name="BUDI SANTOSO", birth_date=BIRTH),
        ],
    )
    assert len({(type(error), str(error)) for error in found}) == 1


def test_a_number_that_was_not_matched_leaves_no_handle(city: World) -> None:
    refusals(city, [Applicant(Nik.parse(nik_of(900)), birth_date=BIRTH)])
    with city.vault() as vault:
        assert vault.find("nik", nik_of(900)) is None


def test_too_many_attempts_are_refused_even_with_the_right_element_and_only_for_that_office(
    city: World,
) -> None:
    wrong, right = (Applicant(Nik.parse(nik_of(1)), name=name) for name in ("ORANG LAIN", NAME))
    with city.api() as connection, city.vault() as vault:
        for _ in range(ATTEMPTS):
            with pytest.raises(SubjectNotMatched):
                confirm(connection, vault, wrong, "office")
        with pytest.raises(TooManyAttempts):
            confirm(connection, vault, right, "office")
        confirm(connection, vault, right, "another office")
        with clock.shifted(ATTEMPT_WINDOW + timedelta(seconds=1)):
            confirm(connection, vault, right, "office")


def test_failures_of_one_office_are_counted_across_all_numbers(
    city: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CONSUMER_ATTEMPTS", 3)
    right = Applicant(Nik.parse(nik_of(1)), name=NAME)
    with city.api() as connection, city.vault() as vault:
        confirm(connection, vault, right, "office")
        for number in range(3):
            with pytest.raises(SubjectNotMatched):
                confirm(connection, vault, Applicant(Nik.parse(nik_of(900 + number)), name=NAME), "office")
        with pytest.raises(TooManyAttempts) as over_all:
            confirm(connection, vault, right, "office")
        for _ in range(ATTEMPTS - 2):
            confirm(connection, vault, right, "another office")
        with clock.shifted(ATTEMPT_WINDOW + timedelta(seconds=1)):
            confirm(connection, vault, right, "office")
    assert over_all.value.attributes["retry_after"] == ATTEMPT_WINDOW.total_seconds()


def test_the_two_limits_on_attempts_refuse_alike(city: World, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Applicant(Nik.parse(nik_of(1)), name=NAME)
    refused = set()
    with city.api() as connection, city.vault() as vault:
        for limit in ("ATTEMPTS", "CONSUMER_ATTEMPTS"):
            with monkeypatch.context() as patched:
                patched.setattr(attempts, limit, 0)
                with pytest.raises(TooManyAttempts) as raised:
                    confirm(connection, vault, right, "office")
            refused.add(str(raised.value))
    assert len(refused) == 1


def test_attempts_that_count_no_longer_are_forgotten(city: World) -> None:
    with city.api() as connection, city.vault() as vault:
        for number in range(3):
            with pytest.raises(SubjectNotMatched):
                confirm(connection, vault, Applicant(Nik.parse(nik_of(900 + number)), name=NAME), "office")
        with clock.shifted(ATTEMPT_WINDOW + timedelta(seconds=1)), pytest.raises(SubjectNotMatched):
            confirm(connection, vault, Applicant(Nik.parse(nik_of(950)), name=NAME), "office")
        assert connection.execute("SELECT count(*) FROM identity.attempt").fetchone() == (1,)


def test_a_birth_date_is_no_second_element_because_the_number_tells_it(city: World) -> None:
    nik = Nik.parse(nik_of(1))
    assert nik.value[6:12] == BIRTH.strftime("%d%m%y")
    refusals(city, [Applicant(nik, birth_date=BIRTH)])
    with city.api() as connection, city.vault() as vault:
        confirm(connection, vault, Applicant(nik, name=NAME, birth_date=BIRTH), "another office")


def test_attempts_made_at_once_are_no_way_around_the_limit(city: World) -> None:
    guesses, tried, begin = 4 * ATTEMPTS, [], Barrier(4 * ATTEMPTS)

    def guess(vault: Any, number: int) -> None:
        applicant = Applicant(Nik.parse(nik_of(1)), name=f"ORANG LAIN {number}")
        with city.api() as connection:
            begin.wait()
            try:
                confirm(connection, vault, applicant, "office")
            except (SubjectNotMatched, TooManyAttempts) as error:
                tried.append(type(error))

    with city.vault() as vault:
        threads = [Thread(target=guess, args=(vault, number)) for number in range(guesses)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert tried.count(SubjectNotMatched) == ATTEMPTS
    assert tried.count(TooManyAttempts) == guesses - ATTEMPTS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Dr. H. Moh. Achmad Soebandi, S.H., M.Si.", "MOHAMMAD AHMAD SUBANDI"),
        ("Siti Nur'aini", "SITI NURAINI"),
        ("Djoko Tjahyono", "Joko Cahyono"),
        ("SOEKARNO", "Sukarno"),
    ],
)
def test_one_name_in_two_spellings_is_one_name(first: str, second: str) -> None:
    assert same_name(first, second)


@pytest.mark.parametrize(
    ("first", "second"), [("BUDI SANTOSO", "BUDI SANTOSA"), ("SITI", "SITI AMINAH"), ("", "")]
)
def test_two_names_stay_two_names(first: str, second: str) -> None:
    assert not same_name(first, second)


WORDS = st.lists(
    st.sampled_from(["BUDI", "SITI", "AMINAH", "SANTOSO", "RAHAYU", "NUR"]), min_size=1, max_size=4
)


@given(
    WORDS,
    st.sampled_from(["Dr. ", "H. ", "Drs. H. ", "Ir. ", ""]),
    st.sampled_from([", S.H.", ", M.Si., Ph.D", ""]),
)
def test_titles_case_and_spaces_do_not_change_a_name(words: list[str], before: str, after: str) -> None:
    assert same_name(before + "  ".join(words).title() + after, " ".join(words))


@given(WORDS, WORDS)
def test_different_names_stay_different(first: list[str], second: list[str]) -> None:
    assert same_name(" ".join(first), " ".join(second)) is (first == second)
