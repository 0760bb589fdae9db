"""Record types are one truth for models, tables, frames and documents."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from schemas.civil import Person
from schemas.errors import UnknownRecordType
from schemas.fields import Classification
from schemas.mapping import compile_mapping
from schemas.record_types import (
    COLUMN_NAME,
    RESERVED_COLUMNS,
    RecordType,
    comparable_fields,
    record_type,
    record_types,
    snake_case,
)

ALL = list(record_types())
SOUND_PERSON = {
    "nik": "3576025505900003",
    "family_card_number": "3576020102120005",
    "name": "SITI CONTOH",
    "birth_date": "1990-05-15",
    "sex": "female",
    "region_code": "35.76.02",
}


def test_the_record_types_of_four_agencies_are_known_by_name():
    assert [each.name for each in ALL] == [
        "Birth", "Business", "Coverage", "Death", "Family", "Immunization", "License", "Patient", "Person",
        "PropertyTax", "TaxStanding", "Taxpayer",
    ]  # fmt: skip
    assert record_type("Person").qualified_table_name == "records.person_v1"
    assert record_type("TaxStanding").table_name == "tax_standing_v1"
    assert record_type("TaxStanding").natural_key == ("npwp", "tax_year")


def test_an_unknown_name_gets_the_closest_one():
    with pytest.raises(UnknownRecordType, match="Did you mean 'Person'"):
        record_type("Persons")


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_every_field_is_described_classified_and_storable(each: RecordType):
    assert len(set(each.column_names)) == len(each.columns)
    for column in each.columns:
        assert column.description
        assert isinstance(column.classification, Classification)
        assert COLUMN_NAME.fullmatch(column.name)
        assert column.name not in RESERVED_COLUMNS
        assert isinstance(column.polars_dtype, pl.DataType)
        assert column.sql_type in {"text", "date", "bigint", "timestamptz", "boolean", "numeric(38,6)"}


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_keys_subjects_and_rules_name_fields(each: RecordType):
    for name in (*each.natural_key, each.subject_identifier):
        assert each.column(name) is not None
    assert all(not each.column(name).nullable for name in each.natural_key)
    assert each.column(each.subject_identifier).identifier_kind == "nik"
    for rule in each.rules:
        assert rule.severity == "warning"
        assert all(each.column(name) for name in rule.fields)


def test_registers_agree_about_the_day_of_birth_and_the_sex_of_one_person():
    told = {
        name: [each.name for each, column in fields if column.name == name]
        for name, fields in comparable_fields().items()
    }
    assert told == {"birth_date": ["Birth", "Patient", "Person"], "sex": ["Birth", "Patient", "Person"]}
    kinds = {name: {column.kind for _, column in fields} for name, fields in comparable_fields().items()}
    assert all(len(found) == 1 for found in kinds.values())


@pytest.mark.parametrize("name", ["Patient", "Coverage", "Immunization", "Birth"])
def test_health_data_and_data_of_children_are_specific(name):
    technical = {"updated_at", "event_number"}
    for column in record_type(name).columns:
        expected = Classification.PUBLIC if column.name in technical else Classification.SPECIFIC
        assert column.classification is expected, column.name


def test_what_a_taxpayer_owns_and_owes_is_specific():
    found = record_type("PropertyTax")
    for name in (
        "land_value_idr",
        "building_value_idr",
        "tax_due_idr",
        "paid_on",
        "standing",
        "land_area_m2",
    ):
        assert found.column(name).classification is Classification.SPECIFIC
    assert found.column("tax_due_idr").sql_type == "bigint"
    assert found.column("tax_due_idr").kind.title == "amount in whole rupiah"


def test_financial_data_is_specific_personal_data():
    standing = record_type("TaxStanding")
    assert standing.column("standing").classification is Classification.SPECIFIC
    assert standing.column("reason").classification is Classification.SPECIFIC


def test_the_model_judges_as_the_mapping_does():
    person = Person(**SOUND_PERSON)
    assert person.birth_date == date(1990, 5, 15)
    assert person.nik.value == SOUND_PERSON["nik"]
    assert Person(**SOUND_PERSON, birth_place=None).birth_place is None
    for field, cell in {
        "birth_date": 642729600,
        "sex": "F",
        "name": "A\x00",
        "nik": 3576025505900003,
    }.items():
        with pytest.raises(ValidationError) as caught:
            Person(**{**SOUND_PERSON, field: cell})
        assert str(cell) not in str(caught.value)
    with pytest.raises(ValidationError):
        Person(**SOUND_PERSON, agama="x")


def test_a_model_and_its_record_type_have_the_same_fields():
    for each in ALL:
        assert each.model is not None
        assert tuple(each.model.model_fields) == each.column_names


@pytest.mark.parametrize(
    ("name", "table"), [("TaxStanding", "tax_standing"), ("Person", "person"), ("BPJSCard2", "bpjscard2")]
)
def test_tables_are_called_in_snake_case(name, table):
    assert snake_case(name) == table


RULE_ROWS: dict[str, list[dict[str, Any]]] = {
    "Person": [
        {"nik": "3576025505900003", "birth_date": date(1990, 5, 15), "sex": "female"},
        {"nik": "3576021505900001", "birth_date": date(1990, 5, 15), "sex": "female"},
        {"nik": "3576021505900001", "birth_date": date(1990, 5, 16), "sex": "male"},
        {"nik": "3576021505900001", "birth_date": date(1991, 5, 15), "sex": "male"},
        {"nik": "3576021505900001", "birth_date": date(1890, 5, 15), "sex": "male"},
        {"nik": "3576021506900001", "birth_date": date(1990, 5, 15), "sex": "male"},
        {"nik": "3576021505050001", "birth_date": date(1905, 5, 15), "sex": "male"},
        {"nik": "3576021505900001", "mother_nik": "3576021505900001"},
        {"nik": "3576021505900001", "father_nik": "3576021505600001", "mother_nik": "3576021505600001"},
        {"nik": "3576021505900001", "father_nik": "3576021505600001"},
    ],
    "Birth": [
        {"nik": "3576021505120001", "birth_date": date(2012, 5, 15), "registered_on": date(2012, 5, 15)},
        {"nik": "3576021505120001", "birth_date": date(2012, 5, 15), "registered_on": date(2012, 5, 14)},
    ],
    "Taxpayer": [
        {"npwp": "0021832415000000", "nitku": "0021832415000000000003", "kind": "organisation"},
        {"npwp": "0021832415000000", "nitku": "0013121660091000000003", "kind": "organisation"},
        {"npwp": "021832415000000", "nitku": "0013121660091000000003"},
        {"npwp": "3576021505900001", "nik": "3576021505900001", "kind": "organisation"},
        {"npwp": "3576021505900001", "nik": "3576021505900001", "kind": "individual"},
    ],
    "PropertyTax": [
        {"standing": "unpaid", "paid_on": date(2024, 1, 1)},
        {"standing": "paid", "paid_on": date(2024, 1, 1)},
        {"standing": "unpaid"},
    ],
    "Business": [
        {"is_micro_or_small": True, "scale": "micro"},
        {"is_micro_or_small": True, "scale": "large"},
        {"is_micro_or_small": False, "scale": "small"},
        {"is_micro_or_small": None, "scale": "small"},
        {"is_micro_or_small": False, "scale": None},
    ],
    "License": [
        {"issued_on": date(2024, 1, 2), "valid_until": date(2024, 1, 1)},
        {"issued_on": date(2024, 1, 2), "valid_until": date(2029, 1, 1)},
        {"issued_on": date(2024, 1, 2)},
    ],
    "Patient": [
        {"nik": "3576021505900001", "mother_nik": "3576021505900001"},
        {"nik": None, "mother_nik": "3576025505900003"},
        {"nik": "3576021505900001", "birth_date": date(1990, 5, 16), "sex": "female"},
    ],
    "Coverage": [
        {"period_start": date(2024, 1, 2), "period_end": date(2024, 1, 1)},
        {"period_start": date(2024, 1, 2), "period_end": None},
    ],
    "Death": [
        {"death_date": date(2024, 1, 1), "recorded_date": date(2024, 1, 1)},
        {"death_date": date(2024, 1, 2), "recorded_date": date(2024, 1, 1)},
    ],
}


def test_every_rule_between_fields_has_rows_that_try_it():
    assert set(RULE_ROWS) == {each.name for each in ALL if each.rules}


@pytest.mark.parametrize("name", RULE_ROWS)
def test_rules_between_fields_say_the_same_in_sql_and_in_polars(name, installation):
    from foundation.database import Role

    found = record_type(name)
    empty = dict.fromkeys(found.column_names)
    frame = pl.DataFrame([empty | row for row in RULE_ROWS[name]], schema=found.polars_schema)
    columns = ", ".join(f"{column.name} {column.sql_type}" for column in found.columns)
    broken = 0
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(f"CREATE TEMPORARY TABLE rows (position int, {columns})")
        marks = ", ".join(["%s"] * (len(found.columns) + 1))
        for position, row in enumerate(frame.rows()):
            connection.execute(f"INSERT INTO rows VALUES ({marks})", [position, *row])
        for rule in found.rules:
            by_sql = connection.execute(f"SELECT {rule.violated_sql} FROM rows ORDER BY position").fetchall()
            by_polars = frame.select(rule.violated)[rule.violated.meta.output_name()].to_list()
            assert [bool(value) for (value,) in by_sql] == [bool(value) for value in by_polars]
            broken += sum(bool(value) for (value,) in by_sql)
    assert broken


def test_every_packaged_contract_compiles():
    from schemas.contracts import load_contracts

    for contract in load_contracts():
        assert compile_mapping(contract).apply(pl.DataFrame()).accepted.columns == list(
            contract.record_type.column_names
        )
