"""Reads the data of a contract file as the Open Data Contract Standard, strictly."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import BaseModel, ValidationError

from schemas.marked_yaml import MarkedDocument, Path
from schemas.problems import Problems


def read_standard(document: MarkedDocument, problems: Problems) -> OpenDataContractStandard | None:
    """Return the contract as ODCS's own model, or None when it has not even its shape."""
    if not isinstance(document.data, dict):
        problems.add((), "shape", "The file is not a mapping.", "Begin with apiVersion: v3.2.0.")
        return None
    _check_keys(document.data, OpenDataContractStandard, (), problems)
    try:
        return OpenDataContractStandard.model_validate(document.data)
    except ValidationError as error:
        known = {problem.field for problem in problems.found}
        problems.add_validation((), error, known=known)
        return None


def _check_keys(data: Any, model: type[BaseModel], path: Path, problems: Problems) -> None:
    """Note keys that ODCS does not know; its own model drops most of them in silence."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in data.items():
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            problems.add(
                (*path, key), "unknown-key", "The key is unknown to the Open Data Contract Standard here.",
                f"{hint}Put additions into customProperties.",
            )  # fmt: skip
            continue
        inner = _models(fields[key].annotation)
        if len(inner) == 1 and isinstance(value, dict):
            _check_keys(value, inner[0], (*path, key), problems)
        elif len(inner) == 1 and isinstance(value, list):
            for position, item in enumerate(value):
                if isinstance(item, dict):
                    _check_keys(item, inner[0], (*path, key, position), problems)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
