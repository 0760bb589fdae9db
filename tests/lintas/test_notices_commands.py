"""What the operator does with notices and webhooks: by name, in the log, and only what is possible."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from foundation.database import Role
from lintas.cli import app
from participants import NotASteward, NotYourAgency
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole
from tests.verification.changing import Aftermath, aftermath
from tests.verification.city import OFFICE, PORTAL, found_city
from verification.errors import NoticeNotWaiting, NoticeUnknown, WebhookInvalid

OPERATORS, PORTALS_OWN, ANOTHERS = "walidata-01", "walidata-06", "walidata-02"
URL = "https://portal.example.go.id/hooks/lintas"


@pytest.fixture
def after(installation, monkeypatch) -> Iterator[Aftermath]:
    city = found_city(installation)
    with city.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency("diskominfo-mojokerto", "Diskominfo", "operator"))
        for pseudonym, agency in (
            (OPERATORS, "diskominfo-mojokerto"), (PORTALS_OWN, OFFICE), (ANOTHERS, "dukcapil-mojokerto"),
        ):  # fmt: skip
            officer = Officer(pseudonym, agency, pseudonym, frozenset({OfficerRole.STEWARD}))
            register_officer(connection, officer, assigned_by="tests")
    monkeypatch.setattr("foundation.installation.load_settings", lambda: installation.settings)
    with aftermath(city) as made:
        made.match()
        yield made


def _run(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def _json(*words):
    done = _run(*words, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_a_webhook_is_added_approved_paused_and_removed(after, tmp_path) -> None:
    by = ("--officer", "walidata-01")
    ca = tmp_path / "ca.pem"
    ca.write_text(after.receiver.authority.ca_pem)
    added = _json("webhooks", "add", PORTAL, URL, "--ca", str(ca), *by)
    assert (added["status"], added["ca_pinned"], added["approved_by"]) == ("active", True, "walidata-01")
    assert _json("webhooks", "pause", PORTAL, *by, "--reason", "maintenance")["status"] == "paused"
    assert _json("webhooks", "approve", PORTAL, URL, *by)["status"] == "active"
    other = _run("webhooks", "approve", PORTAL, f"{URL}/other", *by)
    assert isinstance(other.exception, WebhookInvalid)
    assert _json("webhooks", "list")[0]["url"] == URL
    assert _json("webhooks", "remove", PORTAL, *by)["status"] == "removed"
    outcomes = [entry["outcome"] for entry in after.city.entries("webhook.changed")]
    assert outcomes == ["active", "paused", "active", "removed"]
    assert isinstance(_run("webhooks", "add", PORTAL, "http://x/", *by).exception, WebhookInvalid)
    assert isinstance(_run("webhooks", "add", PORTAL, URL, "--officer", "auditor-01").exception, NotASteward)


def test_a_dead_notice_is_listed_retried_and_given_up(after) -> None:
    after.answered(case="K-1")
    after.dies()
    after.review()
    after.listen()
    after.receiver.failing_at = {"K-1"}
    after.send()
    (dead,) = _json("notices", "list", "--state", "dead")
    assert (dead["system"], dead["problem"], dead["attempts"]) == (PORTAL, "agency-failing", 3)
    for act, who, more in (
        ("retry", ANOTHERS, ()), ("discard", ANOTHERS, ("--reason", "x")),
        ("discard", OPERATORS, ("--reason", "only the portal's agency can say so")),
    ):  # fmt: skip
        refused = _run("notices", act, dead["notice"], "--officer", who, *more)
        assert isinstance(refused.exception, NotYourAgency), (act, who)
    by = (dead["notice"], "--officer", OPERATORS)
    assert _json("notices", "retry", *by)["state"] == "queued"
    assert isinstance(_run("notices", "retry", *by).exception, NoticeNotWaiting)
    by = (dead["notice"], "--officer", PORTALS_OWN)
    given_up = _json("notices", "discard", *by, "--reason", "told-by-telephone")
    assert (given_up["state"], given_up["problem"]) == ("discarded", "told-by-telephone")
    assert _json("notices", "show", dead["notice"])["state"] == "discarded"
    assert isinstance(_run("notices", "show", "nothing").exception, NoticeUnknown)
    kinds = [entry["kind"] for entry in after.city.entries() if entry["kind"].startswith("notice.")]
    assert kinds == ["notice.dead", "notice.retried", "notice.discarded"]
    assert all(entry["subjects"] for entry in after.city.entries("notice.retried"))


def test_a_portals_agency_registers_and_pauses_but_only_the_operator_lets_it_be_called(after) -> None:
    own = ("--officer", PORTALS_OWN)
    assert _json("webhooks", "add", PORTAL, URL, *own)["status"] == "pending"
    assert isinstance(_run("webhooks", "approve", PORTAL, URL, *own).exception, NotYourAgency)
    assert _json("webhooks", "approve", PORTAL, URL, "--officer", OPERATORS)["status"] == "active"
    assert _json("webhooks", "pause", PORTAL, *own, "--reason", "incident")["status"] == "paused"
    assert _json("webhooks", "add", PORTAL, URL, *own)["status"] == "paused"
    assert _json("webhooks", "remove", PORTAL, *own)["status"] == "paused", "or it could end the pause"
    assert _json("webhooks", "remove", PORTAL, "--officer", OPERATORS)["status"] == "removed"


@pytest.mark.parametrize(
    "words",
    [("add", PORTAL, URL), ("approve", PORTAL, URL), ("pause", PORTAL, "--reason", "x"), ("remove", PORTAL)],
    ids=lambda words: words[0],
)
def test_a_steward_of_another_agency_changes_no_webhook(after, words) -> None:
    _json("webhooks", "add", PORTAL, URL, "--officer", OPERATORS)
    refused = _run("webhooks", *words, "--officer", ANOTHERS)
    assert isinstance(refused.exception, NotYourAgency)
    assert [entry["outcome"] for entry in after.city.entries("webhook.changed")] == ["active"]
