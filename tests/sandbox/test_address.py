"""The practice agencies stay on loopback, unless a deployment gives them another name."""

from pathlib import Path

import pytest

from foundation.tls import LocalAuthority
from sandbox.address import listening_on
from sandbox.civil_registry import CivilRegistry
from sandbox.health_service import HealthService
from sandbox.licensing_office import LicensingOffice
from sandbox.tax_office import TaxOffice


def test_only_another_name_opens_them_to_others() -> None:
    assert listening_on("localhost") == "127.0.0.1"
    assert listening_on("sandbox") == "0.0.0.0"


@pytest.mark.parametrize("office", [CivilRegistry, TaxOffice, LicensingOffice, HealthService])
def test_every_office_is_known_by_the_name_it_was_given(office: type, tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path / "authority")
    assert "//localhost:" in office(tmp_path, authority).endpoint_url
    assert "//sandbox:" in office(tmp_path, authority, host="sandbox").endpoint_url
