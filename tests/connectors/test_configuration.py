from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connectors.configuration import (
    FhirConfiguration,
    FhirLookupKey,
    FilesConfiguration,
    RestConfiguration,
    SqlConfiguration,
    parse_configuration,
)
from connectors.errors import ConfigurationInvalid
from connectors.fhir_paths import path_problems
from connectors.source import Window

GOOD: dict[str, object] = {"table": "t", "key": ["k"], "username": "u", "password": "file:p"}


def test_every_problem_is_told_at_once_and_no_value_is_repeated() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_configuration(
            "sql", {"table": 'a"b', "password": "hunter2-in-the-clear", "key": [], "surprise": 1}
        )
    problems = caught.value.attributes["problems"]
    assert {problem.split(":")[0].removeprefix("sql.") for problem in problems} == {
        "table", "password", "key", "surprise", "username",
    }  # fmt: skip
    assert "hunter2" not in str(caught.value.as_dict())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid):
        parse_configuration("carrier-pigeon", GOOD)


def test_the_kind_may_be_named_twice_but_not_differently() -> None:
    assert parse_configuration("sql", {**GOOD, "kind": "sql"}) == parse_configuration("sql", GOOD)


@pytest.mark.parametrize(
    "changes",
    [
        {"slice_bounds": ["b", "a"]},
        {"slice_bounds": ["a", "a"]},
        {"page_rows": 0},
        {"table": "a.b.c"},
        {"password": "x"},
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_connected(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse_configuration("sql", {**GOOD, **changes})


def test_a_lookup_needs_path_and_key() -> None:
    rest = {"path": "/v1/x", "client_id": "env:A", "client_secret": "env:B", "lookup_path": "/v1/x/search"}
    with pytest.raises(ConfigurationInvalid):
        parse_configuration("rest", rest)
    assert parse_configuration("rest", {**rest, "lookup_key": ["id"]})


def test_a_window_needs_time_zones_and_an_order() -> None:
    from datetime import UTC, datetime

    with pytest.raises(ValueError, match="time zone"):
        Window(since=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="end before"):
        Window(since=datetime(2026, 1, 2, tzinfo=UTC), until=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_reference_tells_of_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "connectors.md").read_text(encoding="utf-8")
    for model in (
        SqlConfiguration,
        RestConfiguration,
        FilesConfiguration,
        FhirConfiguration,
        FhirLookupKey,
    ):
        assert [name for name in model.model_fields if f"`{name}`" not in page] == []


def test_the_guide_to_files_can_be_followed() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "files-and-sftp.md").read_text(encoding="utf-8")
    block = guide.partition("```yaml\n")[2].partition("```")[0]
    assert isinstance(parse_configuration("files", yaml.safe_load(block)), FilesConfiguration)


def test_the_guide_to_fhir_can_be_followed() -> None:
    """Its configuration is one, and its paths are paths."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "fhir.md").read_text(encoding="utf-8")
    block = guide.partition("```yaml\n")[2].partition("```")[0]
    assert parse_configuration("fhir", yaml.safe_load(block))
    table = guide.partition("| path | gives |")[2].partition("\n\n")[0]
    paths = [line.split("`")[1] for line in table.splitlines() if "`" in line]
    assert len(paths) > 6
    assert [problem for path in paths for problem in path_problems("column", path)] == []


def test_the_reference_tells_of_every_error() -> None:
    from connectors import errors

    page = (Path(__file__).parents[2] / "docs" / "reference" / "connectors.md").read_text(encoding="utf-8")
    leaves = [getattr(errors, name) for name in errors.__all__ if name[0].isupper() and name != "Place"]
    assert [leaf.code for leaf in leaves if f"`{leaf.code}`" not in page] == []


def test_the_contracts_that_come_with_lintas_bind_connectors() -> None:
    contracts = sorted((Path(__file__).parents[2] / "schemas" / "contracts").glob("*/*.odcs.yaml"))
    assert contracts
    for path in contracts:
        for server in yaml.safe_load(path.read_text(encoding="utf-8"))["servers"]:
            terms = {each["property"]: each["value"] for each in server["customProperties"]}
            connector = dict(terms["connector"])
            assert parse_configuration(connector["kind"], connector)
