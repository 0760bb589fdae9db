"""An answer is verified again when what it relied on changes; nobody's answer is taken back in silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from consent.errors import ExchangeDenied
from foundation import clock
from foundation.database import DatabaseName, Role
from tests.verification.changing import DEATHS, PERSONS, Aftermath, aftermath
from tests.verification.city import AGUS, ASKER, BUDI, MAYA, SERVICE_MALL, SITI, TONO, City
from verification.answering import answer
from verification.reading import read
from verification.reviewing import Reviewed, review


@pytest.fixture
def after(city: City) -> Iterator[Aftermath]:
    with aftermath(city) as made:
        made.match()
        yield made


def test_an_answer_is_watched_from_the_transaction_that_stores_it(after: Aftermath) -> None:
    given = after.answered()
    answer_id, datasets, until = after.row("SELECT answer_id, datasets, until FROM verification.watch")
    assert answer_id == given.answer_id
    assert DEATHS in datasets
    assert (until - clock.now()).days == 29  # as long as the consumer may keep the answer


def test_what_was_refused_is_not_watched(after: Aftermath) -> None:
    with pytest.raises(ExchangeDenied):
        answer(after.context, SITI.question(), ASKER)
    assert after.city.count("verification.watch") == 0


def test_a_death_makes_a_new_answer_and_leaves_the_old_one_as_it_was(after: Aftermath) -> None:
    given = after.answered()
    before = len(after.city.entries("exchange.answered"))
    after.dies()
    assert after.review() == [Reviewed.CHANGED]
    (notice,) = after.owed()
    assert notice.answer_id == given.answer_id
    new = read(after.context, notice.review_id, ASKER)
    assert new.content["verdict"] == "refer"
    assert new.content["reviews"] == str(given.answer_id)
    assert {each["criterion"]: each["outcome"] for each in new.content["outcomes"]}["alive"] == "not_met"
    assert read(after.context, given.answer_id, ASKER).content == given.content
    (entry,) = after.city.entries("exchange.reviewed")
    assert entry["outcome"] == "refer"
    assert entry["details"]["answer"] == str(given.answer_id)
    assert entry["details"]["review"] == str(notice.review_id)
    assert entry["subjects"]
    assert entry["decision"]
    assert len(after.city.entries("referral.opened")) == 1
    assert len(after.city.entries("exchange.answered")) == before


def test_a_change_that_changes_no_outcome_is_logged_and_told_to_nobody(after: Aftermath) -> None:
    after.answered()
    after.publish("person_v1", PERSONS, SITI)
    assert after.review() == [Reviewed.UNCHANGED]
    assert after.owed() == []
    (entry,) = after.city.entries("exchange.reviewed")
    assert entry["outcome"] == "unchanged"


def test_somebody_elses_death_concerns_nobody(after: Aftermath) -> None:
    after.answered()
    after.dies(BUDI)
    assert after.review() == []


def test_the_new_answer_is_watched_in_place_of_the_old_one(after: Aftermath) -> None:
    after.answered(case="K-17")
    after.dies()
    after.review()
    after.revives()
    assert after.review() == [Reviewed.CHANGED]
    first, second = after.owed()
    assert (first.number, second.number) == (1, 2)
    assert second.answer_id == first.review_id
    assert second.application == first.application
    assert read(after.context, second.review_id, ASKER).content["verdict"] == "verified"
    assert after.city.count("verification.watch") == 1


def test_an_answer_about_a_child_is_reviewed_when_the_child_dies(after: Aftermath) -> None:
    asked = MAYA.question(service="kia", claims={"child_nik": TONO.nik})
    given = answer(after.context, asked, SERVICE_MALL)
    assert given.content["verdict"] == "verified"
    after.publish("death_v1", DEATHS, AGUS)
    assert after.review() == []
    after.dies(TONO)
    assert after.review() == [Reviewed.CHANGED]
    (notice,) = after.owed()
    assert (notice.answer_id, notice.system) == (given.answer_id, SERVICE_MALL.system)
    assert not notice.needs_consent


def test_two_reviewers_make_one_new_answer(after: Aftermath) -> None:
    given = after.answered()
    after.dies()
    ended: list[Reviewed] = []
    found_at = clock.now()
    both = threading.Barrier(2)

    def again() -> None:
        both.wait()
        ended.append(review(after.dispatching, given.answer_id, found_at))

    reviewers = [threading.Thread(target=again) for _ in range(2)]
    for each in reviewers:
        each.start()
    for each in reviewers:
        each.join()
    assert sorted(ended) == [Reviewed.CHANGED, Reviewed.ENDED]
    assert len(after.owed()) == 1
    assert after.city.count("verification.answer") == 2


def test_who_took_the_consent_back_is_not_looked_at_again(after: Aftermath) -> None:
    consent = after.city.consent_of(after.context, SITI)
    answer(after.context, SITI.question(), ASKER)
    after.city.withdraw(after.context, SITI, consent)
    after.dies()
    assert after.review() == [Reviewed.ENDED]
    assert after.owed() == []
    assert after.city.count("verification.watch") == 0
    assert after.city.entries("exchange.refused")[-1]["rules"] == ["consent.withdrawn"]


def test_what_is_only_overdue_is_looked_at_later_and_told_to_nobody(after: Aftermath) -> None:
    after.answered()
    after.city.overdue()
    after.publish("person_v1", PERSONS, SITI)
    assert after.review() == [Reviewed.POSTPONED]
    assert after.owed() == []
    assert after.row("SELECT due_at > %s FROM verification.review", clock.now())[0]


def test_an_erased_person_has_no_watch(after: Aftermath) -> None:
    after.answered()
    database = after.city.installation.database
    with database.admin(f"{database.settings.database_name}_vault") as vault:
        vault.execute("DELETE FROM vault.subjects")
    after.dies()
    assert after.review() == [Reviewed.ENDED]
    assert after.city.count("verification.watch") == 0


def test_a_row_left_in_quarantine_by_a_published_batch_has_the_answer_reviewed(after: Aftermath) -> None:
    from records.tags import TagKey

    after.answered()
    tag = TagKey.of(after.city.installation.keyring).subject(SITI.nik)
    after.execute(
        "INSERT INTO records.batch (batch_id, dataset_id, kind, attempt, status, run_id, decision_id,"
        " contract_version, contract_hash, window_until, started_at) VALUES"
        " ('00000000-0000-4000-8000-000000000001', %s, 'snapshot', 1, 'assessed', 'r', 'd', '1', 'h', now(),"
        " now())",
        DEATHS,
    )
    after.execute(
        "INSERT INTO quality.quarantine_row (dataset_id, batch_id, slice_id, page_no, position,"
        " contract_version, fields, rules, errors, sealed, quarantined_at) VALUES"
        " (%s, '00000000-0000-4000-8000-000000000001', 's', 0, 1, '1.0.0', '{}', '{}', '[]', '', now())",
        DEATHS,
    )
    after.execute(
        "INSERT INTO quality.quarantine_tag SELECT %s, dataset_id, row_id FROM quality.quarantine_row", tag
    )
    assert after.review() == []  # nothing is known of the batch yet
    after.execute("UPDATE records.batch SET status = 'published'")
    assert after.review() == [Reviewed.CHANGED]
    after.execute("DELETE FROM quality.quarantine_tag")
    assert after.review() == [Reviewed.CHANGED]
    assert read(after.context, after.owed()[-1].review_id, ASKER).content["verdict"] == "verified"


def test_the_dispatcher_reads_what_answers_need_and_nothing_of_stewards(after: Aftermath) -> None:
    import psycopg

    forbidden = (
        "SELECT sealed FROM quality.quarantine_row",
        "SELECT * FROM verification.used_assertion",
        "INSERT INTO consent.consent VALUES (gen_random_uuid(), gen_random_uuid(), 'a', 'b')",
        "UPDATE verification.answer SET consumer = ''",
        "DELETE FROM verification.answer",
        "DELETE FROM verification.notice",
        "UPDATE verification.webhook SET url = 'https://elsewhere.example/'",
        "UPDATE verification.webhook SET approved_by = 'me'",
        "INSERT INTO verification.webhook VALUES ('a', 'https://a', NULL, 'active', NULL, 'a', 'a', now())",
        "SELECT * FROM audit.entries",
        "DELETE FROM records.change_feed",
    )
    for statement in forbidden:
        with (
            after.city.connect(Role.DISPATCHER) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)
    vault = after.city.installation.database.connect(Role.DISPATCHER, DatabaseName.VAULT)
    with vault as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT sealed_identifier FROM vault.subjects")
