"""How an agency joins: the operator registers it, both sides sign at home, the log tells the story."""

import json
from datetime import timedelta

import pytest
import yaml
from typer.testing import CliRunner

from foundation import clock
from foundation.database import Role
from foundation.keyring import Keyring
from lintas.cli import app
from lintas.errors import KeyFileUnreadable, NotAnOperator
from participants import NotASteward, NotYourAgency

REGISTRY, OFFICE = "dukcapil-contoh", "diskop-contoh"


@pytest.fixture
def run(installation, monkeypatch):
    for name, value in installation.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(app, list(words))


def told(result):
    assert result.exit_code == 0, result.output or result.exception
    return json.loads(result.stdout)


def begin(run):
    """The first operator registers their own agency's officer, who is also a steward."""
    words = ("officers", "add", "o-1", "--agency", "kominfo", "--pseudonym", "operator-01")
    return run(*words, "--role", "operator", "--role", "steward", "--officer", "operator-01", "--json")


@pytest.fixture
def desk(run, installation):
    with installation.database.connect(Role.STEWARD) as connection:
        from participants.registry import Agency, register_agency

        register_agency(connection, Agency("kominfo", "Kominfo", "operator"))
    told(begin(run))
    return run


def register_both(desk, tmp_path):
    for agency in (REGISTRY, OFFICE):
        words = ("agencies", "add", agency, "--name", agency.title(), "--kind", "office")
        told(desk(*words, "--officer", "operator-01", "--json"))
        words = ("officers", "add", f"s-{agency}", "--agency", agency, "--pseudonym", f"of-{agency}")
        told(desk(*words, "--role", "steward", "--officer", "operator-01", "--json"))
        jwk = tmp_path / f"{agency}.jwk"
        key = Keyring.open(tmp_path / agency).ensure("agreement")
        jwk.write_text(json.dumps(key.public_jwk))
        words = ("keys", "add", agency, "--kind", "agency", "--use", "agreement", "--jwk", str(jwk))
        told(desk(*words, "--vouched-by", "PKS 1/2026", "--officer", "operator-01", "--json"))


def drafted(desk, tmp_path):
    since = clock.now() - timedelta(days=1)
    terms = {
        "agreement_id": "pks-1",
        "title": "Bantuan usaha mikro",
        "paper_reference": "PKS 1/2026",
        "provider": REGISTRY,
        "consumer": OFFICE,
        "controller": REGISTRY,
        "purposes": ["aid-micro-business"],
        "legal_basis": "public-task",
        "legal_instrument": "Perpres 39/2019",
        "datasets": {f"{REGISTRY}/persons": ["nik", "name"]},
        "verbs": ["disclose"],
        "modes": ["verify"],
        "valid_from": since.isoformat(),
        "valid_until": (since + timedelta(days=365)).isoformat(),
        "retention_days": 30,
    }
    (tmp_path / "terms.yaml").write_text(yaml.safe_dump(terms))
    words = ("agreements", "draft", str(tmp_path / "terms.yaml"), "--output", str(tmp_path / "pks-1"))
    told(desk(*words, "--json"))
    for agency in (REGISTRY, OFFICE):
        words = ("agreements", "sign", str(tmp_path / "pks-1"), "--keys", str(tmp_path / agency))
        told(desk(*words, "--output", str(tmp_path / f"{agency}.sig"), "--json"))


def published(desk, tmp_path, provider=REGISTRY, officer=f"of-{REGISTRY}"):
    return desk(
        "agreements", "publish", str(tmp_path / "pks-1"),
        "--provider-signature", str(tmp_path / f"{provider}.sig"),
        "--consumer-signature", str(tmp_path / f"{OFFICE}.sig"),
        "--officer", officer, "--json",
    )  # fmt: skip


def test_an_agency_joins_and_agrees_by_commands_alone(desk, tmp_path, installation):
    register_both(desk, tmp_path)
    drafted(desk, tmp_path)
    assert told(published(desk, tmp_path))["state"] == "in force"
    assert [each["agreement"] for each in told(desk("agreements", "list", "--json"))] == ["pks-1"]
    words = ("agreements", "end", "pks-1", "--ended-by", OFFICE, "--reason", "over", "--officer")
    for other in ("operator-01", f"of-{REGISTRY}"):
        assert isinstance(desk(*words, other).exception, NotYourAgency)
    assert told(desk(*words, f"of-{OFFICE}", "--json"))["state"] == "ended"
    with installation.database.connect(Role.MIGRATOR) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM audit.outbox ORDER BY id")]
    assert kinds == [
        "participant.changed", "role.changed", "role.changed",
        *("participant.changed", "participant.changed", "role.changed", "key.added") * 2,
        "agreement.signed", "agreement.ended",
    ]  # fmt: skip


def test_a_signature_of_the_wrong_side_is_refused(desk, tmp_path):
    register_both(desk, tmp_path)
    drafted(desk, tmp_path)
    result = published(desk, tmp_path, provider=OFFICE)
    assert type(result.exception).__name__ == "AgreementInvalid"
    assert told(desk("agreements", "list", "--json")) == []


def test_nobody_but_a_steward_puts_an_agreement_into_force(desk, tmp_path):
    register_both(desk, tmp_path)
    drafted(desk, tmp_path)
    assert isinstance(published(desk, tmp_path, officer="somebody").exception, NotASteward)
    assert isinstance(published(desk, tmp_path, officer="operator-01").exception, NotYourAgency)


def test_only_the_first_operator_registers_themselves(desk):
    words = ("officers", "add", "o-2", "--agency", "kominfo", "--pseudonym", "another", "--role", "operator")
    assert isinstance(desk(*words, "--officer", "another").exception, NotAnOperator)
    assert told(desk(*words, "--officer", "operator-01", "--json"))["roles"] == ["operator"]


def test_an_operator_role_at_another_agency_says_nothing_about_who_takes_part(desk, tmp_path):
    register_both(desk, tmp_path)
    words = ("officers", "add", "o-3", "--agency", OFFICE, "--pseudonym", "their-own", "--role", "operator")
    told(desk(*words, "--officer", "operator-01", "--json"))
    words = ("agencies", "add", "another", "--name", "Another", "--kind", "office", "--officer", "their-own")
    assert isinstance(desk(*words).exception, NotAnOperator)


def test_an_empty_installation_begins_with_the_operators_own_agency(run):
    words = (
        "agencies",
        "add",
        "kominfo",
        "--name",
        "Kominfo",
        "--officer",
        "operator-01",
        "--json",
        "--kind",
    )
    assert isinstance(run(*words, "office").exception, NotAnOperator)
    told(run(*words, "operator"))
    assert isinstance(run(*words, "operator").exception, NotAnOperator), "there is one now"
    told(begin(run))
    told(run(*words, "operator"))


@pytest.mark.parametrize("what", ["agencies", "systems"])
def test_a_suspension_and_its_end_name_the_operator_in_the_log(desk, tmp_path, installation, what):
    register_both(desk, tmp_path)
    words = ("systems", "add", "portal-1", "--agency", OFFICE, "--name", "Portal", "--kind", "portal")
    told(desk(*words, "--officer", "operator-01", "--json"))
    identity = OFFICE if what == "agencies" else "portal-1"
    for act, state in (("suspend", "suspended"), ("reinstate", "reinstated")):
        words = (what, act, identity, "--officer", "operator-01", "--reason", "key lost", "--json")
        assert told(desk(*words))["state"] == state
    with installation.database.connect(Role.MIGRATOR) as connection:
        entries = connection.execute(
            "SELECT convert_from(entry, 'UTF8')::jsonb FROM audit.outbox ORDER BY id DESC LIMIT 2"
        ).fetchall()
    assert [entry["outcome"] for (entry,) in entries] == ["reinstated", "suspended"]
    assert {entry["actor"] for (entry,) in entries} == {"operator-01"}


def test_a_private_key_is_not_taken_for_a_public_one(desk, tmp_path):
    (tmp_path / "key.jwk").write_text(json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "secret"}))
    words = ("keys", "add", "kominfo", "--kind", "agency", "--use", "agreement")
    result = desk(*words, "--jwk", str(tmp_path / "key.jwk"), "--vouched-by", "x", "--officer", "operator-01")
    assert isinstance(result.exception, KeyFileUnreadable)
    assert "secret" not in str(result.exception)


def test_a_key_is_rolled_and_ended(desk, tmp_path):
    register_both(desk, tmp_path)
    ring = Keyring.open(tmp_path / REGISTRY)
    old = ring.current("agreement")
    jwk = tmp_path / "new.jwk"
    jwk.write_text(json.dumps(ring.roll("agreement").public_jwk))
    words = ("keys", "roll", old.kid, "--jwk", str(jwk), "--vouched-by", "PKS 1/2026")
    new = told(desk(*words, "--officer", "operator-01", "--json"))
    assert new["kid"] != old.kid
    words = ("keys", "end", new["kid"], "--reason", "stolen", "--officer", "operator-01", "--json")
    assert told(desk(*words))["valid_to"] is not None
