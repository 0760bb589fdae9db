"""Contracts load whole, or say everything that is wrong with its line, at once."""
# ruff: noqa: E501 - the table of mistakes reads best unwrapped

import json
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from contract_texts import SOUND, line_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import FixContract
from schemas.contracts import (
    PACKAGED_CONTRACTS,
    ContractInvalid,
    ErrorBudget,
    Mode,
    Snapshot,
    load_contract,
    load_contracts,
)
from schemas.errors import UnknownContract
from schemas.marked_yaml import read_marked_yaml
from schemas.record_types import record_type

PERSONS = PACKAGED_CONTRACTS / "dukcapil-mojokerto" / "persons.odcs.yaml"


def problems_of(directory, text, dataset_id="dpmptsp-mojokerto/licences"):
    with pytest.raises(ContractInvalid) as caught:
        load_contract(write(directory, text, dataset_id))
    return caught.value.problems


def test_the_twelve_contracts_of_the_practice_agencies_load():
    contracts = load_contracts()
    assert sorted(contracts.contracts) == [
        "dinkes-mojokerto/coverage",
        "dinkes-mojokerto/immunizations",
        "dinkes-mojokerto/patients",
        "dpmptsp-mojokerto/businesses",
        "dpmptsp-mojokerto/licenses",
        "dukcapil-mojokerto/births",
        "dukcapil-mojokerto/deaths",
        "dukcapil-mojokerto/families",
        "dukcapil-mojokerto/persons",
        "kpp-mojokerto/property-tax",
        "kpp-mojokerto/tax-standing",
        "kpp-mojokerto/taxpayers",
    ]
    assert {contract.server.kind for contract in contracts} == {"sql", "rest", "files", "fhir"}
    assert contracts.problems == ()


@pytest.mark.parametrize("path", sorted(PACKAGED_CONTRACTS.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_our_contracts_are_valid_under_the_standards_own_schema(path):
    import jsonschema

    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text())
    jsonschema.Draft201909Validator(schema).validate(read_marked_yaml(path.read_bytes()).data)


def test_a_contract_says_what_the_bus_needs_to_know():
    persons = load_contracts().get("dukcapil-mojokerto/persons")
    assert persons.record_type is record_type("Person")
    assert persons.agency == "dukcapil-mojokerto"
    assert persons.server.kind == "sql"
    assert persons.server.system_id == "siak"
    assert persons.server.config["table"] == "biodata_wni"
    assert "kind" not in persons.server.config
    assert persons.fields == persons.record_type.column_names
    assert persons.source_columns[:3] == ("nik", "no_kk", "nama_lgkp")
    assert len(persons.source_columns) == len(set(persons.source_columns)) == 17
    assert persons.source_key == ("nik",)
    assert persons.subject_field == "nik"
    assert persons.mode is Mode.COPY
    assert persons.snapshot is Snapshot.COMPLETE
    assert persons.cursor == "last_sync"
    assert persons.freshness == timedelta(hours=36)
    assert persons.schedule == "15 1 * * *"
    assert persons.error_budget == ErrorBudget(page=0.5, batch=0.05)
    assert persons.max_close_ratio == 0.01
    assert persons.purpose == "registry-sync"
    assert len(persons.hash) == 64


def test_absence_of_a_death_means_no_death_and_absence_of_a_tax_standing_means_nothing():
    contracts = load_contracts()
    assert contracts.get("dukcapil-mojokerto/deaths").closed_world
    assert contracts.get("dukcapil-mojokerto/persons").closed_world
    assert not contracts.get("kpp-mojokerto/tax-standing").closed_world
    assert record_type("Death").closed_world
    assert not record_type("TaxStanding").closed_world


def test_the_hash_is_of_the_meaning_and_not_of_the_spelling(tmp_path):
    plain = load_contract(write(tmp_path / "a", SOUND))
    commented = load_contract(write(tmp_path / "b", SOUND.replace("name: Licences", "name:   Licences # x")))
    changed = load_contract(write(tmp_path / "c", SOUND.replace("name: Licences", "name: Licenses")))
    assert plain.hash == commented.hash
    assert plain == commented
    assert plain.hash != changed.hash


def test_an_unknown_dataset_is_refused_with_the_closest_name():
    with pytest.raises(UnknownContract, match="Did you mean dukcapil-mojokerto/persons"):
        load_contracts().get("dukcapil-mojokerto/person")


SPOILT = [
    ("apiVersion: v3.2.0", "apiVersion: v2.2.2", "api-version", "apiVersion"),
    ("kind: DataContract", "kind: DataProduct", "kind", "kind: DataProduct"),
    ("version: 1.2.0", "version: 1.2", "string-type", "version: 1.2"),
    ("version: 1.2.0", 'version: "1.2"', "version", "version:"),
    ("status: active", "status: live", "status", "status: live"),
    ("id: dpmptsp-mojokerto/licences", "id: dpmptsp-mojokerto/permits", "id", "id: dpm"),
    ("id: dpmptsp-mojokerto/licences", "id: Licences", "id", "id: Lic"),
    ("  - server: oss", "  - servr: oss", "unknown-key", "servr: oss"),
    ("physicalName: nomor", "phsyicalName: nomor", "unknown-key", "phsyicalName"),
    ("physicalName: nomor\n", "\n", "no-source", "name: number"),
    ("name: number", "name: valid_from", "field-name", "name: valid_from"),
    ("name: number", "name: Nomor Izin", "field-name", "name: Nomor Izin"),
    ("        classification: public\n        primaryKey", "        primaryKey", "classification", "name: number"),
    ("primaryKey: true", "primaryKey: false", "no-key", "name: TradeLicence"),
    ("name: TradeLicence", "name: trade licence", "type-name", "name: trade licence"),
    ("name: TradeLicence", "name: TAXStanding", "type-name", "TAXStanding"),
    ("value: nik}", "value: ktp}", "literal-error", "value: ktp"),
    ("logicalType: number", "logicalType: map", "logical-type", "logicalType: map"),
    ("{minimum: 1,", "{minimum: many,", "logical-type", "minimum: many"),
    ("codes: {F", "code: {F", "unknown-step", "code: {F"),
    ("codes: {F: food, G: goods}", "codes: [F, G]", "step", "codes: [F, G]"),
    ("date: dd-MM-yyyy", "date: dd-MM-yy", "step", "date: dd-MM-yy"),
    ("timestamp: Asia/Jakarta", "timestamp: Europe/Paris", "step", "Europe/Paris"),
    ('schedule: "5 3 * * 1-5"', 'schedule: "61 3 * * *"', "schedule", "61 3"),
    ("unit: d}\ncustom", "unit: fortnight}\ncustom", "duration", "fortnight"),
    ("{property: validFrom, value: issued_on}", "{property: validForm, value: x}", "custom-property", "validForm"),
    ("{property: validFrom, value: issued_on}", "{property: validFrom, value: fee}", "validity", ""),
    ("{property: validFrom, value: issued_on}", "{property: maxCloseRatio, value: 7}", "custom-property", "maxClose"),
    ("value: {kind: sql, table", "value: {table", "connector", ""),
    ("{property: system, value: oss}", "{property: sytem, value: oss}", "custom-property", "sytem"),
    ("name: nik\n", "name: number\n", "duplicate-field", "physicalName: nik_pemilik"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sound", "spoilt", "rule", "fragment"), SPOILT, ids=[f"{s[2]}-{n}" for n, s in enumerate(SPOILT)]
)
def test_every_mistake_is_told_with_file_line_rule_and_remedy(tmp_path, sound, spoilt, rule, fragment):
    text = SOUND.replace(sound, spoilt, 1)
    assert text != SOUND
    found = [each for each in problems_of(tmp_path, text) if each.rule in rule.split("|")]
    assert found, problems_of(tmp_path, text)
    problem = found[0]
    assert problem.file == "dpmptsp-mojokerto/licences.odcs.yaml"
    assert problem.line is not None
    assert problem.message
    assert problem.remedy
    if fragment:
        assert abs(problem.line - line_of(text, fragment)) <= 1


def test_all_mistakes_of_all_files_are_told_together(tmp_path):
    spoilt = SOUND.replace("status: active", "status: live").replace("physicalName: retribusi\n", "\n")
    write(tmp_path, spoilt.replace('"5 3 * * 1-5"', "never"))
    write(tmp_path, "id: [", "kpp-mojokerto/broken")
    write(
        tmp_path,
        SOUND.replace("/licences", "/sound").replace("TradeLicence", "Other"),
        "dpmptsp-mojokerto/sound",
    )
    with pytest.raises(ContractInvalid) as caught:
        load_contracts(tmp_path)
    error = caught.value
    assert isinstance(error, FixContract)
    assert {each.rule for each in error.problems} == {"status", "no-source", "schedule", "yaml"}
    assert {each.file for each in error.problems} == {
        "dpmptsp-mojokerto/licences.odcs.yaml",
        "kpp-mojokerto/broken.odcs.yaml",
    }
    assert all(f"{each.file}:{each.line}" in str(error) for each in error.problems)
    assert json.dumps(error.as_dict())

    collected = load_contracts(tmp_path, collect=True)
    assert list(collected.contracts) == ["dpmptsp-mojokerto/sound"]
    assert collected.problems == error.problems
    with pytest.raises(ContractInvalid) as asked:
        collected.get("kpp-mojokerto/broken")
    assert {each.file for each in asked.value.problems} == {"kpp-mojokerto/broken.odcs.yaml"}


def test_a_mistyped_key_gets_the_closest_one(tmp_path):
    (problem, *_) = problems_of(tmp_path, SOUND.replace("physicalName: nomor", "phsyicalName: nomor"))
    assert "Did you mean physicalName?" in problem.remedy
    assert problem.field == "schema.TradeLicence.properties.number.phsyicalName"


def test_a_field_that_the_record_type_does_not_have_gets_the_closest_one(tmp_path):
    text = PERSONS.read_text().replace("- name: birth_date", "- name: birthdate")
    found = problems_of(tmp_path, text, "dukcapil-mojokerto/persons")
    assert {each.rule for each in found} == {"unknown-field", "missing-field"}
    assert "Did you mean birth_date?" in next(each for each in found if each.rule == "unknown-field").remedy


def test_a_contract_cannot_soften_the_classification_of_a_known_field(tmp_path):
    path = PACKAGED_CONTRACTS / "kpp-mojokerto" / "tax-standing.odcs.yaml"
    text = path.read_text().replace("classification: specific", "classification: public", 1)
    assert problems_of(tmp_path, text, "kpp-mojokerto/tax-standing")[0].rule == "classification"


def test_a_contract_without_its_key_is_refused(tmp_path):
    path = PACKAGED_CONTRACTS / "kpp-mojokerto" / "tax-standing.odcs.yaml"
    text = path.read_text().replace("- name: tax_year", "- name: reason", 1)
    rules = {each.rule for each in problems_of(tmp_path, text, "kpp-mojokerto/tax-standing")}
    assert {"missing-field", "key", "duplicate-field"} <= rules


def test_sql_of_a_contract_is_never_run(tmp_path):
    rule = (
        "    quality:\n      - {type: sql, query: DROP TABLE records.person_v1, mustBe: 0}\n    properties:"
    )
    found = problems_of(tmp_path, SOUND.replace("    properties:", rule, 1))
    assert [each.rule for each in found] == ["quality-type"]


def test_two_contracts_may_not_declare_one_name_differently(tmp_path):
    write(tmp_path, SOUND)
    other = SOUND.replace("/licences", "/others").replace("maximum: 40", "maximum: 50")
    write(tmp_path, other, "dpmptsp-mojokerto/others")
    collected = load_contracts(tmp_path, collect=True)
    assert [each.rule for each in collected.problems] == ["type-name"]
    write(tmp_path, SOUND.replace("/licences", "/others"), "dpmptsp-mojokerto/others")
    assert len(load_contracts(tmp_path)) == 2


def test_a_missing_directory_and_an_unreadable_file_are_problems_and_no_crashes(tmp_path):
    with pytest.raises(ContractInvalid, match="does not exist"):
        load_contracts(tmp_path / "nowhere")
    write(tmp_path, SOUND).unlink()
    (tmp_path / "dpmptsp-mojokerto" / "licences.odcs.yaml").mkdir()
    assert load_contracts(tmp_path, collect=True).problems[0].rule == "unreadable"


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SOUND)),
    st.integers(0, 80),
    st.text("abc:-{}[]\"'&*!|>%@`#,?\n\t \x00é0123", max_size=12),
)
def test_no_damage_to_a_file_escapes_as_anything_but_problems(tmp_path_factory, at, cut, put):
    text = SOUND[:at] + put + SOUND[at + cut :]
    path = write(tmp_path_factory.getbasetemp() / "damaged", text)
    try:
        load_contract(path)
    except ContractInvalid as error:
        found = error.problems
    else:
        return
    assert found


def test_paths_of_this_machine_do_not_stand_in_errors(tmp_path):
    with pytest.raises(ContractInvalid) as caught:
        load_contract(write(tmp_path, "id: ["))
    assert str(tmp_path) not in str(caught.value)
    assert isinstance(Path(caught.value.problems[0].file), Path)
