"""The API as a portal meets it: real HTTPS, real PostgreSQL, real signatures."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time

import pytest

from foundation import clock
from foundation.database import Role
from participants.standing import suspend_system
from sandbox.portal import Portal, PortalRefused
from sandbox.receipts import ReceiptInvalid
from tests.verification.city import BUDI, CLAIMS, OFFICER, PORTAL, SERVICE, SITI, City
from tests.web.serving import browser
from verification import officer_decision


@pytest.mark.usefixtures("sequencer")
def test_a_portal_gets_consent_asks_and_proves_the_answer_offline(portal: Portal, city: City) -> None:
    consent = portal.give_consent(SERVICE, SITI.body)
    assert consent["state"] == "granted"
    answer = portal.verify(SERVICE, SITI.body, CLAIMS, wait=5, case_number="UKM-1")
    assert (answer.status, answer.verdict) == (201, "verified")
    assert set(answer.outcomes.values()) == {"met"}
    assert answer.receipt is not None
    proven = portal.check_receipt(answer, answer.receipt)
    assert proven.entry["kind"] == "exchange.answered"
    assert portal.receipt(answer) == answer.receipt
    tampered = answer.receipt.replace("index ", "index 1", 1)
    with pytest.raises(ReceiptInvalid):
        portal.check_receipt(answer, tampered)


@pytest.mark.usefixtures("sequencer")
def test_a_receipt_is_there_within_about_a_second(portal: Portal) -> None:
    portal.give_consent(SERVICE, SITI.body)
    answer = portal.verify(SERVICE, SITI.body, CLAIMS)
    started = time.monotonic()
    portal.check_receipt(answer, portal.receipt(answer, wait=5))
    assert time.monotonic() - started < 4


def test_a_receipt_that_is_not_ready_says_so(portal: Portal) -> None:
    portal.give_consent(SERVICE, SITI.body)
    answer = portal.verify(SERVICE, SITI.body, CLAIMS)
    with pytest.raises(PortalRefused) as caught:
        portal.receipt(answer, wait=0)
    assert (caught.value.status, caught.value.problem_code) == (404, "receipt-not-ready")


def test_withdrawn_consent_stops_new_and_old_answers(portal: Portal) -> None:
    consent = portal.give_consent(SERVICE, SITI.body)
    answer = portal.verify(SERVICE, SITI.body, CLAIMS)
    assert portal.read(answer.answer_id).jws == answer.jws
    assert portal.withdraw_consent(consent["consent_id"])["state"] == "withdrawn"
    for attempt in (lambda: portal.read(answer.answer_id), lambda: portal.verify(SERVICE, SITI.body, CLAIMS)):
        with pytest.raises(PortalRefused) as caught:
            attempt()
        assert (caught.value.status, caught.value.problem_code) == (403, "exchange-denied")
        assert caught.value.rules == ["consent.withdrawn"]
        assert caught.value.problem["promise"]


def test_who_is_suspended_gets_nothing_more_with_the_token_they_have(
    portal: Portal, api: str, city: City
) -> None:
    consent = portal.give_consent(SERVICE, SITI.body)
    token = portal.fetch_token()
    question = {"service": SERVICE, "applicant": SITI.body, "claims": CLAIMS}
    asked = {
        ("POST", "/v1/subjects/exchanges", 200, 401): {"applicant": SITI.body},
        ("GET", "/v1/referrals", 200, 401): None,
        ("GET", f"/v1/consents/{consent['consent_id']}", 200, 401): None,
        ("POST", "/v1/verifications", 201, 403): question,
    }
    with browser(api, city) as client:
        for suspended in (False, True):
            for (method, path, before, after), body in asked.items():
                reply = client.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})
                assert reply.status_code == (after if suspended else before), path
            with city.connect(Role.STEWARD) as connection:
                suspend_system(connection, PORTAL)


def test_a_purpose_nobody_agreed_is_denied_with_rule_ids(portal: Portal) -> None:
    with pytest.raises(PortalRefused) as caught:
        portal.verify(SERVICE, SITI.body, CLAIMS, purpose="credit-scoring")
    assert caught.value.status == 403
    assert "agreement.purpose-not-covered" in caught.value.rules


def test_an_unknown_person_and_a_wrong_element_look_alike(portal: Portal) -> None:
    problems = []
    for changes in ({"birth_date": dt.date(1999, 9, 9)}, {"nik": "3576024107850099"}):
        with pytest.raises(PortalRefused) as caught:
            portal.verify(SERVICE, dataclasses.replace(SITI, **changes).body, CLAIMS)
        problems.append({k: v for k, v in caught.value.problem.items() if k not in ("request_id", "promise")})
    assert problems[0] == problems[1]
    assert problems[0]["status"] == 422


def test_repeating_a_request_gives_the_same_answer(portal: Portal) -> None:
    portal.give_consent(SERVICE, SITI.body)
    first = portal.verify(SERVICE, SITI.body, CLAIMS, idempotency_key="a-key")
    again = portal.verify(SERVICE, SITI.body, CLAIMS, idempotency_key="a-key")
    assert (first.status, again.status) == (201, 200)
    assert first.jws == again.jws
    with pytest.raises(PortalRefused) as caught:
        portal.verify(SERVICE, SITI.body, {**CLAIMS, "amount_requested": 1}, idempotency_key="a-key")
    assert caught.value.problem_code == "idempotency-conflict"


@pytest.mark.usefixtures("sequencer")
def test_a_person_sees_who_used_their_data(portal: Portal) -> None:
    portal.give_consent(SERVICE, SITI.body)
    answer = portal.verify(SERVICE, SITI.body, CLAIMS, wait=5)
    found = portal.who_used(SITI.body)
    assert [each["kind"] for each in found][:2] == ["exchange.answered", "consent.granted"]
    assert found[0]["entry_id"] == answer.promise["entry"]
    assert found[0]["is_mine"]
    assert found[0]["consumer"] == "diskopukm-mojokerto"


def test_a_referral_waits_stops_resumes_and_ends_in_a_signed_decision(portal: Portal, city: City) -> None:
    portal.give_consent(SERVICE, BUDI.body)
    answer = portal.verify(SERVICE, BUDI.body, BUDI.claims)
    assert answer.verdict == "refer"
    (referral,) = portal.call("GET", "/v1/referrals").json()["referrals"]
    place = f"/v1/referrals/{referral['referral_id']}"
    assert referral["criteria"] == ["tax-standing"]
    stop = {"event": "stop", "reason": "waiting-for-applicant", "officer": OFFICER}
    assert portal.call("POST", f"{place}/clock", stop).json()["state"] == "stopped"
    assert portal.call("POST", f"{place}/clock", {**stop, "event": "resume"}).json()["state"] == "open"
    content = {
        "format": officer_decision.FORMAT,
        "referral_id": referral["referral_id"],
        "answer_id": answer.answer_id,
        "verdict": "rejected",
        "reason": "The tax standing was looked at again and is not valid.",
        "officer": OFFICER,
        "decided_at": clock.now().isoformat(),
    }
    forged = {**content, "referral_id": answer.answer_id}
    for wrong, key in ((forged, OFFICER), (content, "palapa-mojo"), ({**content, "officer": "x"}, OFFICER)):
        with pytest.raises(PortalRefused) as caught:
            portal.call("POST", f"{place}/decision", {"signed": officer_decision.sign(wrong, city.keys[key])})
        assert caught.value.problem_code == "officer-signature-invalid"
    signed = {"signed": officer_decision.sign(content, city.keys[OFFICER])}
    decided = portal.call("POST", f"{place}/decision", signed).json()
    assert (decided["state"], decided["verdict"]) == ("decided", "rejected")
    with pytest.raises(PortalRefused) as caught:
        portal.call("POST", f"{place}/decision", signed)
    assert (caught.value.status, caught.value.problem_code) == (409, "referral-closed")
    assert portal.call("GET", "/v1/referrals").json()["referrals"] == []
    (entry,) = city.entries("referral.decided")
    assert entry["actor"] == OFFICER
    assert "looked at again" not in str(entry)


@pytest.mark.usefixtures("sequencer")
def test_anybody_can_follow_the_log(portal: Portal, api: str) -> None:
    portal.give_consent(SERVICE, SITI.body)
    portal.verify(SERVICE, SITI.body, CLAIMS, wait=5)
    checkpoint = portal.call("GET", "/v1/log/checkpoint")
    size = int(checkpoint.text.split("\n")[1])
    tile = portal.call("GET", f"/v1/log/tile/0/000.p/{size}")
    assert len(tile.body) == 32 * size
    assert "immutable" in tile.headers["cache-control"]
    for path in ("0/000.p/255", "entries/0", "0/1", "../../etc", "64/000"):
        with pytest.raises(PortalRefused) as caught:
            portal.call("GET", f"/v1/log/tile/{path}")
        assert caught.value.status == 404


def test_the_catalogue_is_public_and_cached(portal: Portal) -> None:
    listed = portal.call("GET", "/v1/services").json()["services"]
    assert [service["identifier"] for service in listed] == [SERVICE, "kia", "skck"]
    service = portal.call("GET", f"/v1/services/{SERVICE}")
    assert service.json()["serviceStandard"]["jumlah_pelaksana"] == 3
    again = portal.call("GET", f"/v1/services/{SERVICE}", headers={"If-None-Match": service.headers["etag"]})
    assert again.status == 304
