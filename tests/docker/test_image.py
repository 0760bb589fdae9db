"""docker/Dockerfile: what it copies is enough and is there, what it runs exists, and nobody in it is root."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from foundation.settings import Settings
from tests.docker.resolved import DOCKER, ROOT, services

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def of(kind: str) -> list[str]:
    return [rest for name, rest in instructions() if name == kind]


def copied() -> list[str]:
    """What comes from the repository, as paths below its top."""
    found = []
    for rest in of("COPY"):
        if "--from=" not in rest:
            found += [word.rstrip("/") for word in rest.split()[:-1]]
    return found


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(number for number, (name, _) in enumerate(every) if name == "FROM")
    return every[last:]


def test_every_package_is_copied_and_nothing_that_is_not_there() -> None:
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied())
    assert all((ROOT / path).exists() for path in copied())


def test_the_builder_is_sent_what_is_copied_and_no_more() -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that `pip install .` makes of exactly what is copied."""
    source = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *copied()],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    code = "import sys, setuptools.build_meta as build; print(build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(source)],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(source / done.stdout.strip().splitlines()[-1])


def test_what_is_installed_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    inside = set(wheel.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", *(path for path in copied() if (ROOT / path).is_dir())],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert [name for name in tracked if (ROOT / name).is_file() and name not in inside] == []


def test_the_commands_that_containers_run_are_installed(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "lintas = lintas.cli:main" in wheel.read(entry_points).decode()
    dependencies = " ".join(PROJECT["project"]["dependencies"])
    assert "apache-airflow>=" in dependencies
    assert "apache-airflow-providers-celery" in dependencies
    assert {each["command"][0] for each in services().values()} == {
        "lintas", "airflow", "postgres", "redis-server",
    }  # fmt: skip


def test_everything_installed_is_pinned() -> None:
    assert {"PIP_CONSTRAINT=/source/constraints.txt"} <= set(" ".join(of("ENV")).split())
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for requirement in [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]:
        name = re.split(r"[\[<>=;]", requirement)[0].lower().replace(".", "-")
        assert name in pinned, f"{name} is not in constraints.txt"


def test_nobody_in_it_is_root() -> None:
    (user,) = [rest for name, rest in final_stage() if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert {each["user"] for each in services().values()} == {user}
    after = [name for name, _ in final_stage()]
    assert after.index("USER") < after.index("CMD")


def test_its_own_health_check_and_command_are_those_of_the_api() -> None:
    (command,) = of("CMD")
    assert shlex.split(command.strip("[]").replace(",", " ")) == services()["api"]["command"]
    (check,) = of("HEALTHCHECK")
    words = check.partition("CMD ")[2].strip("[]").replace(",", " ")
    assert shlex.split(words) == services()["api"]["healthcheck"]["test"][1:]


def test_folders_that_volumes_begin_with_belong_to_the_user() -> None:
    run = " ".join(of("RUN"))
    for target in ("/var/lib/lintas", "/run/lintas/database", "/run/lintas/broker", "/run/lintas/queue"):
        assert re.search(rf"install --directory --owner=lintas .*{target}", run), target


def test_its_python_is_one_that_the_project_supports() -> None:
    images = {rest.split()[0] for rest in of("FROM")}
    assert len(images) == 1
    version = re.fullmatch(r"python:3\.(\d+)-slim-bookworm", images.pop())
    assert version is not None
    assert int(version[1]) >= int(PROJECT["project"]["requires-python"].rpartition(".")[2])


def test_every_variable_of_ours_is_a_setting() -> None:
    names = re.findall(r"\b(LINTAS_[A-Z_]+)=", " ".join(of("ENV")))
    assert names
    assert {name.removeprefix("LINTAS_").lower() for name in names} <= set(Settings.model_fields)
