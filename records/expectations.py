"""The contract's quality rules as a Great Expectations suite, run by SQL over the staged batch.

Great Expectations measures; whether a measure is accepted is the contract's word. No row and no value
leaves the database: partial lists are empty, rows are excluded, and exceptions are told by their type only.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.pool import NullPool

from foundation.errors import Location
from records.errors import AssessmentBroken, QualityRuleUnknown
from records.findings import Finding
from records.references import ResolvedReference
from schemas.quality import Metric, QualityRule

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["RESULT_FORMAT", "measure"]

RESULT_FORMAT: dict[str, Any] = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
}


def measure(
    url: URL,
    schema: str,
    table: str,
    rules: Sequence[QualityRule],
    references: Mapping[str, ResolvedReference] | None = None,
) -> list[Finding]:
    """Run the rules over one table.

    Args:
        url: Where the table is, with the role that may read it.
        schema: Schema of the table.
        table: Name of the table.
        rules: The contract's rules.
        references: For rules that look into another dataset, what breaks them, by the name of the rule.

    Raises:
        AssessmentBroken: When a check could not be carried out: an error of the pipeline, not bad data.
        QualityRuleUnknown: When a rule names a metric that is not known here.
    """
    known = references or {}
    skipped = {name: each.skipped for name, each in known.items() if each.skipped}
    asked = [rule for rule in rules if rule.name not in skipped]
    results = _validate(url, schema, table, asked, references=known) if asked else {}
    return [
        _skipped(rule, skipped[rule.name]) if rule.name in skipped else _finding(rule, *results[rule.name])
        for rule in rules
    ]


def _validate(
    url: URL,
    schema: str,
    table: str,
    rules: Sequence[QualityRule],
    *,
    references: Mapping[str, ResolvedReference],
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The type of expectation and its result, by the name of the rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises about its own data sources; nothing of it concerns us
        gx = _great_expectations()
        expectations = [_expectation(gx, rule, references) for rule in rules]
        try:
            outcome = _run(gx, url, schema, table, expectations)
        except Exception as error:
            raise _broken(type(error).__name__) from None
    found = {}
    for result in outcome.results:
        name = result.expectation_config.meta["rule"]
        if _raised(result.exception_info):
            raise _broken("MetricError", name)
        found[name] = (result.expectation_config.type, result.result)
    return found


def _run(gx: Any, url: URL, schema: str, table: str, expectations: list[Any]) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # A socket URL needs the generic source: the one for PostgreSQL insists on a host.
    source = context.data_sources.add_sql(
        "staging",
        connection_string=url.render_as_string(hide_password=False),
        create_temp_table=False,
        kwargs={"poolclass": NullPool},
    )
    try:
        asset = source.add_table_asset("batch", table_name=table, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("whole").get_batch()
        suite = gx.ExpectationSuite(name="contract", expectations=expectations)
        return batch.validate(suite, result_format=RESULT_FORMAT)
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations
    import great_expectations.expectations

    return great_expectations


@cache
def _reference_expectation() -> Any:
    """An expectation of our own about another dataset; its query gives two counts and never a row."""
    from great_expectations.expectations.expectation import BatchExpectation

    class ExpectReferencesToHold(BatchExpectation):
        """Every value of a field has what it should have in another dataset."""

        query: str
        metric_dependencies: ClassVar[tuple[str, ...]] = ("query.table",)
        success_keys: ClassVar[tuple[str, ...]] = ("query",)
        domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)

        def _validate(
            self, metrics: Any, runtime_configuration: Any = None, execution_engine: Any = None
        ) -> dict[str, Any]:
            del runtime_configuration, execution_engine
            (row,) = metrics["query.table"]
            counts = {"element_count": row["checked"], "unexpected_count": row["dangling"]}
            return {"success": row["dangling"] == 0, "result": counts}

    return ExpectReferencesToHold


def _expectation(gx: Any, rule: QualityRule, references: Mapping[str, ResolvedReference]) -> Any:
    made = gx.expectations
    meta = {"rule": rule.name}
    match rule.metric:
        case Metric.NULL_VALUES | Metric.MISSING_VALUES:
            return made.ExpectColumnValuesToNotBeNull(column=rule.fields[0], meta=meta)
        case Metric.INVALID_VALUES:
            return made.ExpectColumnValuesToBeInSet(
                column=rule.fields[0], value_set=list(rule.valid_values), meta=meta
            )
        case Metric.DUPLICATE_VALUES if len(rule.fields) == 1:
            return made.ExpectColumnValuesToBeUnique(column=rule.fields[0], meta=meta)
        case Metric.DUPLICATE_VALUES:
            return made.ExpectCompoundColumnsToBeUnique(column_list=list(rule.fields), meta=meta)
        case Metric.ROW_COUNT:
            return made.ExpectTableRowCountToBeBetween(min_value=0, meta=meta)
        case Metric.DANGLING_REFERENCES if rule.name in references:
            broken = references[rule.name].condition.replace("{", "{{").replace("}", "}}")
            query = (
                "SELECT (SELECT count(*) FROM {batch} WHERE NOT _deleted) AS checked, (SELECT count(*)"  # noqa: S608
                f" FROM (SELECT * FROM {{batch}} WHERE NOT _deleted) s WHERE {broken}) AS dangling"
            )
            return _reference_expectation()(query=query, meta=meta)
    raise QualityRuleUnknown(
        f"The quality rule {rule.name} uses the metric {rule.metric}, which the bus cannot check",
        remedy=f"Use one of: {', '.join(Metric)}",
        location=Location(line=rule.line, rule=rule.name),
    )


def _skipped(rule: QualityRule, why: str) -> Finding:
    return Finding(
        rule=rule.name, dimension=str(rule.dimension), severity=str(rule.severity), checked=0, failed=0,
        passed=True, description=rule.description, skipped=why,
    )  # fmt: skip


def _finding(rule: QualityRule, expectation: str, result: Mapping[str, Any]) -> Finding:
    if rule.metric is Metric.ROW_COUNT:
        measured = rows = int(result["observed_value"])
        failed = 0 if rule.holds(measured, rows) else rows
    else:
        rows = int(result["element_count"])
        failed = measured = int(result["unexpected_count"] or 0)
    return Finding(
        rule=rule.name,
        dimension=str(rule.dimension),
        severity=str(rule.severity),
        checked=rows,
        failed=failed,
        passed=rule.holds(measured, rows),
        description=rule.description,
        expectation=expectation,
    )


def _raised(info: Mapping[str, Any] | None) -> bool:
    """Whether an expectation met an exception; its message may hold values and is not looked at."""
    return any(
        isinstance(each, Mapping) and each.get("raised_exception") for each in (info, *(info or {}).values())
    )


def _broken(what: str, rule: str | None = None) -> AssessmentBroken:
    return AssessmentBroken(
        f"A quality check could not be carried out{f' ({rule})' if rule else ''}",
        why="The database or Great Expectations met an error of its own; this says nothing about the data",
        remedy="Look at the process log and run the sync again; it goes on with the assessment",
        location=Location(rule=rule) if rule else None,
        error=what,
    )
