"""What is wrong with the connector's part of a contract, setting by setting, before anything is connected."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from connectors.configuration import AnyConfiguration, FhirConfiguration, parse_configuration
from connectors.errors import ConfigurationInvalid

__all__ = ["setting_problems"]

_REMEDY = "Correct the setting; docs/reference/connectors.md lists them."


def setting_problems(
    kind: str, settings: Mapping[str, object], columns: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Tell every problem as setting, message and remedy; no value is repeated.

    Args:
        kind: The kind of connector that the contract names.
        settings: Its settings.
        columns: The columns of the source that the contract maps.
    """
    try:
        configuration = parse_configuration(kind, dict(settings))
    except ConfigurationInvalid as error:
        for problem in error.attributes["problems"]:
            yield from _named(kind, str(problem))
        return
    yield from _unknown_columns(configuration, columns)


def _named(kind: str, problem: str) -> Iterator[tuple[str, str, str]]:
    where, _, message = problem.partition(": ")
    setting = "" if where == kind else where.removeprefix(f"{kind}.")
    together = message.removeprefix("Value error, ")
    for part in together.split("; ") if together != message else [message]:
        inner, separator, rest = part.partition(": ")
        named = bool(separator) and not setting and " " not in inner
        yield inner if named else setting, f"The connector is wrong: {rest if named else part}.", _REMEDY


def _unknown_columns(
    configuration: AnyConfiguration, columns: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    if not isinstance(configuration, FhirConfiguration):
        return
    for column in columns:
        if column not in configuration.columns:
            close = difflib.get_close_matches(column, configuration.columns, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            message = f"The contract maps the column {column}, and no path says where a resource holds it."
            yield "columns", message, f"{hint}Add a path of that name under columns."
