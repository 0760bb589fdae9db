"""The errors reference: every exception that the bus can explain, by what the caller should do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from foundation.errors import (
    FixContract,
    FixInstallation,
    FixSource,
    IntegrityBroken,
    LintasError,
    Refused,
    RetryLater,
)

_BRANCHES = (RetryLater, FixContract, FixSource, Refused, IntegrityBroken, FixInstallation)
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


def errors_markdown() -> str:
    """One heading a branch, one row an error."""
    _import_errors()
    lines = [
        "# Errors",
        "",
        "Every error says what happened, why, and what to do next. Its branch says what the caller should",
        "do; its code is stable, and is the last part of the `type` of a problem document",
        "(`urn:lintas:problem:<code>`). No error carries a personal value.",
    ]
    head = ["| code | raised by | when |", "|---|---|---|"]
    for branch in _BRANCHES:
        lines += ["", f"## {branch.__name__}", "", _summary(branch), "", *head]
        found = sorted(_leaves(branch), key=lambda error: (error.__module__, error.code))
        for each in found:
            room = each.__module__.split(".")[0]
            lines.append(f"| `{each.code}` | `{room}` | {_summary(each)} |")
    return "\n".join(lines)


def _import_errors() -> None:
    """Import the modules that define errors; the others are not needed for their subclasses to exist."""
    for room in _ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.iter_modules(package.__path__, f"{room}."):
            if "error" in module.name:
                importlib.import_module(module.name)
    for name in (
        "foundation.files",
        "foundation.http_policy",
        "foundation.keyring",
        "foundation.migrations.runner",
        "foundation.postgres",
        "foundation.secrets",
        "foundation.settings",
        "records.sealing",
        "verification.answers",
        "verification.signing",
    ):
        importlib.import_module(name)


def _leaves(branch: type[LintasError]) -> set[type[LintasError]]:
    found: set[type[LintasError]] = set()
    for child in branch.__subclasses__():
        if child.__module__.split(".")[0] in _ROOMS and not child.__name__.startswith("_"):
            found.add(child)
        found |= _leaves(child)
    return found


def _summary(error: type[LintasError]) -> str:
    text = inspect.cleandoc(error.__doc__ or "").split("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")
