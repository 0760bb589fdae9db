"""Reference pages that the code itself makes; a test holds the committed pages to them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Sequence

from foundation.errors import LintasError
from foundation.settings import Settings, describe

__all__ = ["errors_markdown", "settings_markdown"]

_SETTINGS = """# Settings

Every setting is an environment variable. `lintas settings` shows the values in use; a variable that begins
with `LINTAS_` and is not listed here is an error, so that a typing mistake does not pass in silence.
The only exception are secrets of agencies, `LINTAS_SECRET_<AGENCY>__…`, which contracts refer to as `env:…`.

This page is made from `foundation/settings.py`.
"""

_ERRORS = """# Errors

Every error says what happened, why, and what to do next; it names field, row and rule, never the value. Its
code is stable: it is the last segment of the problem type in the HTTP API and the `code` in `--json` output.
Errors are grouped by who has to act.

This page is made from the exception classes themselves.
"""

_ROOMS = (
    "foundation",
    "schemas",
    "participants",
    "audit",
    "consent",
    "connectors",
    "records",
    "verification",
    "web",
    "lintas",
)


def settings_markdown() -> str:
    """Return the reference page of all settings."""
    parts = [_SETTINGS]
    for setting in describe(Settings(home=Settings.model_fields["home"].get_default())):
        default = f"Default: `{setting.default}`." if setting.default else ""
        secret = "Its value is a secret and is never shown." if setting.secret else ""
        text = " ".join(filter(None, [setting.description, default, secret]))
        parts.append(f"## {setting.variable}\n\n{text}\n")
    return "\n".join(parts)


def errors_markdown(rooms: Sequence[str] = _ROOMS) -> str:
    """Return the reference page of all errors that the rooms raise."""
    for room in rooms:
        _import_all(room)
    parts = [_ERRORS]
    for branch in LintasError.__subclasses__():
        if branch.__module__ != "foundation.errors":
            continue
        parts.append(f"## {branch.__name__}\n\n{_first_paragraph(branch)}\n")
        leaves = {leaf for leaf in _descendants(branch) if leaf.__module__.partition(".")[0] in rooms}
        for leaf in sorted(leaves, key=lambda leaf: (leaf.code, leaf.__module__)):
            parts.append(f"### {leaf.code}\n\n{_first_paragraph(leaf)} (`{leaf.__module__}`)\n")
    return "\n".join(parts)


def _import_all(room: str) -> None:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _descendants(kind: type[LintasError]) -> Iterator[type[LintasError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _first_paragraph(kind: type[LintasError]) -> str:
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
