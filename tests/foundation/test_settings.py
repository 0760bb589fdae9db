from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from foundation.settings import Settings, SettingsInvalid, describe, load_settings

ROOT = Path(__file__).parents[2]


def test_the_defaults_suit_one_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".lintas"
    assert settings.postgres_home == tmp_path / ".lintas" / "postgres"
    assert settings.embedded
    assert settings.api_host == "127.0.0.1"
    names = (settings.database_name, settings.vault_database_name, settings.airflow_database_name)
    assert names == ("lintas", "lintas_vault", "airflow")
    assert Settings(database_name="t_1").airflow_database_name == "t_1_airflow"


def test_the_same_environment_gives_the_same_object_and_another_one_does_not(monkeypatch):
    monkeypatch.setenv("LINTAS_API_PORT", "9000")
    assert load_settings() is load_settings()
    assert load_settings().api_port == 9000
    monkeypatch.setenv("LINTAS_API_PORT", "9001")
    assert load_settings().api_port == 9001


def test_everything_wrong_is_named_at_once_with_the_closest_name(monkeypatch):
    monkeypatch.setenv("LINTAS_API_PROT", "1")
    monkeypatch.setenv("LINTAS_API_PORT", "many")
    monkeypatch.setenv("LINTAS_LOG_LEVEL", "LOUD")
    monkeypatch.setenv("LINTAS_SECRET_KPP_MOJOKERTO_KSWP", "not a setting")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    problems = caught.value.attributes["problems"]
    assert len(problems) == 3
    assert "did you mean LINTAS_API_PORT?" in problems[0]
    assert {problem.partition(":")[0] for problem in problems} == {
        "LINTAS_API_PROT",
        "LINTAS_API_PORT",
        "LINTAS_LOG_LEVEL",
    }


def test_a_list_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv("LINTAS_ALLOWED_ADDRESSES", "a:443,b:443")
    with pytest.raises(SettingsInvalid, match="JSON"):
        load_settings()


def test_a_wrong_value_is_not_repeated(monkeypatch):
    monkeypatch.setenv("LINTAS_DATABASE_NAME", "hunter2-and-more")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert "hunter2" not in f"{caught.value}{caught.value.as_dict()}"


def test_settings_are_frozen_and_know_no_strangers():
    with pytest.raises(ValidationError):
        Settings().api_port = 1
    with pytest.raises(ValidationError):
        Settings(nonsense=1)


def test_a_child_process_reads_the_same_settings(monkeypatch, tmp_path):
    given = Settings(
        home=tmp_path,
        database_url=SecretStr("postgresql://a:b@c/d"),
        allowed_addresses=("a:443", "b:443"),
        postgres_durable=False,
        clock_offset_seconds=5,
    )
    for name, value in given.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_every_setting_is_described_and_secrets_are_masked():
    shown = describe(Settings(database_url=SecretStr("postgresql://a:hunter2@c/d"), api_port=1))
    by_name = {each.variable: each for each in shown}
    assert set(by_name) == {f"LINTAS_{name.upper()}" for name in Settings.model_fields}
    assert all(each.description.endswith(".") for each in shown)
    assert "hunter2" not in str(shown)
    assert by_name["LINTAS_DATABASE_URL"].secret
    assert by_name["LINTAS_API_PORT"].is_set
    assert by_name["LINTAS_API_PORT"].default == "8800"


def test_the_reference_page_is_the_one_the_code_makes():
    from foundation.documentation import settings_markdown

    assert (ROOT / "docs" / "reference" / "settings.md").read_text() == settings_markdown()


@pytest.mark.parametrize(
    "url", ["redis://redis:6379/0", "http://localhost", "rediss://:hunter2@redis:6379/0", "rediss://"]
)
def test_a_broker_is_reached_under_tls_and_its_password_is_no_part_of_its_url(url):
    with pytest.raises(ValidationError) as caught:
        Settings(broker_url=url)
    problems = [problem["msg"] for problem in caught.value.errors(include_input=False)]
    assert not any("hunter2" in problem for problem in problems)


def test_celery_without_a_broker_is_named_among_the_problems(monkeypatch):
    monkeypatch.setenv("LINTAS_AIRFLOW_EXECUTOR", "celery")
    with pytest.raises(SettingsInvalid, match="LINTAS_BROKER_URL"):
        load_settings()
    monkeypatch.setenv("LINTAS_BROKER_URL", "redis://localhost:6379/0")
    assert load_settings().broker_url == "redis://localhost:6379/0"
