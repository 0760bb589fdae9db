"""Quality rules are read whole, and hold exactly when their comparison does."""

import pytest
from contract_texts import SOUND, write
from hypothesis import given
from hypothesis import strategies as st

from schemas.contracts import ContractInvalid, load_contract, load_contracts
from schemas.quality import (
    Comparison,
    DatasetReference,
    Dimension,
    Metric,
    QualityRule,
    Severity,
    Unit,
)


def with_rule(rule, *, below="    properties:"):
    indent = "    " if below == "    properties:" else "        "
    return SOUND.replace(below, f"{indent}quality:\n{indent}  - {rule}\n{below}", 1)


def test_rules_of_a_contract_are_read_with_their_fields_and_lines():
    persons = load_contracts().get("dukcapil-mojokerto/persons")
    rules = {rule.name: rule for rule in persons.quality}
    once = rules["nik-once"]
    assert (once.metric, once.fields, once.severity) == (Metric.DUPLICATE_VALUES, ("nik",), Severity.ERROR)
    assert once.line
    place = rules["birth-place-known"]
    assert (place.unit, place.severity, place.dimension) == (
        Unit.PERCENT, Severity.WARNING, Dimension.COMPLETENESS,
    )  # fmt: skip
    assert rules["sex-in-list"].valid_values == ("male", "female")
    standing = load_contracts().get("kpp-mojokerto/tax-standing")
    assert next(rule for rule in standing.quality if len(rule.fields) == 2).fields == ("npwp", "tax_year")


def test_a_percentage_is_of_the_batch_and_an_empty_batch_has_none():
    rule = QualityRule("r", Metric.NULL_VALUES, ("f",), Comparison.LESS, (10,), Unit.PERCENT)
    assert rule.holds(9, 100)
    assert not rule.holds(10, 100)
    assert rule.holds(0, 0)


@given(st.sampled_from(list(Comparison)), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_every_comparison_and_its_opposite_disagree(comparison, measured, low, high):
    opposites = {
        Comparison.BE: Comparison.NOT_BE,
        Comparison.LESS: Comparison.GREATER_OR_EQUAL,
        Comparison.GREATER: Comparison.LESS_OR_EQUAL,
        Comparison.BETWEEN: Comparison.NOT_BETWEEN,
    }
    opposites |= {there: here for here, there in opposites.items()}
    bounds = tuple(sorted((low, high)))

    def holds(how):
        return QualityRule("r", Metric.ROW_COUNT, (), how, bounds).holds(measured, 100)

    assert holds(comparison) is not holds(opposites[comparison])


@pytest.mark.parametrize(
    ("rule", "fragment"),
    [
        ("{type: library, metric: nullCount, mustBe: 0}", "not a metric"),
        ("{type: library, mustBe: 0}", "no metric"),
        ("{type: library, metric: rowCount}", "0 comparisons"),
        ("{type: library, metric: rowCount, mustBe: 0, mustNotBe: 1}", "2 comparisons"),
        ("{type: library, metric: rowCount, mustBe: many}", "compared with a number"),
        ("{type: library, metric: nullValues, mustBe: 0}", "which fields"),
        ("{type: library, metric: nullValues, mustBe: 0, arguments: {properties: [nope]}}", "which fields"),
        ("{type: library, metric: invalidValues, mustBe: 0, arguments: {properties: [fee]}}", "which values"),
        ("{type: library, metric: rowCount, mustBe: 0, severity: fatal}", "not a severity"),
        ("{type: library, metric: rowCount, mustBe: 0, dimension: conformance}", "not a dimension"),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik]}}",
            "which records",
        ),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik], dataset: persons, referencedProperty: nik}}",
            "which records",
        ),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik, number], dataset: a/b, referencedProperty: nik}}",
            "exactly one field",
        ),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik], dataset: a/b, referencedProperty: nik, where: x}}",
            "not known here: where",
        ),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik], dataset: a/b, referencedProperty: nik, when: {kind: [drinks]}}}",
            "scope",
        ),
        (
            "{type: custom, engine: lintas, implementation: {metric: danglingReferences, mustBe: 0,"
            " properties: [nik], dataset: a/b, referencedProperty: nik, when: {fee: [1]}}}",
            "scope",
        ),
        ("{type: library, metric: danglingReferences, mustBe: 0}", "not of the standard's library"),
        ("{type: custom, engine: lintas, implementation: {metric: rowCount, mustBe: 0}}", "not a metric"),
        ("{type: custom, engine: lintas, implementation: SELECT}", "not run"),
        ("{type: custom, engine: soda, implementation: x}", "not run"),
    ],
)
def test_a_rule_that_cannot_be_run_is_a_problem_at_its_line(tmp_path, rule, fragment):
    text = with_rule(rule)
    with pytest.raises(ContractInvalid) as caught:
        load_contract(write(tmp_path, text))
    problem = caught.value.problems[0]
    assert fragment in problem.message
    assert problem.line == next(n for n, line in enumerate(text.splitlines(), 1) if "- {type:" in line)


def test_a_rule_across_datasets_says_whose_records_it_looks_for(tmp_path):
    rule = (
        "{type: custom, engine: lintas, unit: percent, severity: warning, implementation: {"
        "metric: danglingReferences, mustBeLessThan: 5, properties: [nik], dataset: dukcapil-x/persons,"
        " referencedProperty: nik, when: {kind: [food]}}}"
    )
    (found,) = load_contract(write(tmp_path, with_rule(rule))).quality
    assert found.reference == DatasetReference("dukcapil-x/persons", "nik", (("kind", ("food",)),))
    assert (found.name, found.fields) == ("dangling-references-nik", ("nik",))
    assert (found.dimension, found.unit) == (Dimension.CONSISTENCY, Unit.PERCENT)


def test_a_slip_in_the_name_of_the_other_dataset_is_told_and_a_dataset_to_come_is_not(tmp_path):
    rule = (
        "{{type: custom, engine: lintas, implementation: {{metric: danglingReferences, mustBe: 0,"
        " properties: [nik], dataset: {}, referencedProperty: {}}}}}"
    )
    write(tmp_path, SOUND)
    second = SOUND.replace("id: dpmptsp-mojokerto/licences", "id: dpmptsp-mojokerto/stalls")

    def with_reference(dataset, field):
        text = second.replace(
            "    properties:", f"    quality:\n      - {rule.format(dataset, field)}\n    properties:", 1
        )
        write(tmp_path, text, "dpmptsp-mojokerto/stalls")
        return load_contracts(tmp_path, collect=True)

    assert with_reference("dpmptsp-mojokerto/licences", "nik").problems == ()
    assert with_reference("dukcapil-x/persons", "nik").problems == ()
    slip = with_reference("dpmptsp-mojokerto/licencs", "nik")
    assert "Did you mean dpmptsp-mojokerto/licences?" in slip.problems[0].remedy
    assert slip.problems[0].file == "dpmptsp-mojokerto/stalls.odcs.yaml"
    assert slip.problems[0].line
    assert "dpmptsp-mojokerto/licences" in slip
    (problem,) = with_reference("dpmptsp-mojokerto/licences", "npwp").problems
    assert "npwp" in problem.message


def test_text_rules_are_for_people_only(tmp_path):
    contract = load_contract(write(tmp_path, with_rule("{type: text, description: Be good.}")))
    assert contract.quality == ()


def test_two_rules_may_not_share_a_name(tmp_path):
    rule = "{name: a, type: library, metric: rowCount, mustBeGreaterThan: 0}"
    text = with_rule(f"{rule}\n      - {rule}")
    with pytest.raises(ContractInvalid, match="Two quality rules"):
        load_contract(write(tmp_path, text))
