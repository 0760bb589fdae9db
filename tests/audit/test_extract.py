"""A part of the log is taken out and checked elsewhere: exactly what was asked for, with proofs, signed."""

import csv
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.checkpoints.keys import log_verifier_keys
from audit.entry import parse
from audit.errors import ExtractRefused, NotAnAuditor
from audit.publishing.sequencer import Sequencer
from audit.search import Hidden, Indexer, LogFilter
from audit.search.extract import extract
from audit.search.extract_files import safe_cell
from audit.subject_view import Reader
from audit.subjects.vault import Vault
from audit.verifier import lintas_extract, lintas_verify
from foundation.database import Role
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

AUDITOR = Reader(actor="auditor-01", reason="question of the Ombudsman")
COUNT = 900


def draft(number, keys):
    return EntryDraft(
        kind=EntryKind.EXCHANGE_REFUSED,
        occurred_at=datetime(2026, 5, 1, number // 60, number % 60, tzinfo=UTC),
        provider="=HYPERLINK(1)" if number == 6 else "kpp-mojokerto",
        consumer="dinsos-mojokerto" if number % 2 else "diskopukm-mojokerto",
        decision_id=UUID(int=number),
        datasets=("kpp-mojokerto/tax-standing", "kpp-mojokerto/taxpayers"),
        outcome="deny",
        subject=keys if number in (3, 30, 300) else None,
    )


@pytest.fixture
def log(installation, canary):
    with installation.database.connect(Role.MIGRATOR) as connection:
        register_agency(connection, Agency("kominfo", "Kominfo", "operator"))
        roles = frozenset({OfficerRole.AUDITOR})
        register_officer(connection, Officer("a-1", "kominfo", "auditor-01", roles))
    with Vault(installation) as vault, installation.database.connect(Role.API) as connection:
        keys = vault.handle_for("nik", canary.nik)
        append_many(connection, [draft(number, keys) for number in range(COUNT)])
    with Sequencer(installation) as sequencer, Indexer(installation) as indexer:
        sequencer.settle()
        indexer.catch_up()
    return installation, keys


def take(log, folder, wanted=None, **options):
    installation, _ = log
    key = installation.keyring.current("bus")
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        wanted = wanted or LogFilter(consumer="dinsos-mojokerto")
        report = extract(connection, folder, wanted, AUDITOR, key, **options)
    (folder.parent / "keys").write_text("".join(f"{key}\n" for key in log_verifier_keys(installation)))
    (folder.parent / "bus.jwks").write_text(json.dumps({"keys": [key.public_jwk | {"kid": key.kid}]}))
    return report


def check(folder, capsys):
    arguments = [folder, "--keys", folder.parent / "keys", "--bus-keys", folder.parent / "bus.jwks"]
    code = lintas_extract.main([str(each) for each in arguments])
    return code, capsys.readouterr().out


@pytest.fixture
def taken(log, tmp_path):
    told = []
    report = take(
        log, tmp_path / "part", formats=("csv", "parquet"), progress=lambda done, of: told.append((done, of))
    )
    assert report.entries == 450
    assert told[-1] == (COUNT, COUNT)
    return tmp_path / "part"


def test_exactly_what_was_asked_for_is_taken_out_and_checks_alone(taken, tmp_path):
    for module in (lintas_extract, lintas_verify):
        shutil.copy(module.__file__, tmp_path)
    command = [sys.executable, "-I", "-c", _ALONE.format(folder=tmp_path), str(taken)]
    command += ["--keys", str(tmp_path / "keys"), "--bus-keys", str(tmp_path / "bus.jwks")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "checked: 450 entries" in done.stdout
    assert "asked for: consumer dinsos-mojokerto" in done.stdout
    lines = (taken / "entries.ndjson").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(1, COUNT, 2))


_ALONE = """
import sys
sys.path.insert(0, "{folder}")
import lintas_extract
sys.exit(lintas_extract.main(sys.argv[1:]))
"""


def test_all_three_files_say_the_same(taken):
    import pyarrow.parquet as pq

    lines = [json.loads(line) for line in (taken / "entries.ndjson").read_text().splitlines()]
    with (taken / "entries.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = pq.read_table(taken / "entries.parquet").to_pylist()
    assert [row["index"] for row in rows] == [line["index"] for line in lines]
    assert [parse(row["entry"]) for row in rows] == [line["entry"] for line in lines]
    assert [row["decision"] for row in table] == [line["entry"]["decision"] for line in lines]
    assert table[0]["datasets"] == "kpp-mojokerto/tax-standing kpp-mojokerto/taxpayers"


def test_no_cell_is_a_formula_and_the_check_still_holds(log, tmp_path, capsys):
    take(log, tmp_path / "all", LogFilter(kind="exchange"))
    with (tmp_path / "all" / "entries.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell)]
    assert check(tmp_path / "all", capsys)[0] == 0


@pytest.mark.parametrize("start", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1"])
def test_what_a_spreadsheet_would_calculate_is_text(start):
    assert safe_cell(start) == f"'{start}"
    assert safe_cell(f"a{start}") == f"a{start}"


def test_a_persons_entries_are_taken_without_naming_the_person(log, tmp_path, capsys, canary):
    report = take(log, tmp_path / "person", LogFilter(), hidden=Hidden(subject=log[1]))
    assert report.entries == 3
    code, said = check(tmp_path / "person", capsys)
    assert code == 0
    assert "which subject they are about" in said
    for file in (tmp_path / "person").iterdir():
        assert not canary.found_in(file.read_text())


def test_taking_entries_out_is_logged_before_and_after(taken, log):
    installation, _ = log
    with Sequencer(installation) as sequencer:
        assert sequencer.settle() == 2
    query = "SELECT entry FROM audit.entries WHERE entry_index >= %s ORDER BY entry_index"
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute(query, [COUNT]).fetchall()
    begun, done = (parse(bytes(row[0])) for row in rows)
    assert (begun["kind"], begun["details"]["view"]) == ("audit.viewed", "extract begun")
    assert done["kind"] == "audit.exported"
    assert done["details"]["filter"] == ["consumer"]
    assert (done["details"]["entries"], done["details"]["checkpoint_size"]) == (450, COUNT)


def replace(name, old, new):
    def change(folder):
        file = folder / name
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, new, 1))

    return change


DAMAGES = {
    "an entry": replace("entries.ndjson", b'"outcome":"deny"', b'"outcome":"allow"'),
    "the table": replace("entries.csv", b"kpp-mojokerto", b"dpm-mojokerto"),
    "the typed table": replace("entries.parquet", b"PAR1", b"PAR2"),
    "the checkpoint": replace("checkpoint", b"900", b"901"),
    "the manifest": replace("manifest.jws", b".", b".e"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_changed_file_is_found(taken, what, capsys):
    DAMAGES[what](taken)
    code, said = check(taken, capsys)
    assert (code, said[:6]) == (1, "FALSE:")


def resigned(log, folder, change):
    """What an operator with the key of the bus could do: change files, and sign the manifest anew."""
    key = log[0].keyring.current("bus")
    token = (folder / "manifest.jws").read_text().strip()
    manifest = json.loads(lintas_extract.unpad(token.split(".")[1]))
    change(folder, manifest)
    from audit.search.extract import TOKEN_TYPE, _described
    from foundation.signatures import compact_jws

    manifest["files"] = {name: _described(folder / name) for name in manifest["files"]}
    signed = compact_jws(key, TOKEN_TYPE, json.dumps(manifest).encode())
    (folder / "manifest.jws").write_text(signed)


def drop_last(folder, manifest):
    lines = (folder / "entries.ndjson").read_bytes().splitlines(keepends=True)
    (folder / "entries.ndjson").write_bytes(b"".join(lines[:-1]))


def other_filter(folder, manifest):
    manifest["filter"] = {"consumer": "diskopukm-mojokerto"}


def twice(folder, manifest):
    lines = (folder / "entries.ndjson").read_bytes().splitlines(keepends=True)
    (folder / "entries.ndjson").write_bytes(b"".join([lines[0], *lines]))


def invented(folder, manifest):
    replace("entries.ndjson", b'"outcome":"deny"', b'"outcome":"done"')(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_last, "not as many entries"),
        (other_filter, "not one that the filter asks for"),
        (twice, "does not come after"),
        (invented, "not in the tree"),
    ],
)
def test_even_with_the_key_of_the_bus_no_entry_is_invented(log, taken, change, said, capsys):
    resigned(log, taken, change)
    code, output = check(taken, capsys)
    assert code == 1
    assert said in output


def test_what_cannot_be_written_is_refused_before_anything_is_read(log, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ExtractRefused):
        take(log, tmp_path / "full")
    with pytest.raises(ExtractRefused):
        take(log, tmp_path / "new", formats=("xlsx",))
    installation, _ = log
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        stranger = Reader(actor="nobody", reason="x")
        with pytest.raises(NotAnAuditor):
            extract(connection, tmp_path / "n", LogFilter(), stranger, installation.keyring.current("bus"))
