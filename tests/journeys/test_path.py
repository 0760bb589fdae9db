"""The whole path: four agencies in, one application verified, every exchange provable."""

import gc
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Role
from sandbox.applications import APPLICATIONS
from sandbox.fixed_people import FIXED
from sandbox.mutations import RegistryMutations
from sandbox.portal import PortalRefused
from sandbox.webhook_receiver import WebhookReceiver
from verification.webhooks import register

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(600),  # whichever comes first starts the bus
]

PERSONS = "dukcapil-mojokerto/persons"


def applicant(person: Any) -> dict[str, str]:
    return {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}


def ask(portal: Any, person: Any, **further: Any) -> Any:
    portal.give_consent("bantuan-usaha-mikro", applicant(person))
    claims = {"amount_requested": 1_000_000, "business_nib": person.nib}
    return portal.verify("bantuan-usaha-mikro", applicant(person), claims, **further)


@pytest.mark.parametrize(
    ("role", "criterion", "outcome"),
    [
        ("verified", None, None),
        ("tax_not_valid", "tax-standing", "not_met"),
        ("deceased", "alive", "not_met"),
        ("death_quarantined", "alive", "unknown"),
        ("minor", "adult", "not_met"),
        ("elsewhere", "resident", "not_met"),
        ("no_tax", "tax-standing", "unknown"),
    ],
)
def test_each_practice_person_gets_the_answer_that_their_records_call_for(
    synced: Any, role: str, criterion: str | None, outcome: str | None
) -> None:
    person = getattr(FIXED, role)
    with synced.portal() as portal:
        answer = ask(portal, person)
    assert (answer.verdict == "verified") is (person.expected == "verified")
    if criterion is not None:
        assert answer.outcomes[criterion] == outcome
        assert answer.content["referral"] is not None


@pytest.mark.parametrize("name", ["aid-verified", "police-lapsed", "card-verified", "aid-birth-dates-differ"])
def test_each_portal_gets_its_answers_over_the_running_bus(synced: Any, name: str) -> None:
    application = APPLICATIONS[name]
    with synced.portal_for(application.service) as portal:
        if application.service == "bantuan-usaha-mikro":
            portal.give_consent(application.service, applicant(application.applicant))
        answer = portal.verify(application.service, applicant(application.applicant), application.claims)
    assert answer.verdict == application.expected
    if application.criterion:
        assert answer.outcomes[application.criterion] == application.outcome


def test_a_death_reaches_the_portal_whose_answer_relied_on_the_life(synced: Any) -> None:
    person = FIXED.dies_later
    receiver = WebhookReceiver(synced.installation.authority, lambda: bus_keys)
    with synced.portal() as portal:
        bus_keys = portal.bus_keys
        receiver.start()
        try:
            with synced.installation.database.connect(Role.STEWARD) as connection:
                ca = synced.installation.authority.ca_pem
                register(
                    connection, "palapa-mojo", receiver.url, by="walidata-01", ca_pem=ca, is_operator=True
                )
            answer = ask(portal, person)
            assert answer.verdict == "verified"
            RegistryMutations(synced.agencies.registry).new_death(person.nik)
            assert synced.sync("dukcapil-mojokerto/deaths").published == 1
            (notice,) = [
                each for each in receiver.wait_for(1, timeout=60) if each.data["answer"] == answer.answer_id
            ]
            again = portal.read(notice.data["review"])
        finally:
            receiver.stop()
            with warnings.catch_warnings():  # a connection cut by the stop is left to the collector
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
    assert (again.verdict, again.outcomes["alive"]) == ("refer", "not_met")
    assert receiver.refused == []


def test_a_purpose_that_nobody_agreed_to_is_denied_and_logged(synced: Any) -> None:
    before = synced.entries("exchange.refused")
    with synced.portal() as portal, pytest.raises(PortalRefused) as refused:
        ask(portal, FIXED.denied, purpose="credit-scoring")
    assert refused.value.status == 403
    assert refused.value.rules
    assert synced.entries("exchange.refused") == before + 1


def test_a_receipt_is_checked_offline_by_a_file_that_shares_no_code_with_the_bus(
    synced: Any, tmp_path: Path
) -> None:
    import audit.verifier
    from audit.checkpoints.keys import log_verifier_keys

    with synced.portal() as portal:
        answer = ask(portal, FIXED.verified, wait=5)
        receipt = answer.receipt or portal.receipt(answer, wait=5)
        assert portal.check_receipt(answer, receipt).entry["kind"] == "exchange.answered"
    (tmp_path / "keys").write_text("".join(f"{key}\n" for key in log_verifier_keys(synced.installation)))
    verifier = Path(audit.verifier.__file__).with_name("lintas_verify.py")
    for content, code in (
        (receipt, 0),
        (receipt.replace(receipt[40], "A" if receipt[40] != "A" else "B", 1), None),
    ):
        (tmp_path / "receipt").write_text(content)
        command = [
            sys.executable,
            "-I",
            str(verifier),
            "receipt",
            str(tmp_path / "receipt"),
            "--keys",
            str(tmp_path / "keys"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 if code == 0 else done.returncode != 0, done.stdout


def test_the_applicant_sees_who_used_their_data(synced: Any) -> None:
    with synced.portal() as portal:
        answer = ask(portal, FIXED.verified)
        found = []
        for _ in range(40):  # an entry is numbered within a moment of its commit
            found = portal.who_used(applicant(FIXED.verified))
            if any(each["entry_id"] == answer.promise["entry"] for each in found):
                break
        (mine,) = [each for each in found if each["entry_id"] == answer.promise["entry"]]
    assert mine["is_mine"]
    assert mine["consumer"] == "diskopukm-mojokerto"
    assert "kpp-mojokerto/tax-standing:standing" in mine["fields"]


def test_a_second_run_changes_nothing_and_says_so(synced: Any) -> None:
    history = "SELECT count(*) FROM records.person_v1_versions"
    before = synced.query("SELECT max(change_id) FROM records.change_feed")
    figures = synced.sync(PERSONS)
    assert figures.published == 0
    assert figures.unchanged == figures.accepted > 1000
    assert synced.query("SELECT max(change_id) FROM records.change_feed") == before, history


def test_a_death_published_a_moment_ago_counts_at_once(synced: Any) -> None:
    person = FIXED.denied
    RegistryMutations(synced.agencies.registry).new_death(person.nik)
    with synced.portal() as portal:
        assert ask(portal, person).outcomes["alive"] == "met"
        figures = synced.sync("dukcapil-mojokerto/deaths")
        assert figures.published == 1
        assert ask(portal, person).outcomes["alive"] == "not_met"


def test_the_log_is_whole_and_a_change_behind_the_buss_back_is_named(synced: Any) -> None:
    from audit.checking.verification import verify_installation

    assert verify_installation(synced.installation).intact
    name = synced.settings.database_name
    index = synced.query("SELECT max(entry_index) FROM audit.entries WHERE kind = 'sync.completed'")[0][0]
    with synced.installation.database.admin(name) as connection:
        original = connection.execute(
            "SELECT entry FROM audit.entries WHERE entry_index = %s", [index]
        ).fetchone()[0]
        altered = bytes(original).replace(b"completed", b"c0mpleted")
        for content, intact in ((altered, False), (original, True)):
            with connection.transaction():
                connection.execute("SET LOCAL session_replication_role = replica")
                connection.execute(
                    "UPDATE audit.entries SET entry = %s WHERE entry_index = %s", [content, index]
                )
            report = verify_installation(synced.installation)
            assert report.intact is intact
            if not intact:
                assert report.first.index == index


def test_every_sync_began_with_a_decision_and_ended_with_an_entry(synced: Any) -> None:
    rows = synced.query(
        "SELECT entry::text FROM (SELECT convert_from(entry, 'UTF8')::jsonb AS entry FROM audit.entries"
        " WHERE kind LIKE 'sync.%%') e ORDER BY 1"
    )
    import json

    found = [json.loads(row[0]) for row in rows]
    started = {each["batch"]["batch_id"] for each in found if each["kind"] == "sync.started"}
    ended = {each["batch"]["batch_id"] for each in found if each["kind"] != "sync.started"}
    assert started == ended
    assert all(each["agreements"] for each in found if each["kind"] == "sync.started")
