"""A dossier answers who, what, when and by which right, on paper and as files that check offline."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import audit.verifier
from audit import EntryDraft, EntryKind, append
from audit.publishing.sequencer import Sequencer
from audit.search.cases import case_key
from audit.verifier import lintas_dossier, lintas_verify
from foundation import clock
from foundation.database import Role
from lintas.cli import app
from lintas.dossier import collecting
from lintas.dossier.bundle import bundle_files, signed, write_bundle
from lintas.dossier.collecting import Collected, collect
from lintas.dossier.question import Asker, Kind, Question
from participants.registry import Officer, register_officer
from participants.roles import OfficerRole
from sandbox.portal import Portal
from tests.verification.cities import CityCopies
from tests.verification.city import BUDI, CLAIMS, OFFICE, PORTAL, SERVICE, SITI, City
from tests.web.serving import serving
from verification.catalogue import BUILT_IN

AUDITOR = "auditor-01"


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


@pytest.fixture(scope="module")
def asked(city_copies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str, Path]]:  # type: ignore[no-untyped-def]
    """Two people about whom a portal has asked; the entry of the first answer; a file with her NIK."""
    with city_copies.city() as city, serving(city) as url:
        ca = city.installation.authority.ca_path
        with Portal(url, ca, PORTAL, city.keys[PORTAL]) as portal:
            for person in (SITI, BUDI):
                portal.give_consent(SERVICE, person.body)
            answer = portal.verify(SERVICE, SITI.body, CLAIMS, case_number="UKM-7")
            portal.verify(SERVICE, BUDI.body, BUDI.claims)
        number = case_key(city.installation.keyring, "UKM-9")
        with city.connect(Role.STEWARD) as connection:
            auditor = Officer(AUDITOR, "diskominfo-mojokerto", AUDITOR, frozenset({OfficerRole.AUDITOR}))
            register_officer(connection, auditor)
            append(connection, EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="petugas-1", case_key=number))
        with Sequencer(city.installation) as sequencer:
            sequencer.settle()
        nik = tmp_path_factory.mktemp("person") / "nik"
        nik.write_text(f"{SITI.nik}\n", encoding="utf-8")
        yield city, str(answer.promise["entry"]), nik


@pytest.fixture(autouse=True)
def at_home(asked: tuple[City, str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = asked[0].installation.settings.model_copy(update={"officer": AUDITOR})
    monkeypatch.setattr("foundation.installation.load_settings", lambda: settings)


def files_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checked(bundle: Path, keys: Path) -> tuple[int, str]:
    with zipfile.ZipFile(keys) as archive:
        for name in ("log.keys", "bus.jwks"):
            (bundle.parent / name).write_bytes(archive.read(name))
    script = Path(audit.verifier.__file__).with_name("lintas_dossier.py")
    command = [sys.executable, str(script), str(bundle), "--log-keys", str(bundle.parent / "log.keys")]
    done = subprocess.run(
        [*command, "--bus-keys", str(bundle.parent / "bus.jwks")],
        capture_output=True, text=True, check=False, env={}, cwd=bundle.parent,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_citizens_dossier_holds_their_own_entries_with_proofs_and_what_they_rested_on(
    asked: tuple[City, str, Path], tmp_path: Path
) -> None:
    city, entry, nik = asked
    code, said = run("audit", "dossier", tmp_path, "--nik-file", nik, "--for", "citizen", "--json")
    told = json.loads(said)
    assert (code, told["entries"], told["proven"]) == (0, 2, 2)
    files = files_of(tmp_path / "dossier.zip")
    entries = [json.loads(content) for name, content in files.items() if name.startswith("entries/")]
    assert {each["kind"] for each in entries} == {"consent.granted", "exchange.answered"}
    assert entry in {each["id"] for each in entries}
    opened = [json.loads(content) for name, content in files.items() if name.startswith("opened/")]
    assert "UKM-7" in {each.get("case_number") for each in opened}
    assert {name.partition("/")[0] for name in files} >= {"agreements", "consents", "contracts", "services"}
    assert files["dossier.pdf"] == (tmp_path / "dossier.pdf").read_bytes()
    code, said = checked(tmp_path / "dossier.zip", tmp_path / "dossier.zip")
    assert (code, "2 entries with proofs" in said) == (0, True)
    (logged,) = [each for each in city.entries("audit.dossier") if each["details"]["asker"] == "citizen"]
    assert logged["details"]["manifest"] == told["manifest_sha256"]
    assert len(logged["subjects"]) == 1


def test_an_auditors_dossier_shows_pseudonyms_only(asked: tuple[City, str, Path], tmp_path: Path) -> None:
    _, entry, nik = asked
    for number, question in enumerate((("--exchange", entry), ("--nik-file", nik))):
        folder = tmp_path / str(number)
        code, _ = run("audit", "dossier", folder, *question, "--language", "en")
        assert code == 0
        files = files_of(folder / "dossier.zip")
        assert not any(name.startswith("opened/") for name in files)
        for person in (SITI, BUDI):
            for content in files.values():
                assert person.nik.encode() not in content
                assert person.name.encode() not in content
        manifest = json.loads(files["manifest.json"])
        assert entry in {each["id"] for each in manifest["entries"]}
        cited = {each["kind"]: each for each in manifest["rests_on"]}
        assert cited["agreement"]["file"] in files


def test_a_case_is_found_by_its_number_which_stands_nowhere(
    asked: tuple[City, str, Path], tmp_path: Path
) -> None:
    number = tmp_path / "case"
    number.write_text(" ukm-9\n", encoding="utf-8")
    code, said = run("audit", "dossier", tmp_path / "to", "--case-file", number, "--json")
    assert (code, json.loads(said)["entries"]) == (0, 1)
    assert not any(
        b"ukm-9" in content.lower() for content in files_of(tmp_path / "to" / "dossier.zip").values()
    )


def test_a_period_is_answered_whole(asked: tuple[City, str, Path], tmp_path: Path) -> None:
    today = clock.now() - timedelta(days=2), clock.now() + timedelta(days=2)
    since, until = (f"{each:%Y-%m-%d}" for each in today)
    code, said = run("audit", "dossier", tmp_path, "--since", since, "--until", until, "--json")
    assert (code, json.loads(said)["entries"] > 4) == (0, True)
    assert checked(tmp_path / "dossier.zip", tmp_path / "dossier.zip")[0] == 0


@pytest.mark.parametrize("spoiled", ["entry", "agreement", "extra", "manifest", "proof", "stranger"])
def test_whatever_is_changed_in_a_bundle_is_found_offline(
    asked: tuple[City, str, Path], tmp_path: Path, spoiled: str
) -> None:
    _, entry, _ = asked
    assert run("audit", "dossier", tmp_path, "--exchange", entry)[0] == 0
    files = files_of(tmp_path / "dossier.zip")
    names = {"entry": "entries/", "agreement": "agreements/", "proof": "proofs/", "manifest": "manifest.json"}
    if spoiled == "extra":
        files["entries/999.json"] = b"{}"
    elif spoiled == "stranger":
        header, payload, _ = files["manifest.jws"].decode().split(".")
        files["manifest.jws"] = f"{header}.{payload}.{'A' * 86}".encode()
    else:
        name = next(name for name in sorted(files) if name.startswith(names[spoiled]))
        files[name] = files[name].replace(b"1", b"2", 1)
    with zipfile.ZipFile(tmp_path / "spoiled.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    code, said = checked(tmp_path / "spoiled.zip", tmp_path / "dossier.zip")
    assert (code, "FALSE" in said) == (1, True)


def collected_of(city: City, first: int, last: int) -> Collected:
    """The answer about a part of 2020, in which nothing but what a test has planted happened."""
    since, until = (datetime(2020, month, 1, tzinfo=UTC) for month in (first, last))
    question = Question(kind=Kind.PERIOD, asker=Asker.AUDITOR, language="en", since=since, until=until)
    with city.connect(Role.AUDITOR) as connection:
        return collect(city.installation, connection, question)


def plant(city: City, month: int, kind: EntryKind = EntryKind.EXCHANGE_REFUSED, **given: Any) -> None:
    at = datetime(2020, month, 15, tzinfo=UTC)
    with city.connect(Role.STEWARD) as connection:
        append(connection, EntryDraft(kind=kind, occurred_at=at, outcome="planted", **given))


def test_each_entry_rests_on_the_contract_that_was_in_force_then(city_copies: CityCopies) -> None:
    with city_copies.city() as city:
        each_entry_rests_on_its_own_contract(city, "dukcapil-mojokerto/persons")


def each_entry_rests_on_its_own_contract(city: City, dataset: str) -> None:
    plant(city, 1, datasets=(dataset,))
    for month, version in ((2, "1.0.0"), (4, "2.0.0"), (6, "3.0.0")):
        told = {"contract_version": version, "contract_hash": version[0] * 64}
        published = EntryKind.CONTRACT_PUBLISHED
        plant(city, month, published, provider="dukcapil-mojokerto", datasets=(dataset,), details=told)
        if month < 6:
            plant(city, month + 1, datasets=(dataset,))
    with Sequencer(city.installation) as sequencer:
        sequencer.settle()
    found = collected_of(city, 1, 6)
    rested = {each.revision: each for each in found.contracts}
    assert set(rested) == {"?", "1.0.0", "2.0.0"}
    assert (rested["1.0.0"].hash, rested["2.0.0"].hash) == ("1" * 64, "2" * 64)
    assert rested["?"].hash == "", "what was not logged is claimed by no hash"
    assert not any(each.content for each in found.contracts), "the file of today is another one"
    by_entry = {number: each.revision for each in found.contracts for number in each.facts["entries"]}
    moments = [each.data["time"][5:7] for each in found.entries if each.data["kind"] == "exchange.refused"]
    numbers = [each.index for each in found.entries if each.data["kind"] == "exchange.refused"]
    assert moments == ["01", "03", "05"]
    assert [by_entry[number] for number in numbers] == ["?", "1.0.0", "2.0.0"]


@pytest.mark.parametrize(("version", "is_at_hand"), [("", True), ("{0}.1", False), ("short", False)])
def test_the_text_of_a_service_is_shown_only_in_exactly_the_version_that_answered(
    asked: tuple[City, str, Path], version: str, is_at_hand: bool
) -> None:
    present = yaml.safe_load((BUILT_IN / f"{SERVICE}.yaml").read_text(encoding="utf-8"))["version"]
    wanted = {"": present, "short": present[:-1]}.get(version, version.format(present))
    entries = [{"details": {"service": SERVICE, "service_version": wanted}}]
    (found,) = collecting._services(asked[0].installation, entries)
    assert (found.content is not None, bool(found.hash)) == (is_at_hand, is_at_hand)


def test_a_proof_of_another_place_than_the_manifest_says_is_false(
    asked: tuple[City, str, Path], tmp_path: Path
) -> None:
    assert run("audit", "dossier", tmp_path, "--exchange", asked[1])[0] == 0
    with zipfile.ZipFile(tmp_path / "dossier.zip") as archive:
        archive.extractall(tmp_path / "open")
    manifest = json.loads((tmp_path / "open" / "manifest.json").read_bytes())
    keys = lintas_verify.read_keys(tmp_path / "open" / "log.keys")
    assert lintas_dossier.check_entries(tmp_path / "open", manifest, keys)[1] == 0
    manifest["entries"][0]["index"] += 1
    with pytest.raises(lintas_verify.Falsehood, match="another place"):
        lintas_dossier.check_entries(tmp_path / "open", manifest, keys)


def test_an_entry_without_a_proof_is_told_and_ends_with_2(
    asked: tuple[City, str, Path], tmp_path: Path
) -> None:
    city, entry, _ = asked
    assert run("audit", "dossier", tmp_path, "--exchange", entry)[0] == 0
    keys = files_of(tmp_path / "dossier.zip")
    question = Question(kind=Kind.EXCHANGE, asker=Asker.AUDITOR, language="en", entry=entry)
    with city.connect(Role.AUDITOR) as connection:
        found = collect(city.installation, connection, question)
    found.entries = [replace(each, receipt=None) for each in found.entries]
    files = {**bundle_files(found), "log.keys": keys["log.keys"], "bus.jwks": keys["bus.jwks"]}
    head = {"written_at": "now", "log": "x"}
    manifest, signature = signed(found, files, head, city.installation.keyring.current("bus"))
    whole = {**files, "manifest.json": manifest, "manifest.jws": signature.encode()}
    write_bundle(tmp_path / "bare.zip", whole)
    code, said = checked(tmp_path / "bare.zip", tmp_path / "dossier.zip")
    assert (code, f"not proven: {len(found.entries)} entries" in said, "FALSE" in said) == (2, True, False)


COMMANDS = {
    "show": (),
    "subject": ("--nik-file", "NIK"),
    "export": ("FOLDER",),
    "reconcile": ("--no-statistics",),
    "dossier": ("FOLDER", "--nik-file", "NIK"),
    "breach": (),
    "subject-key": ("FOLDER", "--nik-file", "NIK"),
    "manifests": ("FOLDER",),
    "search": (),
    "counts": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_who_reads_the_log_is_named_and_is_an_auditor(
    asked: tuple[City, str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    city, _, nik = asked
    places = {"NIK": str(nik), "FOLDER": str(tmp_path / "to")}
    words = ["audit", command, *(places.get(word, word) for word in COMMANDS[command])]
    option = "--auditor" if command in {"search", "counts"} else "--actor"
    before = len(city.entries("audit."))
    for stranger in ("auditor-99", "officer-ukm-7"):
        done = CliRunner().invoke(app, [*words, option, stranger])
        assert type(done.exception).__name__ == "NotAnAuditor", (done.exception, done.output)
    monkeypatch.setattr("foundation.installation.load_settings", lambda: city.installation.settings)
    unnamed = CliRunner().invoke(app, words)
    assert "LINTAS_OFFICER" in str(unnamed.exception)
    assert len(city.entries("audit.")) == before
    assert not (tmp_path / "to").exists()
    done = CliRunner().invoke(app, [*words, option, AUDITOR])
    assert (done.exit_code, done.exception) == (0, None), done.exception


def test_a_question_that_names_nothing_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", "dossier", str(tmp_path)])
    assert "must say which one" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_breach_query_says_whom_it_concerns_and_drafts_the_notice(
    asked: tuple[City, str, Path], tmp_path: Path
) -> None:
    city, _, _ = asked
    before = len(city.entries("audit.breach"))
    discovered = clock.now() - timedelta(hours=20)
    told = [f"{discovered:%Y-%m-%dT%H:%M:%S+0000}", "--to", tmp_path / "drafts", "--json"]
    code, said = run("audit", "breach", "--system", PORTAL, "--discovered-at", *told)
    found = json.loads(said)
    assert (code, found["subjects"], found["exchanges"]) == (0, 2, 2)
    assert found["receivers"] == {OFFICE: 2}
    assert 51 < found["hours_left"] <= 52
    assert any(name.startswith("dukcapil-mojokerto/persons:") for name in found["fields"])
    drafts = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "drafts").iterdir()}
    assert set(drafts) == {"pemberitahuan.md", "notice.md", "affected.json"}
    assert "3 x 24 jam" in drafts["pemberitahuan.md"]
    assert "2 persons are concerned, in 2 exchanges" in drafts["notice.md"]
    assert not any(SITI.nik in text or SITI.name in text for text in (said, *drafts.values()))
    assert json.loads(run("audit", "breach", "--system", "another", "--json")[1])["subjects"] == 0
    one = json.loads(run("audit", "breach", "--field", "kpp-mojokerto/tax-standing", "--json")[1])
    assert {name.partition(":")[0] for name in one["fields"]} == {"kpp-mojokerto/tax-standing"}
    assert len(city.entries("audit.breach")) == before + 3
