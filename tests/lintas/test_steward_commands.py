"""What a steward decides at the terminal: by name, with a reason, and only as a steward."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from foundation import clock
from foundation.database import Role
from lintas.cli import app
from participants import NotASteward, NotYourAgency
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

BATCH = "0b0c8f9e-5a52-4d2f-9a36-2f1f5d1f0a11"


@pytest.fixture
def steward_home(installation, monkeypatch):
    with installation.database.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency("diskominfo-mojokerto", "Diskominfo", "operator"))
        for agency in ("a", "c"):
            register_agency(connection, Agency(agency, agency.title()))
        for pseudonym, agency, role in (
            ("walidata-01", "diskominfo-mojokerto", OfficerRole.STEWARD),
            ("walidata-02", "a", OfficerRole.STEWARD),
            ("walidata-03", "c", OfficerRole.STEWARD),
            ("auditor-01", "diskominfo-mojokerto", OfficerRole.AUDITOR),
        ):
            officer = Officer(pseudonym, agency, pseudonym, frozenset({role}))
            register_officer(connection, officer, assigned_by="tests")
    monkeypatch.setattr("foundation.installation.load_settings", lambda: installation.settings)
    return installation


def _run(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def _held_batch(installation):
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "INSERT INTO records.dataset SELECT (jsonb_populate_record(NULL::records.dataset, %s::jsonb)).*",
            [
                json.dumps(
                    {
                        "dataset_id": "a/b",
                        "agency": "a",
                        "table_name": "person_v1",
                        "record_type": "Person",
                        "columns": [],
                        "order_columns": [],
                        "comparable": [],
                        "closed_world": False,
                        "freshness": "1 day",
                        "mode": "copy",
                        "contract_version": "1.0.0",
                        "contract_hash": "0" * 64,
                        "published_at": clock.now().isoformat(),
                    }
                )
            ],
        )
        connection.execute(
            "INSERT INTO records.batch (batch_id, dataset_id, kind, attempt, status, run_id, decision_id,"
            " contract_version, contract_hash, window_until, started_at, report)"
            " VALUES (%s, 'a/b', 'snapshot', 1, 'held', 'r', 'd', '1.0.0', %s, %s, %s, %s)",
            [
                BATCH,
                "0" * 64,
                clock.now(),
                clock.now() - timedelta(hours=1),
                json.dumps({"broken": ["some-persons"]}),
            ],
        )


def test_a_held_batch_is_listed_with_its_broken_rules_and_its_whole_id(steward_home):
    _held_batch(steward_home)
    listed = json.loads(_run("batches", "list", "--status", "held", "--json").stdout)
    assert [(each["batch"], each["broken_rules"]) for each in listed] == [(BATCH, ["some-persons"])]
    assert "…" not in _run("batches", "list").stdout
    assert _run("batches", "list", "--status", "published").stdout.strip() == "no batch yet"


def test_a_batch_is_reported_with_a_page_that_holds_no_value(steward_home):
    _held_batch(steward_home)
    told = json.loads(_run("batches", "report", BATCH, "--json").stdout)
    assert (told["dataset"], told["status"], told["verdict"]) == ("a/b", "held", "not assessed")
    page = steward_home.home / "data-docs" / "a" / "b" / f"{BATCH}.html"
    assert told["page"] == str(page)
    assert page.read_text().startswith("<!doctype html>")
    assert "not assessed" in _run("batches", "report", BATCH).stdout


def test_lists_of_contradictions_say_when_there_are_none(steward_home):
    for words in (("conflicts", "list"), ("conflicts", "duplicates")):
        assert _run(*words).stdout.strip() == "none"
    assert json.loads(_run("identity", "link", "--json").stdout) == {"linked": 0}


def test_a_repair_of_another_kind_is_refused_before_anything_is_opened(steward_home):
    words = ("quarantine", "repair", "a/b", "--rule", "guess", "--column", "kbli")
    result = _run(*words, "--officer", "walidata-01", "--reason", "x")
    assert result.exit_code == 2


def test_a_steward_rejects_a_held_batch_and_the_log_says_who_and_why(steward_home):
    _held_batch(steward_home)
    words = ("batches", "reject", BATCH, "--officer", "walidata-02", "--reason", "the file was cut")
    assert _run(*words).exit_code == 0
    with steward_home.database.connect(Role.MIGRATOR) as connection:
        (status, by) = connection.execute("SELECT status, released_by FROM records.batch").fetchone()
        entries = connection.execute("SELECT convert_from(entry, 'UTF8') FROM audit.outbox").fetchall()
    assert (status, by) == ("rejected", "walidata-02")
    assert [json.loads(entry)["kind"] for (entry,) in entries] == ["sync.rejected"]


@pytest.mark.parametrize("name", ["auditor-01", "nobody"])
@pytest.mark.parametrize(
    "words",
    [
        ("batches", "release", BATCH),
        ("batches", "reject", BATCH),
        ("quarantine", "replay", "a/b", "1"),
        ("quarantine", "discard", "1"),
        ("quarantine", "show", "1"),
        ("quarantine", "repair", "a/b", "--rule", "pad", "--column", "kbli", "--length", "5", "--preview"),
        ("quarantine", "return", "a/b", "--output", "returned.csv"),
        ("conflicts", "show", "1"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_nobody_but_a_steward_decides_or_looks(steward_home, words, name):
    result = _run(*words, "--officer", name, "--reason", "curious")
    assert isinstance(result.exception, NotASteward)


@pytest.mark.parametrize("name", ["walidata-01", "walidata-03"])
@pytest.mark.parametrize(
    "words",
    [
        ("batches", "release", BATCH),
        ("batches", "reject", BATCH),
        ("quarantine", "replay", "a/b", "1"),
        ("quarantine", "discard", "1"),
        ("quarantine", "show", "1"),
        ("quarantine", "repair", "a/b", "--rule", "pad", "--column", "kbli", "--length", "5", "--preview"),
        ("quarantine", "return", "a/b", "--output", "returned.csv"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_steward_of_another_agency_decides_and_sees_nothing_nor_does_the_operators(
    steward_home, words, name, monkeypatch
):
    _held_batch(steward_home)
    monkeypatch.setattr("records.quarantine.datasets_of", lambda *_: ["a/b"])
    result = _run(*words, "--officer", name, "--reason", "curious")
    assert isinstance(result.exception, NotYourAgency)
    with steward_home.database.connect(Role.MIGRATOR) as connection:
        (status,) = connection.execute("SELECT status FROM records.batch").fetchone()
    assert status == "held"


def test_corrections_that_cannot_be_read_are_described_without_their_values(steward_home, tmp_path, canary):
    file = tmp_path / "cells.json"
    file.write_text(f"[{canary.nik!r}", encoding="utf-8")
    words = ("quarantine", "replay", "a/b", "1", "--officer", "walidata-01", "--reason", "x")
    result = _run(*words, "--corrections", str(file))
    assert result.exit_code == 2
    assert not canary.found_in(result.output)
