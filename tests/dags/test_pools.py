"""A task stands in its agency's pool as soon as Airflow has it, and never in one that is not there."""

from pathlib import Path

import pytest

from dags.pools import pool_of, pools_file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINTAS_HOME", str(tmp_path))
    pools_file(tmp_path).parent.mkdir()
    return tmp_path


@pytest.mark.parametrize("content", [None, "{", '{"another": {"slots": 1}}'])
def test_until_its_pool_is_made_an_agency_uses_the_default_one(home: Path, content: str | None) -> None:
    if content is not None:
        pools_file(home).write_text(content)
    assert pool_of("kpp-mojokerto") == "default_pool"


def test_an_agency_has_a_pool_of_its_own(home: Path) -> None:
    pools_file(home).write_text('{"kpp-mojokerto": {"slots": 2}}')
    assert pool_of("kpp-mojokerto") == "kpp-mojokerto"
