"""The agreed number of collections a day counts syncs, each once, whatever becomes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consent.agreement import publish_revision, revisions, sign_by_both
from consent.errors import ExchangeDenied
from foundation import clock
from foundation.database import Role
from foundation.keyring import Keyring
from records import opening
from records.sync import open_batch

from .world import DEATHS, OPERATOR, PERSONS, World, death, person

PROVIDER = "dukcapil-mojokerto"
AGREEMENT = f"collect-{PROVIDER}"


def agree_on(world: World, quota_per_day: int) -> None:
    keys = [
        Keyring.open(world.installation.home / "agencies" / agency, b"test").current("agreement")
        for agency in (PROVIDER, OPERATOR)
    ]
    with world.installation.database.connect(Role.STEWARD) as connection:
        last = revisions(connection, AGREEMENT)[-1].signed.revision
        terms = last.terms.model_copy(update={"quota_per_day": quota_per_day})
        publish_revision(connection, sign_by_both(last.succeeded_by(terms), keys[0], keys[1]))


def test_one_sync_too_many_asks_the_source_for_nothing_and_is_logged(world: World) -> None:
    agree_on(world, 2)
    world.sync(PERSONS, [person(1)])
    world.sync(DEATHS, [death(1)])
    source = world.give(PERSONS, [person(1), person(2)])
    with pytest.raises(ExchangeDenied) as refused:
        world.sync(PERSONS)
    assert refused.value.attributes["rules"] == ["quota.exhausted"]
    assert source.asked == []
    assert world.entries()[-1]["outcome"] == "denied"
    assert world.value("SELECT leased FROM consent.quota_day WHERE agreement_id = %s", [AGREEMENT]) == 2
    with clock.shifted(timedelta(days=1)):
        world.sync(PERSONS)


def test_a_resumed_sync_is_counted_once_and_may_be_the_last(world: World) -> None:
    agree_on(world, 1)
    world.give(PERSONS, [person(1)])
    begun = open_batch(world.context, world.contracts[PERSONS])
    world.sync(PERSONS)
    assert world.value("SELECT count(*) FROM records.person_v1") == 1
    assert world.kinds() == ["sync.started", "sync.completed"]
    assert world.value("SELECT batch_id FROM records.batch") == begun.batch_id


def test_who_loses_the_race_for_the_last_one_is_refused_with_an_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree_on(world, 1)
    world.give(PERSONS, [person(1)])
    take = opening.take_quota

    def another_was_faster(connection, decision):
        with world.installation.database.connect(Role.INGEST) as other:
            take(other, decision)
        return take(connection, decision)

    monkeypatch.setattr(opening, "take_quota", another_was_faster)
    with pytest.raises(ExchangeDenied):
        world.sync(PERSONS)
    assert [(each["kind"], each["outcome"]) for each in world.entries()] == [("sync.failed", "denied")]
