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
from foundation.errors import IntegrityBroken
from lintas.cli import app
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
    monkeypatch.setattr("foundation.installation.load_settings", lambda: city.installation.settings)
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
