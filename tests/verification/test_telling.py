"""Portals are told: signed, in order, at least once, what they may know, where the operator agreed."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator

import httpx
import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from foundation import clock
from foundation.database import Role
from foundation.http import Timeouts
from tests.verification.changing import OPERATOR, Aftermath, aftermath
from tests.verification.city import ASKER, BUDI, POLICE, PORTAL, SITI, City
from verification import notices, webhooks
from verification.answering import answer
from verification.errors import WebhookInvalid
from verification.events import encoded, event, signed_headers
from verification.notices import NoticeState
from verification.reading import read
from verification.sending import Patience, Sender, Sent

METADATA_SERVICE = "https://169.254.169.254/latest"


@pytest.fixture
def after(city: City) -> Iterator[Aftermath]:
    with aftermath(city) as made:
        made.match()
        yield made


def changed(after: Aftermath, *cases: str, citizen=SITI) -> None:
    """As many notices as cases: the citizen dies."""
    for case in cases:
        after.answered(citizen, case=case)
    after.dies(citizen)
    after.review()


def test_a_dispatcher_tells_a_portal_within_moments(after: Aftermath) -> None:
    given = after.answered(case="K-2026-17")
    after.listen()
    with after.dispatcher():
        after.dies()
        (received,) = after.receiver.wait_for(1, timeout=30)
    assert received.event["subject"] == str(given.answer_id)
    assert received.data["application"] == "K-2026-17"
    assert received.data["origin"] == str(given.answer_id)
    new = read(after.context, after.owed()[0].review_id, ASKER)
    assert received.data["review"] == str(new.answer_id)
    assert new.content["verdict"] == "refer"
    (pushed,) = after.city.entries("exchange.pushed")
    (delivered,) = after.city.entries("notice.delivered")
    assert pushed["details"]["notice"] == delivered["details"]["notice"] == received.event_id
    assert pushed["decision"]
    assert pushed["subjects"]
    assert after.receiver.refused == []


def test_an_event_is_a_cloud_event_and_says_nothing_about_the_person(after: Aftermath) -> None:
    changed(after, "K-1")
    (notice,) = after.owed()
    keys = after.context.vault.keys_of(notice.subject)
    body = encoded(event(notice, keys, "https://bus.example"))
    read_back = JSONFormat().read(CloudEvent, body)
    assert read_back.get_id() == str(notice.notice_id)
    assert read_back.get_type() == "lintas.answer.review.v1"
    text = body.decode()
    for telling in (SITI.nik, SITI.name, "refer", "not_met", "alive", str(notice.subject)):
        assert telling not in text
    assert body == encoded(event(notice, keys, "https://bus.example"))


def test_the_log_knows_before_anything_leaves(after: Aftermath) -> None:
    changed(after, "K-1")
    after.listen()
    after.receiver.stop()
    assert set(after.send()) == {Sent.POSTPONED, Sent.DEAD}
    assert len(after.city.entries("exchange.pushed")) == 1
    assert after.city.entries("notice.delivered") == []


def test_a_receiver_that_fails_is_tried_again_with_the_same_event(after: Aftermath) -> None:
    changed(after, "K-1")
    after.listen()
    after.receiver.answers.extend([503, 500])
    assert after.send() == [Sent.POSTPONED, Sent.POSTPONED, Sent.DELIVERED]
    assert len(after.receiver.deliveries) == 3
    assert len(set(after.receiver.deliveries)) == len(after.receiver.notices) == 1
    assert after.owed()[0].attempts == 3


def test_a_pause_that_the_receiver_asks_for_is_kept(after: Aftermath) -> None:
    changed(after, "K-1")
    after.listen()
    after.receiver.answers.append((429, {"Retry-After": "120"}))
    assert after.send() == [Sent.POSTPONED]
    waiting = after.owed()[0].due_at - clock.now()
    assert dt.timedelta(seconds=100) < waiting <= dt.timedelta(seconds=120)
    with clock.shifted(dt.timedelta(seconds=121)):
        assert after.sender.send_one() in {Sent.DELIVERED, Sent.POSTPONED}  # a receiver checks the time, too


def test_pauses_grow_spread_and_end() -> None:
    patience = Patience()
    pauses = [[patience.pause(attempt).total_seconds() for _ in range(50)] for attempt in range(1, 20)]
    for attempt, drawn in enumerate(pauses):
        longest = min(3600.0, 2.0**attempt)
        assert longest / 2 <= min(drawn) <= max(drawn) <= longest
        assert len(set(drawn)) > 1
    assert patience.pause(1, asked=10**9) == dt.timedelta(days=1)


def test_what_cannot_be_delivered_waits_for_the_operator_and_holds_back_only_its_application(
    after: Aftermath,
) -> None:
    after.answered(case="K-1")
    changed(after, "K-2")
    after.revives()
    after.review()
    after.listen()
    after.receiver.failing_at = {"K-1"}
    sent = after.send()
    assert sent.count(Sent.DEAD) == 1
    assert sent.count(Sent.DELIVERED) == 2
    dead = next(each for each in after.owed() if each.state is NoticeState.DEAD)
    held = [each for each in after.owed() if each.state is NoticeState.QUEUED]
    assert [each.application for each in held] == [dead.application]
    assert len(after.city.entries("notice.dead")) == 1
    with after.city.connect(Role.STEWARD) as connection:
        notices.requeue(connection, dead)
    after.receiver.failing_at.clear()
    assert after.send() == [Sent.DELIVERED, Sent.DELIVERED]
    assert after.receiver.overtaken == []


def test_a_discarded_notice_lets_later_ones_pass(after: Aftermath) -> None:
    changed(after, "K-1")
    after.revives()
    after.review()
    after.listen()
    first, second = after.owed()
    with after.city.connect(Role.STEWARD) as connection:
        notices.settle(connection, first, NoticeState.DISCARDED, "told-by-telephone")
    assert after.send() == [Sent.DELIVERED]
    assert after.receiver.notices[0].event_id == str(second.notice_id)


def test_numbers_have_no_gaps_and_appear_in_their_order(after: Aftermath) -> None:
    for number in range(6):
        after.answered(case=f"K-{number}")
    after.dies()
    after.match()
    seen: list[list[int]] = []
    done = threading.Event()

    def look() -> None:
        with after.city.connect(autocommit=True) as connection:
            while not done.is_set():
                seen.append([each.number for each in notices.after(connection, PORTAL, 0, 100)])

    watcher = threading.Thread(target=look)
    reviewers = [threading.Thread(target=after.review) for _ in range(3)]
    for each in (watcher, *reviewers):
        each.start()
    for each in reviewers:
        each.join()
    done.set()
    watcher.join()
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
    assert [each.number for each in after.owed()] == [1, 2, 3, 4, 5, 6]


def test_a_consent_taken_back_drops_what_waits(after: Aftermath) -> None:
    consent = after.city.consent_of(after.context, SITI)
    answer(after.context, SITI.question(), ASKER)
    after.dies()
    after.review()
    after.listen()
    after.city.withdraw(after.context, SITI, consent)
    with after.city.connect() as connection:
        assert notices.after(connection, PORTAL, 0, 10) == []
    assert after.sender.drop_objected() == 1
    assert after.send() == []
    assert after.owed()[0].state is NoticeState.DROPPED
    assert after.receiver.deliveries == []
    assert len(after.city.entries("notice.dropped")) == 1


def test_a_consent_taken_back_at_the_last_moment_stops_the_sender_itself(after: Aftermath) -> None:
    consent = after.city.consent_of(after.context, SITI)
    answer(after.context, SITI.question(), ASKER)
    after.dies()
    after.review()
    after.listen()
    after.city.withdraw(after.context, SITI, consent)
    assert after.send() == [Sent.DROPPED]
    assert after.receiver.deliveries == []
    assert after.city.entries("exchange.pushed") == []


def test_nothing_is_sent_to_an_address_that_the_operator_did_not_approve(after: Aftermath) -> None:
    changed(after, "K-1")
    with after.city.connect() as connection:
        registered = webhooks.register(connection, PORTAL, after.receiver.url, by=PORTAL)
    assert registered.status == "pending"
    assert after.send() == []
    with after.city.connect(Role.STEWARD) as connection:
        assert webhooks.approve(connection, PORTAL, by=OPERATOR).status == "active"
    assert (
        after.sender.send_one() is Sent.POSTPONED
    )  # the machine does not know the authority of the receiver
    assert after.owed()[0].last_error == "tls-refused"
    assert after.receiver.deliveries == []
    after.listen()
    assert after.send() == [Sent.DELIVERED]


def test_a_portal_that_moves_its_webhook_needs_a_new_approval(after: Aftermath) -> None:
    after.listen()
    with after.city.connect() as connection:
        moved = webhooks.register(connection, PORTAL, "https://internal.example/hook", by=PORTAL)
    assert moved.status == "pending"


@pytest.mark.parametrize(
    "url",
    [
        "http://portal.example/hook",
        "https://",
        "https://user:secret@portal.example/hook",
        "https://portal.example/hook?person=1",
        "https://portal.example/hook#here",
        "https://portal.example:0/hook",
        "https://portal.example:99999/hook",
        "https://portal.example/3576025505900003",
        "https://portal.example/a b",
        "https://pórtal.example/hook",
        "https://[::ffff:169.254.169.254]/",
        "https://224.0.0.1/",
        "https://0.0.0.0/",
        "https://portal.example/" + "x" * 300,
        METADATA_SERVICE,
    ],
)
def test_addresses_that_no_webhook_may_have(url: str) -> None:
    with pytest.raises(WebhookInvalid):
        webhooks.check(url, None)


@pytest.mark.parametrize("ca", ["", "no certificate", "-----BEGIN PRIVATE KEY-----", "x" * 30_000])
def test_authorities_that_are_none(ca: str) -> None:
    with pytest.raises(WebhookInvalid):
        webhooks.check("https://portal.example/hook", ca)


def test_a_name_that_leads_into_this_machine_is_not_called(after: Aftermath, monkeypatch) -> None:
    import socket

    changed(after, "K-1")
    with after.city.connect(Role.STEWARD) as connection:
        webhooks.register(
            connection, PORTAL, "https://portal.example:8443/hook", by=OPERATOR, is_operator=True
        )
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: inside)
    assert after.send() == [Sent.POSTPONED]
    with after.city.connect(Role.STEWARD) as connection:
        assert webhooks.find(connection, PORTAL).status == "paused"
    assert after.owed()[0].last_error == "address-refused"


def test_a_receiver_that_is_gone_is_asked_no_more(after: Aftermath) -> None:
    changed(after, "K-1", "K-2")
    after.listen()
    after.receiver.answers.append(410)
    assert after.send() == [Sent.POSTPONED]
    with after.city.connect(Role.STEWARD) as connection:
        assert webhooks.find(connection, PORTAL).status == "paused"
    assert {each.state for each in after.owed()} == {NoticeState.QUEUED}
    with after.city.connect(Role.STEWARD) as connection:
        webhooks.approve(connection, PORTAL, by=OPERATOR)
    assert after.send() == [Sent.DELIVERED, Sent.DELIVERED]


def test_a_receiver_takes_nothing_that_the_bus_did_not_sign(after: Aftermath) -> None:
    changed(after, "K-1")
    (notice,) = after.owed()
    keys = after.context.vault.keys_of(notice.subject)
    url = after.receiver.url
    body = encoded(event(notice, keys, "https://bus.example"))
    stranger = after.city.keys[PORTAL]
    right = signed_headers(after.context.signer.pair, url, body)
    too_old = signed_headers(after.context.signer.pair, url, body, at=clock.now() - dt.timedelta(hours=1))
    elsewhere = signed_headers(after.context.signer.pair, "https://elsewhere.example/hooks/lintas", body)
    attempts = [
        (body, {"Content-Type": right["Content-Type"]}),
        (body.replace(b"K-1", b"K-2"), right),
        (body, signed_headers(stranger, url, body)),
        (body, too_old),
        (body, elsewhere),
    ]
    trust = ssl.create_default_context(cafile=str(after.receiver.authority.ca_path))
    with httpx.Client(verify=trust, trust_env=False) as client:
        for content, headers in attempts:
            assert client.post(url, content=content, headers=headers).status_code == 400
        assert client.post(url, content=body, headers=right).status_code == 204
        assert client.post(url, content=body, headers=right).status_code == 204
    assert len(after.receiver.notices) == 1
    assert orjson.loads(body)["id"] == after.receiver.notices[0].event_id


def test_two_senders_never_send_one_notice_at_a_time(after: Aftermath) -> None:
    changed(after, *(f"K-{number}" for number in range(8)))
    after.listen()
    another = Sender(after.dispatching)
    threads = [threading.Thread(target=after.send)]
    threads.append(threading.Thread(target=lambda: [another.send_one() for _ in range(12)]))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    another.close()
    after.send()
    assert len(after.receiver.deliveries) == len(set(after.receiver.deliveries)) == 8


def test_a_receiver_that_never_answers_does_not_keep_others_waiting(after: Aftermath) -> None:
    for number in range(6):
        after.answered(case=f"K-{number}")
    for number in range(3):
        answer(after.context, BUDI.question(service="skck", claims={}, case_number=f"S-{number}"), POLICE)
    after.listen(POLICE.system)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url, ca = f"https://localhost:{mute.getsockname()[1]}/hooks", after.receiver.authority.ca_pem
        with after.city.connect(Role.STEWARD) as connection:
            webhooks.register(connection, PORTAL, url, by=OPERATOR, ca_pem=ca, is_operator=True)
        after.dies(SITI)
        after.review()
        patience = Patience(first=0.0, timeouts=Timeouts(connect=20.0, read=20.0, total=20.0))
        with after.dispatcher(patience=patience, senders=4):
            mute.settimeout(10.0)
            held = [mute.accept()[0] for _ in range(2)]
            after.dies(BUDI)
            told = after.receiver.wait_for(3, timeout=10.0)
            mute.settimeout(0.1)
            with pytest.raises(TimeoutError):
                held.append(mute.accept()[0])
            for each in held:
                each.close()
            mute.close()
    queued = {str(each.notice_id): each.queued_at.timestamp() for each in after.owed()}
    assert all(each.received_at - queued[each.event_id] <= 2.0 for each in told)
    assert {each.data["service"] for each in told} == {"skck"}


def test_a_suspended_portal_is_told_nothing_until_it_is_reinstated(after: Aftermath) -> None:
    from participants.standing import reinstate_system, suspend_system

    changed(after, "K-1", citizen=SITI)
    after.listen()
    with after.city.connect(Role.STEWARD) as connection:
        suspend_system(connection, PORTAL)
    assert after.sender.send_one() is Sent.POSTPONED
    assert after.receiver.deliveries == []
    with after.city.connect(Role.STEWARD) as connection:
        reinstate_system(connection, PORTAL)
    assert after.send()[-1] is Sent.DELIVERED
    assert BUDI.nik not in str(after.receiver.notices)
