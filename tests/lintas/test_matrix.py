"""The picture of who may see what: every mark is a decision that was played through."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from consent.agreement import agreements, end_agreement
from consent.matrix import matrix
from foundation.database import Role
from foundation.installation import Installation
from lintas.cli import app
from lintas.matrix_view import matrix_picture
from lintas.practice import introduce_practice_agencies
from lintas.practice_agencies import write_agencies
from sandbox.agencies import PracticeAgencies, start


@pytest.fixture(scope="module")
def agencies(session_directory: Path) -> Iterator[PracticeAgencies]:
    running = start(session_directory / "agencies-of-the-matrix", 100, 3)
    yield running
    running.stop()
    running.registry.server.remove()


@pytest.fixture
def introduced(installation: Installation, agencies: PracticeAgencies) -> Installation:
    write_agencies(installation, agencies)
    introduce_practice_agencies(installation)
    return installation


def drawn(installation: Installation) -> dict[str, list[str]]:
    """The marks of each row of the picture, by its dataset and field."""
    with installation.database.connect(Role.STEWARD) as connection:
        cells = [cell.as_dict() for cell in matrix(connection)]
    out = io.StringIO()
    Console(file=out, width=110).print(matrix_picture(cells)[0])
    found, dataset = {}, ""
    for line in out.getvalue().splitlines()[1:]:
        if not line.startswith(" "):
            dataset = line.strip()
        elif marks := [part for part in line.split() if part in "■□◆◇✗·"]:
            found[f"{dataset} {line[:28].strip().partition('  ')[0]}"] = marks
    return found


def test_each_consumer_sees_what_its_services_need_and_no_more(introduced: Installation) -> None:
    rows = drawn(introduced)
    # Columns: the bus, the office of the aid (consent), the service centre (law), the police (law).
    assert rows["dukcapil-mojokerto/persons region_code"] == ["■", "◆", "◇", "◇"]
    assert rows["kpp-mojokerto/tax-standing standing"] == ["■", "◆", "·", "·"]
    assert rows["dinkes-mojokerto/coverage status"] == ["■", "◆", "·", "◇"]
    assert rows["dukcapil-mojokerto/births mother_nik"] == ["■", "·", "◇", "·"]
    assert rows["dinkes-mojokerto/immunizations all 11 fields"] == ["■", "·", "·", "·"]


def test_a_flow_that_may_not_go_on_is_marked_and_says_why(introduced: Installation) -> None:
    with introduced.database.connect(Role.STEWARD) as connection:
        connection.execute(
            "UPDATE participants.agency SET status = 'suspended' WHERE agency_id = 'polres-mojokerto'"
        )
        cells = [cell.as_dict() for cell in matrix(connection)]
    assert drawn(introduced)["dinkes-mojokerto/coverage status"] == ["■", "◆", "·", "✗"]
    denied = [cell for cell in cells if not cell["allowed"]]
    assert {cell["consumer"] for cell in denied} == {"polres-mojokerto"}
    assert all(cell["rules"] for cell in denied)


def test_every_service_has_its_own_agreement_and_introducing_again_changes_nothing(
    introduced: Installation,
) -> None:
    again = introduce_practice_agencies(introduced)
    assert (again["agreements"], again["contracts_published"]) == ([], [])
    with introduced.database.connect(Role.STEWARD) as connection:
        purposes = {
            stored.terms.purposes for stored in agreements(connection) if "disclose" in stored.terms.verbs
        }
    assert purposes == {("aid-micro-business",), ("police-certificate",), ("child-identity-card",)}


def test_an_agreement_that_ended_is_marked_as_denied(introduced: Installation) -> None:
    with introduced.database.connect(Role.STEWARD) as connection:
        end_agreement(
            connection, "disclose-dinkes-mojokerto-skck", reason="test", ended_by="dinkes-mojokerto"
        )
    assert drawn(introduced)["dinkes-mojokerto/coverage status"] == ["■", "◆", "·", "✗"]


@pytest.mark.parametrize("group", ["agreements", "agreement"])
def test_the_command_prints_cells_for_programs(
    introduced: Installation, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    settings = introduced.settings
    monkeypatch.setenv("LINTAS_HOME", str(settings.home))
    monkeypatch.setenv("LINTAS_POSTGRES_DIRECTORY", str(settings.postgres_directory))
    monkeypatch.setenv("LINTAS_DATABASE_NAME", settings.database_name)
    monkeypatch.setenv("LINTAS_POSTGRES_DURABLE", "false")
    said = CliRunner().invoke(app, [group, "matrix", "--json"])
    assert said.exit_code == 0, said.output
    cells = json.loads(said.stdout)
    assert {"consumer", "dataset", "fields", "purpose", "allowed", "rules"} <= cells[0].keys()
    assert {cell["consumer"] for cell in cells} == {
        "diskominfo-mojokerto", "diskopukm-mojokerto", "mpp-mojokerto", "polres-mojokerto",
    }  # fmt: skip
