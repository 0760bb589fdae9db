"""What the operator does with notices and webhooks: by name, in the log, and only what is possible."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from foundation.database import Role
from lintas.cli import app
from lintas.errors import NotASteward
from participants.registry import Officer, register_officer
from participants.roles import OfficerRole
from tests.verification.changing import Aftermath, aftermath
from tests.verification.city import PORTAL, found_city
from verification.errors import NoticeNotWaiting, NoticeUnknown, WebhookInvalid

URL = "https://portal.example.go.id/hooks/lintas"


@pytest.fixture
def after(installation, monkeypatch) -> Iterator[Aftermath]:
    city = found_city(installation)
    with city.connect(Role.STEWARD) as connection:
        officer = Officer(
            "steward-1", "diskominfo-mojokerto", "walidata-01", frozenset({OfficerRole.STEWARD})
        )
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
    by = (dead["notice"], "--officer", "walidata-01")
    assert _json("notices", "retry", *by)["state"] == "queued"
    assert isinstance(_run("notices", "retry", *by).exception, NoticeNotWaiting)
    given_up = _json("notices", "discard", *by, "--reason", "told-by-telephone")
    assert (given_up["state"], given_up["problem"]) == ("discarded", "told-by-telephone")
    assert _json("notices", "show", dead["notice"])["state"] == "discarded"
    assert isinstance(_run("notices", "show", "nothing").exception, NoticeUnknown)
    kinds = [entry["kind"] for entry in after.city.entries() if entry["kind"].startswith("notice.")]
    assert kinds == ["notice.dead", "notice.retried", "notice.discarded"]
    assert all(entry["subjects"] for entry in after.city.entries("notice.retried"))
