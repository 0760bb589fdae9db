"""docker/compose.yaml: what it names exists, what must be kept apart is, what must be set is asked for."""

import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from foundation.postgres import EmbeddedPostgres
from foundation.settings import Settings
from lintas.health import process_names
from tests.docker.resolved import DOCKER, NEEDED, ROOT, compose, deployment, services

OWN_SERVERS = {"database", "redis"}
ONCE = {"secrets", "init", "airflow-init", "introduction"}
OFFERED = {"api", "airflow-api-server"}
VARIABLE = re.compile(r"\$\{([A-Z_]+)")
SETTING = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)


def ours() -> dict[str, dict[str, Any]]:
    return {name: each for name, each in services().items() if name not in OWN_SERVERS}


def example() -> str:
    return (DOCKER / "example.env").read_text(encoding="utf-8")


def text() -> str:
    return (DOCKER / "compose.yaml").read_text(encoding="utf-8")


def test_the_file_is_what_docker_compose_accepts() -> None:
    assert set(services()) > ONCE | OFFERED | OWN_SERVERS


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_what_must_be_set_is_asked_for_by_name(missing: str) -> None:
    given = {name: value for name, value in NEEDED.items() if name != missing}
    done = compose("config", "--quiet", given=given)
    assert done.returncode != 0
    assert "docker/.env" in done.stderr
    assert missing in done.stderr


def test_the_example_names_every_variable_of_the_file_and_no_other() -> None:
    listed = dict(SETTING.findall(example()))
    assert set(listed) == set(VARIABLE.findall(text()))
    assert {name for name, value in listed.items() if not value} == set(NEEDED)


def test_the_defaults_that_the_example_shows_are_those_of_the_file() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text()))
    assert defaults == {name: value for name, value in SETTING.findall(example()) if value}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_the_example_holds_no_secret(name: str) -> None:
    assert not re.search(r"(?i)(password|secret|key|token)\w*\s*=\s*\S", example())


def test_every_setting_is_one_and_its_value_is_good() -> None:
    for service, described in ours().items():
        values = {
            name.removeprefix("LINTAS_").lower(): value
            for name, value in described["environment"].items()
            if name.startswith("LINTAS_")
        }
        assert set(values) <= set(Settings.model_fields), service
        Settings(**values)


def test_every_option_of_airflow_is_one() -> None:
    known = airflow_options()
    for service, described in ours().items():
        for name in described["environment"]:
            if name.startswith("AIRFLOW__"):
                section, option = name.removeprefix("AIRFLOW__").lower().split("__")
                assert option in known[section], f"{service}: {name}"
            elif name.startswith("AIRFLOW"):
                assert name in {"AIRFLOW_HOME", "AIRFLOW_CONFIG"}, service


def airflow_options() -> dict[str, set[str]]:
    """Every option of Airflow and of its Celery provider, as they describe themselves."""
    (airflow,) = find_spec("airflow").submodule_search_locations
    described = yaml.safe_load((Path(airflow) / "config_templates" / "config.yml").read_text())
    provider = runpy.run_path(str(Path(airflow) / "providers" / "celery" / "get_provider_info.py"))
    described |= provider["get_provider_info"]()["config"]
    return {section: set(each["options"]) for section, each in described.items()}


def test_every_command_of_ours_can_be_typed() -> None:
    from lintas.cli import app

    for service, described in ours().items():
        if described["command"][0] == "lintas":
            accepts(typer.main.get_command(app), described["command"][1:], service)
        if "healthcheck" in described:
            kind, program, *words = described["healthcheck"]["test"]
            assert (kind, program) == ("CMD", "lintas"), service
            accepts(typer.main.get_command(app), words, service)


def accepts(command: Any, words: list[str], service: str) -> None:
    """The command line is parsed, not run."""
    context = click.Context(command, info_name="lintas")
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{service}: there is no `{words[0]}`"
        command, words = command.commands[words[0]], words[1:]
        context = click.Context(command, parent=context)
    command.parse_args(context, list(words))


def test_every_command_of_airflow_can_be_typed() -> None:
    commands = [each["command"][1:] for each in ours().values() if each["command"][0] == "airflow"]
    assert len(commands) == 5
    code = (
        "import json, sys\nfrom airflow.cli.cli_parser import get_parser\n"
        "for words in json.loads(sys.argv[1]):\n    get_parser().parse_args(words)"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_airflow_is_started_as_the_supervisor_starts_it(tmp_path: Path) -> None:
    from lintas.airflow import AirflowInstallation

    (settings,) = [
        Settings(home=tmp_path, airflow_executor="celery", broker_url="redis://localhost", airflow_port=8810)
    ]
    for name, arguments in AirflowInstallation.of(settings).components.items():
        words = ours()[f"airflow-{name}"]["command"][1:]
        assert words == list(arguments[: len(words)])


def test_who_stays_alive_is_asked_how_it_is_and_who_ends_is_not() -> None:
    known = process_names(Settings())
    for name, described in ours().items():
        if name in ONCE:
            assert described["restart"] == "no"
            assert "healthcheck" not in described
        else:
            assert described["restart"] == "unless-stopped"
            assert described["healthcheck"]["test"] == ["CMD", "lintas", "health", name]
            assert name in known


def test_every_process_of_the_group_has_its_container() -> None:
    embedded = {"database"}  # in containers, a server of its own
    assert set(process_names(Settings())) - embedded <= set(services())


def test_everybody_waits_for_what_it_needs() -> None:
    for name, described in services().items():
        for other, condition in described.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert condition["condition"] == expected, f"{name} waits for {other}"
            assert other in ONCE or "healthcheck" in services()[other]


def test_no_container_can_do_more_than_its_work_needs() -> None:
    for name, described in services().items():
        assert described["user"] == "10001:10001", name
        assert described["read_only"] is True, name
        assert described["cap_drop"] == ["ALL"], name
        assert described["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(described), name
        assert "docker.sock" not in str(described.get("volumes")), name


def test_only_the_api_and_airflow_s_page_are_offered_and_only_on_loopback() -> None:
    offered = {name: each["ports"] for name, each in services().items() if each.get("ports")}
    assert set(offered) == OFFERED
    assert all(str(port).startswith("127.0.0.1:") for ports in offered.values() for port in ports)


def test_the_servers_are_reached_over_networks_that_lead_nowhere_else() -> None:
    networks = deployment()["networks"]
    inside = {name for name, each in networks.items() if each and each.get("internal")}
    for server in OWN_SERVERS:
        assert set(services()[server]["networks"]) <= inside
        assert "ports" not in services()[server]
    on_queue = {name for name, each in services().items() if "queue" in (each.get("networks") or {})}
    assert on_queue == {"redis", "airflow-scheduler", "airflow-worker"}
    abroad = {name for name, each in services().items() if "agencies" in (each.get("networks") or {})}
    assert abroad == {"api", "dispatcher", "monitor", "airflow-worker", "sandbox"}


def test_a_secret_is_a_file_that_only_its_users_see() -> None:
    holders: dict[str, set[str]] = {"database-secrets": set(), "broker-secrets": set()}
    for name, described in services().items():
        for value in (described.get("environment") or {}).values():
            assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), f"{name}: a password in a URL"
        for volume in described.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source in holders:
                holders[source].add(name)
    assert holders == {
        "database-secrets": {"secrets", "init", "database"},
        "broker-secrets": {"secrets", "airflow-init", "redis"},
    }
    for name, described in services().items():
        for variable, value in (described.get("environment") or {}).items():
            if "PASSWORD" in variable:
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert str(value).startswith("/run/lintas/"), f"{name}: {variable}"


WITHOUT_KEYS = {"airflow-api-server", "airflow-scheduler", "airflow-triggerer"}
HIDDEN = {"keys", "database-roles", "secrets"}


def test_who_signs_nothing_and_asks_no_register_sees_no_key_and_no_password() -> None:
    for name, described in ours().items():
        covered = {each.split(":")[0] for each in described.get("tmpfs", [])}
        hidden = {each for each in HIDDEN if f"/var/lib/lintas/{each}" in covered}
        assert hidden == (HIDDEN if name in WITHOUT_KEYS else set()), name


def test_what_is_hidden_is_where_the_installation_keeps_it(tmp_path: Path) -> None:
    from foundation.installation import Installation

    there = Settings(home=tmp_path / "home", database_url="postgresql://admin@database/postgres")
    installation = Installation(there)
    installation.prepare_files()
    assert {"keys", "secrets"} <= {each.name for each in installation.home.iterdir()}
    assert installation.database.password_directory == installation.home / "database-roles"


def test_the_database_is_reached_only_under_verified_tls() -> None:
    for name, described in ours().items():
        url = described["environment"]["LINTAS_DATABASE_URL"]
        assert "sslmode=verify-full" in url, name
        assert described["environment"]["LINTAS_BROKER_URL"].startswith("rediss://"), name
    rules = (DOCKER / "pg_hba.conf").read_text(encoding="utf-8").split("\n")
    kinds = {tuple(line.split())[0:1] + tuple(line.split())[-1:] for line in rules if line and line[0] != "#"}
    assert kinds == {("local", "scram-sha-256"), ("hostssl", "scram-sha-256")}


def test_what_is_scaled_can_be() -> None:
    for name in ("api", "airflow-worker"):
        described = services(LINTAS_API_REPLICAS="3", LINTAS_WORKERS="3")[name]
        assert described["deploy"]["replicas"] == 3
        assert "container_name" not in described
        assert "hostname" not in described
    (ports,) = services()["api"]["ports"]
    first, last = ports.split(":")[1].split("-")
    assert int(last) - int(first) >= 3


def test_every_file_that_is_mounted_is_there_and_is_found_where_it_is_looked_for() -> None:
    mounted = {}
    for name, described in services().items():
        for volume in described.get("volumes", []):
            if isinstance(volume, str) and volume.startswith("/"):
                source, target, mode = volume.split(":")
                assert Path(source).is_file(), f"{name}: {source}"
                assert mode == "ro"
                mounted[target] = Path(source)
    configuration = (DOCKER / "postgresql.conf").read_text(encoding="utf-8")
    (rules,) = re.findall(r"hba_file = '(.*)'", configuration)
    assert rules in mounted
    assert f"config_file={next(each for each in mounted if each.endswith('postgresql.conf'))}" in str(
        services()["database"]["command"]
    )
    for file in re.findall(r"ssl_\w+_file = '(.*)'", configuration):
        assert file.startswith("/run/lintas/database/")


def test_every_option_of_postgresql_is_one(postgres_server: EmbeddedPostgres) -> None:
    import psycopg

    lines = (DOCKER / "postgresql.conf").read_text(encoding="utf-8").splitlines()
    names = {line.split("=")[0].strip() for line in lines if line and not line.startswith("#")}
    server = postgres_server
    with psycopg.connect(**server.conninfo(server.superuser, server.admin_password)) as connection:
        known = {row[0] for row in connection.execute("SELECT lower(name) FROM pg_settings")}
        (version,) = connection.execute("SHOW server_version_num").fetchone()
    assert {name.lower() for name in names} <= known
    assert services()["database"]["image"].startswith(f"postgres:{int(version) // 10000}-")


def test_nothing_personal_reaches_the_log_of_the_database() -> None:
    from foundation.postgres import _SETTINGS as EMBEDDED

    private = [line for line in EMBEDDED if line.startswith("log_") and "timezone" not in line]
    configuration = (DOCKER / "postgresql.conf").read_text(encoding="utf-8")
    assert [line for line in private if line not in configuration and "log_line_prefix" not in line] == []


def test_the_page_about_it_shows_the_commands_of_the_file() -> None:
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    for name in services():
        assert f"`{name}`" in page, name
    for name in dict(SETTING.findall(example())):
        assert name in page, name
