"""Reads ``transformLogic``, which ODCS keeps as text, into steps."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.marked_yaml import Path, YamlProblem, read_marked_yaml
from schemas.problems import Problems
from schemas.transforms import (
    AnyStep,
    Beginning,
    Codes,
    Concat,
    Constant,
    Date,
    Empty,
    KeepForm,
    OnlyWhen,
    Pad,
    Split,
    Strip,
    Timestamp,
)

MOST_STEPS = 20
STEPS: dict[str, type[BaseModel]] = {
    str(model.model_fields["step"].default): model
    for model in (Concat, Constant, OnlyWhen, Strip, Empty, Codes, Pad, Split, Date, Timestamp, KeepForm)
}
_ONLY_ARGUMENT = {
    "strip": "characters", "empty": "values", "codes": "codes", "pad": "length", "date": "format",
    "timestamp": "timezone", "keep_form": "form", "constant": "value",
}  # fmt: skip


def read_steps(logic: str, path: Path, problems: Problems) -> tuple[Beginning | None, tuple[AnyStep, ...]]:
    """Read the steps of one field; problems are noted with the line inside the text."""
    first_line = problems.line(path) or 1
    offset = first_line if "\n" in logic else first_line - 1
    try:
        document = read_marked_yaml(logic)
    except YamlProblem as problem:
        problems.add(path, problem.rule, problem.message, problem.remedy, line=offset + (problem.line or 1))
        return None, ()
    items = document.data if isinstance(document.data, list) else [document.data]
    if len(items) > MOST_STEPS:
        problems.add(path, "too-many-steps", f"A field has more than {MOST_STEPS} steps.", "Simplify it.")
        return None, ()
    found = []
    for position, item in enumerate(items):
        line = offset + (document.line((position,)) or 1)
        step = _read_step(item, path, line, problems)
        if isinstance(step, Beginning) and position > 0:
            problems.add(
                path,
                "step-order",
                f"The step {step.step} stands behind another.",
                "Make it the first step.",
                line=line,
            )
        elif step is not None:
            found.append(step)
    if found and isinstance(found[0], Beginning):
        return found[0], tuple(found[1:])  # type: ignore[arg-type]
    return None, tuple(found)  # type: ignore[arg-type]


def _read_step(item: Any, path: Path, line: int, problems: Problems) -> AnyStep | Beginning | None:
    name, arguments = _named(item)
    if name not in STEPS:
        close = difflib.get_close_matches(str(name), STEPS, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        problems.add(
            path, "unknown-step", f"There is no step '{name}'." if name else "This is not a step.",
            f"{hint}Steps are: {', '.join(STEPS)}.", line=line,
        )  # fmt: skip
        return None
    try:
        return STEPS[name].model_validate(_keyed(name, arguments))  # type: ignore[return-value]
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            where = ".".join(str(part) for part in each["loc"])
            message = each["msg"].removeprefix("Value error, ")
            problems.add(
                path, "step", f"The step {name} is wrong at {where or 'its arguments'}: {message}.",
                "See how to write a contract, section Steps.", line=line,
            )  # fmt: skip
        return None


def _named(item: Any) -> tuple[str | None, Any]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        return next(iter(item.items()))
    return None, None


def _keyed(name: str, arguments: Any) -> Any:
    only = _ONLY_ARGUMENT.get(name)
    if only is not None and (name == "codes" or not isinstance(arguments, dict)):
        return {only: arguments}
    return arguments
