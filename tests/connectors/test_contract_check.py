"""Mistakes in the settings of a connector are told with their line before anything is connected."""
# ruff: noqa: E501 - the table of mistakes reads best unwrapped

import pytest

from connectors.contract_check import setting_problems
from schemas.contract import Contract
from schemas.contracts import PACKAGED_CONTRACTS, load_contracts


def inspect(contract: Contract):
    return setting_problems(contract.server.kind, contract.server.config, contract.source_columns)


def test_the_contracts_of_the_practice_agencies_are_sound():
    assert load_contracts(inspect=inspect).problems == ()


SPOILT = [
    ("dukcapil-mojokerto/persons", "table: biodata_wni", "tabel: biodata_wni", "tabel", "tabel: biodata_wni"),
    ("dukcapil-mojokerto/persons", "password: file:siak-password", "password: hunter2", "password", "hunter2"),
    ("dpmptsp-mojokerto/licenses", "format: xlsx", "format: xls", "format", "format: xls"),
    ("dpmptsp-mojokerto/licenses", "folder: drop", "folder: ../drop", "", "kind: files"),
    ("dpmptsp-mojokerto/businesses", "encoding: windows-1252", "encoding: cp850", "encoding", "cp850"),
    ("dinkes-mojokerto/patients", 'birth_date: "birthDate"', 'birth_date: "birth Date"', "columns.birth_date", "birth Date"),
    ("dinkes-mojokerto/patients", 'birth_date: "birthDate"', 'birthdate: "birthDate"', "columns", "columns:"),
    ("dinkes-mojokerto/coverage", "kind: fhir", "kind: ftp", "", "kind: ftp"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "sound", "spoilt", "setting", "fragment"), SPOILT)
def test_every_mistake_in_a_setting_has_file_line_rule_and_remedy(
    tmp_path, dataset, sound, spoilt, setting, fragment
):
    name = f"{dataset}.odcs.yaml"
    text = (PACKAGED_CONTRACTS / name).read_text(encoding="utf-8")
    assert sound in text
    text = text.replace(sound, spoilt, 1)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = load_contracts(tmp_path, collect=True, inspect=inspect)
    assert dataset not in found
    problem = next(
        each for each in found.problems if each.field == f"servers.connector.{setting}".rstrip(".")
    )
    assert (problem.file, problem.rule) == (name, "connector")
    assert problem.remedy
    assert "hunter2" not in problem.message
    lines = text.splitlines()
    assert problem.line is not None
    near = "\n".join(lines[problem.line - 2 : problem.line + 1])
    assert fragment in near or fragment in lines[problem.line - 1]
