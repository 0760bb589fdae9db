"""Erasing a person at the terminal: two stewards, a file with the NIK, and nothing personal shown."""

import json

import pytest
from psycopg.errors import InsufficientPrivilege
from typer.testing import CliRunner

from audit.erasure.grounds import ErasureGround, HoldGround, LiftGround
from audit.errors import ErasureRefused, LogForked
from audit.publishing.found_forks import FoundForks
from audit.subjects.vault import Vault
from foundation.database import Role
from foundation.errors import Refused
from lintas.cli import app
from lintas.commands.erasing import Ground, Reason
from lintas.commands.lifting import LiftReason
from participants import NotASteward, NotYourAgency
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole


@pytest.fixture
def home(installation, monkeypatch):
    with installation.database.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency("diskominfo-mojokerto", "Diskominfo", "operator"))
        register_agency(connection, Agency("a", "A"))
        register_agency(connection, Agency("b", "B"))
        for pseudonym, agency in (
            ("walidata-01", "diskominfo-mojokerto"),
            ("walidata-02", "a"),
            ("walidata-03", "a"),
            ("walidata-04", "b"),
        ):
            officer = Officer(pseudonym, agency, pseudonym, frozenset({OfficerRole.STEWARD}))
            register_officer(connection, officer, assigned_by="tests")
    monkeypatch.setattr("foundation.installation.load_settings", lambda: installation.settings)
    return installation


@pytest.fixture
def nik_file(home, canary):
    file = home.home / "nik.txt"
    file.write_text(f"{canary.nik}\n")
    return str(file)


def run(*words):
    done = CliRunner().invoke(app, ["audit", *words, "--json"], catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_two_stewards_erase_a_person_and_see_nothing_personal(home, nik_file, canary):
    asked = run(
        "erase", "request", "--nik-file", nik_file, "--ground", "subject-request", "--officer", "walidata-02"
    )
    held = run("erase", "hold", "--nik-file", nik_file, "--ground", "court-case", "--officer", "walidata-03")
    with pytest.raises(Refused, match="hold"):
        run("erase", "approve", asked["request"], "--officer", "walidata-01")
    for another_agencys in ("walidata-01", "walidata-04"):
        with pytest.raises(NotYourAgency):
            run("erase", "release", held["hold"], "--officer", another_agencys)
    run("erase", "release", held["hold"], "--officer", "walidata-03")
    assert run("erase", "approve", asked["request"], "--officer", "walidata-01")["state"] == "approved"
    (done,) = run("erase", "run", "--officer", "walidata-01")
    assert (done["state"], done["records"]) == ("erased", 0)
    listed = run("erase", "list") + run("erase", "holds")
    assert not canary.found_in(json.dumps([asked, held, done, listed]))
    with pytest.raises(Refused, match="was erased"):
        run(
            "erase",
            "request",
            "--nik-file",
            nik_file,
            "--ground",
            "subject-request",
            "--officer",
            "walidata-02",
        )
    with Vault(home) as vault:
        assert vault.find("nik", canary.nik) is None
    assert run("erase", "run", "--officer", "walidata-01") == []


def test_an_erased_person_is_let_in_again_by_two_stewards_on_a_ground(home, nik_file, canary):
    given = ("--nik-file", nik_file, "--ground", "new-consent", "--officer")
    with pytest.raises(ErasureRefused, match="Nobody of this number was erased"):
        run("erase", "lift", *given, "walidata-02")
    grounds = ("--nik-file", nik_file, "--ground", "subject-request", "--officer")
    asked = run("erase", "request", *grounds, "walidata-02")
    run("erase", "approve", asked["request"], "--officer", "walidata-01")
    run("erase", "run", "--officer", "walidata-01")
    with pytest.raises(NotASteward):
        run("erase", "lift", *given, "auditor-01")
    lift = run("erase", "lift", *given, "walidata-02")
    with pytest.raises(ErasureRefused, match="asked for already"):
        run("erase", "lift", *given, "walidata-03")
    with pytest.raises(NotYourAgency):
        run("erase", "lift-approve", lift["lift"], "--officer", "walidata-03")
    with pytest.raises(NotYourAgency):  # nor by oneself
        run("erase", "lift-approve", lift["lift"], "--officer", "walidata-02")
    assert run("erase", "lift-approve", lift["lift"], "--officer", "walidata-01")["state"] == "lifted"
    again = run("erase", "request", *grounds, "walidata-02")  # known again, as a stranger
    assert again["state"] == "requested"
    listed = run("erase", "lifts")
    assert [(each["state"], each["instrument"]) for each in listed] == [
        ("lifted", "UU 27/2022 Art. 20(2)(a)")
    ]
    with pytest.raises(ErasureRefused, match="no such open request"):
        run("erase", "lift-reject", lift["lift"], "--officer", "walidata-01")
    with home.database.connect(Role.MIGRATOR) as connection:
        rows = connection.execute("SELECT entry FROM audit.outbox WHERE kind ~ '^suppression'").fetchall()
        assert connection.execute("SELECT count(*) FROM audit.suppression").fetchone() == (0,)
    assert len(rows) == 2
    assert all(b'"subjects"' not in bytes(row[0]) for row in rows)
    assert not canary.found_in(json.dumps([lift, listed]))


def test_with_the_stewards_password_alone_nobody_lifts_a_suppression(home):
    tag = bytes(32)
    with home.database.connect(Role.STEWARD) as connection:
        connection.execute("INSERT INTO audit.suppression (tag) VALUES (%s)", [tag])
        for number, by in enumerate(("walidata-01", "walidata-02", "nobody")):
            connection.execute(
                "INSERT INTO audit.suppression_lift (lift_id, tag, ground, requested_by, requested_at)"
                " VALUES (gen_random_uuid(), %s, 'new-consent', %s, now())",
                [tag if not number else bytes([number]) * 32, by],
            )
    tries = [("walidata-01", "walidata-01"), ("walidata-01", "nobody"), ("walidata-01", "auditor-01"),
             ("walidata-02", "walidata-03"), ("nobody", "walidata-01")]  # fmt: skip
    for by, approver in tries:
        with home.database.connect(Role.STEWARD) as connection, pytest.raises(InsufficientPrivilege):
            connection.execute(
                "SELECT audit.lift_suppression(lift_id, %s, now()) FROM audit.suppression_lift"
                " WHERE requested_by = %s",
                [approver, by],
            )
    with home.database.connect(Role.STEWARD) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("DELETE FROM audit.suppression")


def test_one_of_the_two_officers_is_the_operators_and_both_are_stewards(nik_file):
    given = ("--nik-file", nik_file, "--ground", "no-longer-needed", "--officer")
    with pytest.raises(NotASteward):
        run("erase", "request", *given, "auditor-01")
    asked = run("erase", "request", *given, "walidata-02")
    with pytest.raises(NotYourAgency):
        run("erase", "approve", asked["request"], "--officer", "walidata-03")
    with pytest.raises(NotYourAgency):
        run("erase", "run", "--officer", "walidata-02")
    assert run("erase", "reject", asked["request"], "--officer", "walidata-02")["state"] == "rejected"
    with pytest.raises(Refused, match="rejected"):
        run("erase", "approve", asked["request"], "--officer", "walidata-01")


def test_the_key_that_wraps_every_key_is_rotated(home, canary):
    with Vault(home) as vault:
        vault.handle_for("nik", canary.nik)
    assert run("keys", "list") == [{"provider": "keyring", "version": 1, "subjects": 1, "wraps_now": True}]
    with pytest.raises(NotYourAgency):
        run("keys", "rotate", "--officer", "walidata-02")
    done = run("keys", "rotate", "--officer", "walidata-01")
    assert done == {"provider": "keyring", "version": 2, "rewrapped": 1, "continued": False}
    assert run("keys", "list") == [{"provider": "keyring", "version": 2, "subjects": 1, "wraps_now": True}]
    assert run("keys", "retire", "1", "--officer", "walidata-01")["state"] == "destroyed"


def test_a_reported_fork_is_shown_and_taken_off_by_a_steward_of_the_operator_and_the_log_says_so(home):
    forks = FoundForks.of(home)
    forks.note(LogForked("The witness kpk is ahead of this log.", witness="kpk", witness_key="kpk+1+a"))
    given = ("--witness", "kpk", "--reason", "the witness lost its memory", "--officer")
    assert [each["witness"] for each in run("lift-fork")] == ["kpk"]
    with pytest.raises(NotYourAgency):
        run("lift-fork", *given, "walidata-02")
    assert run("lift-fork", *given, "walidata-01")["state"] == "lifted"
    assert run("lift-fork") == []
    with home.database.connect(Role.STEWARD) as connection:
        row = connection.execute("SELECT kind FROM audit.outbox").fetchone()
    assert row == ("fork.lifted",)
    with pytest.raises(Refused, match="No fork"):
        run("lift-fork", *given, "walidata-01")


def test_the_command_line_knows_exactly_the_grounds_of_the_log():
    assert {str(each) for each in Ground} == {str(each) for each in ErasureGround}
    assert {str(each) for each in Reason} == {str(each) for each in HoldGround}
    assert {str(each) for each in LiftReason} == {str(each) for each in LiftGround}
