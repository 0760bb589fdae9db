"""The reference page of the commands, made from the commands themselves."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

__all__ = ["commands_markdown"]

HEAD = """# Commands

Every command explains itself with `--help`, and prints JSON with `--json` where it prints anything a program
might want. Made by `python -m docs.generate`; do not edit.

| exit code | branch of the error tree | what to do |
|---|---|---|
| 0 | | done |
| 2 | | correct the command line |
| 65 | `FixContract` | change a contract, service or agreement file |
| 69 | `FixSource` | the agency's system or its data must change |
| 70 | `IntegrityBroken` | what is stored contradicts itself: stop and look |
| 75 | `RetryLater` | try again later |
| 77 | `Refused` | a rule says no; after `lintas sync` with `"held": true`, a steward must release or reject |
| 78 | `FixInstallation` | change this installation |
"""


def commands_markdown() -> str:
    """Markdown with one heading per command."""
    import typer.main

    from lintas.cli import app

    root = typer.main.get_command(app)
    return HEAD + "".join(_section(command, path) for path, command in _walk(root, "lintas"))


def _walk(command: Any, path: str) -> "list[tuple[str, click.Command]]":
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command)]
    shown = {name: child for name, child in children.items() if not child.hidden}  # the others are aliases
    return [found for name, child in shown.items() for found in _walk(child, f"{path} {name}")]


def _section(command: Any, path: str) -> str:
    lines = [f"\n## `{path}`\n", (command.help or "").strip(), ""]
    visible = [each for each in command.params if each.name != "help"]
    if visible:
        lines += ["| argument or option | what it is |", "|---|---|"]
        lines += [f"| {_names(each)} | {_meaning(each)} |" for each in visible]
        lines.append("")
    return "\n".join(lines)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def _meaning(parameter: Any) -> str:
    text = (getattr(parameter, "help", None) or "").strip()
    default = parameter.default
    if (
        default not in (None, False, True)
        and not callable(default)
        and "Sentinel" not in type(default).__name__
    ):
        text += f" Default: {default}."
    if parameter.required:
        text += " Required."
    return text.strip().replace("|", "\\|")
