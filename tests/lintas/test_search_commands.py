"""An auditor searches the log on the command line, keeps a view, and takes a part of it along."""

import json

import pytest
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append_many
from audit.publishing.sequencer import Sequencer
from audit.search import Indexer, case_key
from audit.subjects.vault import Vault
from foundation.database import Role
from lintas.cli import app
from lintas.search_view import bars
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

BY = ("--auditor", "auditor-01")


@pytest.fixture
def run(installation, monkeypatch, canary):
    for name, value in installation.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    with installation.database.connect(Role.MIGRATOR) as connection:
        register_agency(connection, Agency("kominfo", "Kominfo", "operator"))
        roles = frozenset({OfficerRole.AUDITOR})
        register_officer(connection, Officer("a-1", "kominfo", "auditor-01", roles))
    with Vault(installation) as vault, installation.database.connect(Role.API) as connection:
        person = vault.handle_for("nik", canary.nik)
        case = case_key(installation.keyring, "B-17/2026")
        append_many(connection, [draft(number, person, case) for number in range(300)])
    with Sequencer(installation) as sequencer, Indexer(installation) as indexer:
        sequencer.settle()
        indexer.catch_up()

    def invoke(*words):
        return CliRunner().invoke(app, ["audit", *map(str, words)])

    return invoke


def draft(number, person, case):
    return EntryDraft(
        kind=EntryKind.EXCHANGE_REFUSED,
        provider="dukcapil-mojokerto" if number % 2 else "kpp-mojokerto",
        consumer="dinsos-mojokerto",
        outcome="deny",
        subject=person if number == 9 else None,
        case_key=case if number == 10 else None,
    )


def told(result):
    assert result.exit_code == 0, result.output or result.exception
    return json.loads(result.stdout)


def test_a_search_is_paged_and_filtered(run):
    words = ("search", *BY, "--provider", "kpp-mojokerto", "--limit", 100, "--json")
    first = told(run(*words))
    second = told(run(*words, "--cursor", first["cursor"]))
    numbers = [entry["number"] for entry in first["entries"] + second["entries"]]
    assert numbers == list(range(298, -1, -2))
    assert second["cursor"] is None
    shown = run("search", *BY, "--since", "2020-01-01", "--limit", 2)
    assert "dukcapil-mojokerto" in shown.stdout
    assert "--cursor" in shown.stdout


def test_a_person_and_a_case_come_in_files(run, tmp_path, canary):
    nik, case = tmp_path / "nik", tmp_path / "case"
    nik.write_text(canary.nik)
    case.write_text("b-17/2026 \n")
    found = told(run("timeline", *BY, "--nik-file", nik, "--json"))
    assert [entry["number"] for entry in found["entries"]] == [9]
    found = told(run("search", *BY, "--case-file", case, "--json"))
    assert [entry["number"] for entry in found["entries"]] == [10]
    assert run("timeline", *BY).exit_code == 2


def test_counts_are_told_with_bars(run):
    found = told(run("counts", *BY, "--per", "month", "--by", "provider", "--json"))
    assert {(row["group"], row["entries"]) for row in found} == {
        ("dukcapil-mojokerto", 150), ("kpp-mojokerto", 150),
    }  # fmt: skip
    assert "█" * 40 in run("counts", *BY).stdout


def test_bars_are_as_long_as_their_counts():
    from datetime import UTC, datetime

    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"start": start, "group": name, "entries": n} for name, n in (("a", 400), ("b", 105), ("c", 1))]
    lines = list(bars(rows, is_hourly=False))
    assert [line.split()[-1] for line in lines] == ["█" * 40, "█" * 10 + "▌", "▏"]


def test_views_are_saved_listed_run_and_deleted(run):
    saved = told(run("views", "save", "from-tax", *BY, "--provider", "kpp-mojokerto", "--json"))
    assert saved["filter"] == {"provider": "kpp-mojokerto"}
    assert [view["name"] for view in told(run("views", "list", "--json"))] == ["from-tax"]
    found = told(run("views", "run", "from-tax", *BY, "--json"))
    assert {entry["provider"] for entry in found["entries"]} == {"kpp-mojokerto"}
    assert run("views", "delete", "from-tax", *BY).exit_code == 0
    assert told(run("views", "list", "--json")) == []


def test_a_part_is_taken_out_and_checked(run, tmp_path):
    folder = tmp_path / "part"
    words = ("extract", folder, *BY, "--reason", "complaint 7", "--provider", "kpp-mojokerto")
    assert told(run(*words, "--format", "parquet", "--format", "csv", "--json"))["entries"] == 150
    assert told(run("check-export", folder, "--json"))["holds"]
    table = folder / "entries.csv"
    table.write_text(table.read_text().replace("kpp-mojokerto", "dukcapil-mojokerto", 1))
    checked = run("check-export", folder)
    assert checked.exit_code == 70
    assert "FALSE: entries.csv" in checked.stdout


def test_pruning_is_previewed_proposed_and_approved_by_another(run, installation):
    shown = told(run("prune", "--preview", "--before", "2020-01-01", "--json"))
    assert (shown["entries"], shown["kept_by"]) == (0, "exchange.refused")
    assert told(run("prune", "--list", "--json")) == []
    assert run("prune", "--before", "2020-01-01").exit_code == 2
    with installation.database.connect(Role.MIGRATOR) as connection:
        for name in ("steward-01", "steward-02"):
            roles = frozenset({OfficerRole.STEWARD})
            register_officer(connection, Officer(name, "kominfo", name, roles))
    refused = run("prune", "--before", "2020-01-01", "--officer", "steward-01", "--reason", "old")
    assert refused.exception.code == "pruning-refused"
