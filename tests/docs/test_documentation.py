"""Documentation is held by tests: generated pages are current, commands exist, links lead somewhere."""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest
import typer.main
import yaml

ROOT = Path(__file__).parents[2]
ROOMS = ("audit", "connectors", "consent", "dags", "foundation", "lintas", "participants", "records")
ROOMS += ("sandbox", "schemas", "verification", "web")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL_BLOCK = re.compile(r"^```(?:sh|shell|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)#\s]+)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


def _commands(program: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in SHELL_BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.split("  #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if words.startswith(f"{program} "):
                    found.append((page.relative_to(ROOT).as_posix(), words))
    return found


@pytest.fixture(scope="module")
def _from_the_top() -> None:
    sys.path.insert(0, str(ROOT))


@pytest.mark.usefixtures("_from_the_top")
def test_every_generated_page_is_current():
    from docs.generate import pages

    stale = [name for name, write in pages().items() if _page(name) != write().rstrip() + "\n"]
    assert not stale, f"run `make docs` and commit: {stale}"


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands("lintas"))))
def test_every_command_shown_can_be_typed(page, line):
    from lintas.cli import app

    words = shlex.split(re.split(r"\s[|>&]", line)[0])[1:]
    command = typer.main.get_command(app)
    context = click.Context(command, info_name="lintas")
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        name = words.pop(0)
        assert name in command.commands, f"{page}: `{line}`: there is no `{name}`"
        command = command.commands[name]
        context = click.Context(command, parent=context, info_name=name)
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known | {"--help"}, f"{page}: `{line}`: there is no `{word}`"


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands("make"))))
def test_every_make_target_shown_exists(page, line):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert line.split()[1] in targets, f"{page}: `{line}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_picture_leads_to_a_file(page):
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text) + PICTURE.findall(text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_stands_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(navigation)))
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert there == listed


def test_every_command_that_an_error_recommends_exists():
    from lintas.cli import app

    tree = typer.main.get_command(app)
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for shown in re.findall(r"`lintas ([a-z-]+(?: [a-z-]+)?)", path.read_text(encoding="utf-8")):
            words = shown.split()
            command = tree.commands.get(words[0])
            assert command is not None, f"{path.name} recommends `lintas {shown}`"
            if len(words) > 1 and hasattr(command, "commands"):
                assert words[1] in command.commands, f"{path.name} recommends `lintas {shown}`"
