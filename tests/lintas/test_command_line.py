"""The command line itself: a map, quick to start, plain about errors; its documentation says what it does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import lintas.cli
from foundation.errors import (
    FixContract,
    FixInstallation,
    FixSource,
    IntegrityBroken,
    LintasError,
    Refused,
    RetryLater,
)
from lintas.documentation import commands_markdown
from lintas.errors import AlreadyRunning
from lintas.output import exit_code, print_error, print_rows
from lintas.stage import masked

ROOT = Path(lintas.cli.__file__).parents[1]
HEAVY = {
    "airflow", "connectors", "consent", "fastapi", "great_expectations", "pandas", "polars", "psycopg",
    "records", "sandbox", "sqlalchemy", "verification", "web",
}  # fmt: skip


def leaves() -> dict[str, object]:
    def walk(command: object, path: str) -> dict[str, object]:
        children = getattr(command, "commands", None)
        if children is None:
            return {path: command}
        return {
            name: leaf
            for key, child in children.items()
            if not child.hidden  # an alias of another one
            for name, leaf in walk(child, f"{path} {key}".strip()).items()
        }

    return walk(typer.main.get_command(lintas.cli.app), "")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "lintas", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_help_is_a_map_of_every_command() -> None:
    done = run("--help", COLUMNS="200")
    assert done.returncode == 0
    for name in {path.split()[0] for path in leaves()}:
        assert re.search(rf"\b{name}\b", done.stdout), name


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, lintas.cli; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_every_command_explains_itself_and_its_options() -> None:
    for path, command in leaves().items():
        assert command.help, path
        for parameter in command.params:
            if parameter.name not in {"help", "limit"} and parameter.param_type_name == "option":
                assert parameter.help, f"{path} {parameter.name}"


def test_every_command_that_prints_something_prints_json_too() -> None:
    silent = {
        "airflow-database", "api", "audit prove", "database", "demo", "dispatcher", "monitor", "sandbox",
        "sequencer", "up", "witness run",
    }  # fmt: skip
    for path, command in leaves().items():
        assert path in silent or any("--json" in each.opts for each in command.params), path


def test_each_command_has_its_heading_in_the_reference() -> None:
    text = commands_markdown()
    for path in leaves():
        assert f"## `lintas {path}`" in text


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("docs/tutorial/*.md")) + sorted(ROOT.glob("docs/how-to/*.md")), ids=str
)
def test_every_command_shown_in_the_documentation_exists_with_its_options(page: Path) -> None:
    known = leaves()
    for line in re.findall(r"^(?:\$ )?lintas ([a-z].*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split()
        path = next((" ".join(words[:n]) for n in (4, 3, 2) if " ".join(words[:n]) in known), words[0])
        assert path in known, line
        options = {option for each in known[path].params for option in (*each.opts, *each.secondary_opts)}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line)) <= options, line


@pytest.mark.parametrize(
    ("branch", "code"),
    [
        (FixContract, 65),
        (FixSource, 69),
        (IntegrityBroken, 70),
        (RetryLater, 75),
        (Refused, 77),
        (FixInstallation, 78),
    ],
)
def test_the_exit_code_names_the_branch_of_the_error(branch: type[LintasError], code: int) -> None:
    assert exit_code(branch("no")) == code


@pytest.mark.parametrize(("held", "code"), [(True, 77), (False, 0)])
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_held_batch_does_not_look_like_success_to_a_script(
    monkeypatch: pytest.MonkeyPatch, held: bool, code: int, words: tuple[str, ...]
) -> None:
    report = {
        "dataset": "a/b", "batch": "b1", "read": 1, "accepted": 1, "quarantined": 0, "inserted": 0,
        "updated": 0, "closed": 0, "unchanged": 1, "seconds": 1.0, "rows_per_second": 1, "reasons": {},
        "held": held, "broken_rules": ["close-ratio"] if held else [],
    }  # fmt: skip
    monkeypatch.setattr("lintas.sync_report.run_one_sync", lambda dataset: report)
    done = CliRunner().invoke(lintas.cli.app, ["sync", "a/b", *words])
    assert done.exit_code == code
    assert ("held" in done.stdout) is (held or bool(words))


def test_an_error_says_what_where_why_and_what_next(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    print_error(AlreadyRunning(tmp_path, "42"), as_json=False)
    shown = capsys.readouterr().err
    assert "already-running" in shown
    assert "next" in shown
    print_error(AlreadyRunning(tmp_path, "42"), as_json=True)
    assert json.loads(capsys.readouterr().err)["code"] == "already-running"


def test_a_wrong_setting_is_an_error_and_no_traceback() -> None:
    done = run("settings", "--json", LINTAS_API_PRT="1")
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert "LINTAS_API_PORT" in json.loads(done.stderr)["what"]


def test_settings_lists_every_setting(tmp_path: Path) -> None:
    from foundation.settings import Settings

    done = run("settings", "--json", LINTAS_HOME=str(tmp_path))
    assert {row["variable"] for row in json.loads(done.stdout)} == {
        f"LINTAS_{name.upper()}" for name in Settings.model_fields
    }


def test_rows_without_anything_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], ("a",), as_json=False, empty="nothing waits")
    assert "nothing waits" in capsys.readouterr().out
    print_rows([], ("a",), as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_a_masked_identifier_shows_its_two_ends() -> None:
    assert masked("3576025505909001") == "3576••••••••••01"
