"""A portal that keeps its receipts: what the bus suppresses behind everybody's back, it cannot hide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.checkpoints.keys import log_verifier_keys
from audit.publishing.sequencer import Sequencer
from foundation import clock
from foundation.database import Role
from foundation.errors import IntegrityBroken
from lintas.cli import app
from participants.registry import Officer, register_officer
from participants.roles import OfficerRole
from sandbox.portal import Portal
from sandbox.receipts import ReceiptInvalid
from sandbox.seen_checkpoint import LogForked
from tests.verification.city import CLAIMS, PORTAL, SERVICE, SITI, City


@pytest.fixture
def keeping(api: str, city: City, tmp_path: Path) -> Iterator[Portal]:
    ca = city.installation.authority.ca_path
    with Portal(api, ca, PORTAL, city.keys[PORTAL], keep=tmp_path / "receipts") as client:
        yield client


def settle(city: City) -> None:
    with Sequencer(city.installation) as sequencer:
        sequencer.settle()


def following(city: City, api: str, tmp_path: Path) -> list[str]:
    keys = tmp_path / "log.keys"
    keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(city.installation)), encoding="utf-8")
    ca = city.installation.authority.ca_path
    return ["audit", "follow", api, "--keys", str(keys), "--ca", str(ca), "--seen", str(tmp_path / "seen")]


def test_an_exchange_suppressed_behind_the_buss_back_is_named_by_the_portals_receipts(
    keeping: Portal, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = city.installation.settings.model_copy(update={"officer": "auditor-01"})
    monkeypatch.setattr("foundation.installation.load_settings", lambda: settings)
    with city.connect(Role.STEWARD) as connection:
        operator, role = "diskominfo-mojokerto", frozenset({OfficerRole.AUDITOR})
        register_officer(connection, Officer("auditor-01", operator, "auditor-01", role))
    keeping.give_consent(SERVICE, SITI.body)
    kept, hidden = (keeping.verify(SERVICE, SITI.body, CLAIMS) for _ in range(2))
    with city.installation.database.admin(city.installation.settings.database_name) as connection:
        connection.execute("DELETE FROM audit.outbox WHERE entry_id = %s", [hidden.promise["entry"]])
    settle(city)
    keeping.check_receipt(kept, keeping.receipt(kept))
    command = ["audit", "reconcile", "--receipts", str(tmp_path / "receipts"), "--json"]
    command += ["--complete-for", PORTAL]
    with clock.shifted(timedelta(minutes=2)):
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 70
    found = json.loads(done.stdout)
    assert {each["kind"] for each in found["discrepancies"]} == {"promise-broken", "answer-unlogged"}
    assert all(hidden.promise["entry"] in each["what"] or hidden.answer_id in each["what"]
               for each in found["discrepancies"])  # fmt: skip
    assert (found["compared"]["proofs"], found["compared"]["promises"]) == (1, 2)
    (logged,) = city.entries("audit.reconciled")
    assert logged["outcome"] == "contradicted"
    for file in (tmp_path / "receipts").glob(f"{hidden.answer_id}*"):
        file.unlink()
    with clock.shifted(timedelta(minutes=2)):
        agreed = CliRunner().invoke(app, [*command, "--no-statistics"])
    assert (agreed.exit_code, json.loads(agreed.stdout)["agrees"]) == (0, True)


def test_a_portal_that_has_seen_a_checkpoint_believes_no_log_that_was_put_in_its_place(
    keeping: Portal, city: City, api: str, tmp_path: Path
) -> None:
    keeping.give_consent(SERVICE, SITI.body)
    settle(city)
    keeping.look_at_log()
    follow = following(city, api, tmp_path)
    assert "seen the first time" in CliRunner().invoke(app, follow).stdout
    answer = keeping.verify(SERVICE, SITI.body, CLAIMS)
    settle(city)
    receipt = keeping.receipt(answer)
    keeping.check_receipt(answer, receipt)
    assert "only appended" in CliRunner().invoke(app, follow).stdout
    kept = (tmp_path / "seen").read_text()
    with city.installation.database.admin(city.installation.settings.database_name) as connection:
        connection.execute(
            "TRUNCATE audit.entries, audit.tiles, audit.checkpoints CASCADE;"
            "UPDATE audit.log_state SET tree_size = 0, frontier = ''"
        )
    (city.installation.home / "log" / f"{city.installation.settings.database_name}.checkpoint").unlink()
    keeping.verify(SERVICE, SITI.body, CLAIMS)
    settle(city)  # the real key signs another history
    with pytest.raises((LogForked, ReceiptInvalid)) as caught:
        keeping.look_at_log()
    assert isinstance(caught.value, LogForked)
    done = CliRunner().invoke(app, follow)
    assert isinstance(done.exception, IntegrityBroken)
    assert (tmp_path / "seen").read_text() == kept


def test_an_auditor_verifies_the_log_over_https_entries_and_all(
    keeping: Portal, city: City, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINTAS_HOME", str(tmp_path / "home"))
    keeping.give_consent(SERVICE, SITI.body)
    keeping.verify(SERVICE, SITI.body, CLAIMS)
    settle(city)
    _, _, _, *trust = following(city, api, tmp_path)
    verify = ["audit", "verify", "--url", api, *trust, "--json"]
    public = CliRunner().invoke(app, verify)
    assert (public.exit_code, json.loads(public.stdout)["entries"]) == (0, 0)
    assert "only their hashes" in json.loads(public.stdout)["not_proven"][0]

    (tmp_path / "token").write_text(keeping.fetch_token(), encoding="ascii")
    verify += ["--token-file", str(tmp_path / "token")]
    assert CliRunner().invoke(app, verify).exit_code == 75, "a portal is no auditor"
    with city.installation.database.connect(Role.MIGRATOR) as connection:
        auditor = Officer("auditor-7", "diskopukm-mojokerto", "auditor-7", frozenset({OfficerRole.AUDITOR}))
        register_officer(connection, auditor)
    whole = CliRunner().invoke(app, verify)
    assert whole.exit_code == 0, whole.output
    found = json.loads(whole.stdout)
    assert found["entries"] == found["tree_size"] > 0
    settle(city)
    (read,) = city.entries("audit.exported")
    assert (read["consumer"], read["details"]["view"][:13]) == ("diskopukm-mojokerto", "tile/entries/")

    with city.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.entries SET entry = entry || ' ' WHERE entry_index = 1")
    changed = CliRunner().invoke(app, verify)
    damage = json.loads(changed.stdout)["damages"][0]
    assert (changed.exit_code, damage["entry"], damage["kind"]) == (70, 1, "entry edited")
    with city.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.tiles SET hashes = set_byte(hashes, 70, get_byte(hashes, 70) # 1)")
    public = CliRunner().invoke(app, verify[:-2])
    assert public.exit_code == 70
