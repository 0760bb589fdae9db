"""A page becomes records and explained rejections; nothing is lost, nothing is shown."""
# ruff: noqa: E501 - rows and tables read best unwrapped

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from contract_texts import SOUND, write
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import clock
from foundation.errors import FixSource
from schemas.contracts import load_contract, load_contracts
from schemas.errors import ColumnsChanged
from schemas.mapping import compile_mapping
from schemas.record_types import record_type

PERSONS = compile_mapping(load_contracts().get("dukcapil-mojokerto/persons"))
DEATHS = compile_mapping(load_contracts().get("dukcapil-mojokerto/deaths"))
STANDINGS = compile_mapping(load_contracts().get("kpp-mojokerto/tax-standing"))

PERSON = {
    "nik": "3576025505900003", "no_kk": "3576020102120005", "nama_lgkp": "SITI CONTOH", "tmpt_lhr": "MOJOKERTO",
    "tgl_lhr": date(1990, 5, 15), "jenis_klmin": 2, "stat_kwn": 2, "stat_hbkel": 3, "no_prop": 35, "no_kab": 76,
    "no_kec": 2, "no_kel": 1001, "alamat": "JL CONTOH 1", "no_rt": "1", "no_rw": "2", "nik_ibu": None,
    "nik_ayah": "-",
}  # fmt: skip
STANDING = {
    "npwp16": "3576025505900003", "nama_wp": "WARUNG CONTOH", "tahun_kswp": "2024", "status_kswp": "VALID",
    "alasan": None, "tanggal_terbit": "2024-07-01",
}  # fmt: skip


def persons(*changes):
    return pl.DataFrame([PERSON | change for change in changes], infer_schema_length=None, strict=False)


def standings(*changes):
    return pl.DataFrame([STANDING | change for change in changes], infer_schema_length=None)


def test_a_person_of_siak_becomes_a_person():
    mapped = PERSONS.apply(persons({}))
    assert mapped.judged == 0
    assert mapped.accepted.row(0, named=True) == {
        "nik": "3576025505900003", "family_card_number": "3576020102120005", "name": "SITI CONTOH",
        "birth_place": "MOJOKERTO", "birth_date": date(1990, 5, 15), "sex": "female", "marital_status": "married",
        "relationship_to_head": "wife", "region_code": "35.76.02.1001", "address": "JL CONTOH 1", "rt": "001",
        "rw": "002", "mother_nik": None, "father_nik": None,
    }  # fmt: skip
    assert dict(mapped.accepted.schema) == record_type("Person").polars_schema


def test_an_individuals_standing_names_the_person_and_an_organisations_does_not():
    mapped = STANDINGS.apply(
        standings(
            {},
            {"npwp16": "0021832415000000", "status_kswp": "TIDAK VALID", "alasan": "02 Masa SPT Tahunan"},
            {"npwp16": "1000000012345678", "alasan": "03"},
        )
    )
    assert mapped.accepted["nik"].to_list() == ["3576025505900003", None, None]
    assert mapped.accepted["standing"].to_list() == ["valid", "not_valid", "valid"]
    assert mapped.accepted["reason"].to_list() == [None, "annual_return_missing", "vat_returns_missing"]
    assert mapped.accepted["tax_year"].to_list() == [2024] * 3


def test_every_row_is_either_accepted_or_rejected_with_all_its_errors():
    page = persons({}, {"nik": "357602", "nama_lgkp": None, "jenis_klmin": 9}, {"nama_lgkp": "ŁUCJA"})
    mapped = PERSONS.apply(page, [10, 20, 30])
    assert mapped.positions.to_list() == [10, 30]
    assert mapped.accepted["name"].to_list() == ["SITI CONTOH", "ŁUCJA"]
    (rejection,) = mapped.rejected
    assert rejection.position == 20
    assert [(each.field, each.source_column, each.rule) for each in rejection.errors] == [
        ("nik", "nik", "length"), ("name", "nama_lgkp", "missing"), ("sex", "jenis_klmin", "unknown-code"),
    ]  # fmt: skip
    assert all(each.message and each.remedy and each.line for each in rejection.errors)
    assert mapped.reasons == {"nik:length": 1, "name:missing": 1, "sex:unknown-code": 1}
    assert mapped.judged == 2


def test_rows_that_the_judge_accepts_keep_their_place():
    names = ["A", "Ł", "B", "Ő", "C"]
    mapped = PERSONS.apply(persons(*({"nama_lgkp": name} for name in names)), 100)
    assert mapped.accepted["name"].to_list() == names
    assert mapped.positions.to_list() == [100, 101, 102, 103, 104]


def test_the_raw_row_is_kept_as_json_and_hidden_from_repr():
    page = persons({"nik": "rusak"}).with_columns(tgl_lhr=pl.lit(datetime(1990, 5, 15, 3, tzinfo=UTC)))
    (rejection,) = PERSONS.apply(page).rejected
    assert json.loads(json.dumps(rejection.raw))["nik"] == "rusak"
    assert rejection.raw["tgl_lhr"] == "1990-05-15T03:00:00+00:00"
    assert set(rejection.raw) == set(PERSONS.contract.source_columns)
    assert "SITI CONTOH" not in repr(rejection)
    assert "SITI CONTOH" not in repr(PERSONS.apply(persons({})))


hostile = st.one_of(
    st.none(), st.text(max_size=30), st.integers(-(2**31), 2**31), st.floats(allow_nan=True), st.booleans(),
    st.dates(), st.sampled_from([Decimal("1.5"), b"\x00\xff", "9" * 5000, "\x00", "\u202eabc", {"a": 1}, [1]]),
)  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(st.dictionaries(st.sampled_from(sorted(PERSON)), hostile, max_size=4), min_size=1, max_size=5)
)
def test_no_page_is_lost_shown_or_crashes_the_mapping(changes):
    rows = [PERSON | change for change in changes]
    page = pl.DataFrame(
        {name: pl.Series(name, [row[name] for row in rows], dtype=pl.Object) for name in PERSON}
    )
    mapped = PERSONS.apply(page)
    places = mapped.positions.to_list() + [each.position for each in mapped.rejected]
    assert sorted(places) == list(range(len(rows)))
    assert mapped.positions.to_list() == sorted(mapped.positions.to_list())
    for rejection in mapped.rejected:
        json.dumps(rejection.raw)
        told = " ".join(each.message + each.remedy for each in rejection.errors)
        for cell in rejection.raw.values():
            if isinstance(cell, str) and len(cell) >= 6 and cell.isalnum():
                assert cell not in told


def test_text_and_object_columns_of_the_same_cells_give_the_same_records():
    page = persons({}, {"nama_lgkp": "BUDI"})
    as_objects = pl.DataFrame(
        {name: pl.Series(name, page[name].to_list(), dtype=pl.Object) for name in page.columns}
    )
    assert PERSONS.apply(page).accepted.equals(PERSONS.apply(as_objects).accepted)


@pytest.mark.parametrize(
    ("column", "cell", "field", "rule"),
    [
        ("tgl_lhr", date(2999, 1, 1), "birth_date", "in-future"),
        ("tgl_lhr", date(1, 1, 1), "birth_date", "too-early"),
        ("tgl_lhr", date(1849, 12, 31), "birth_date", "too-early"),
        ("tgl_lhr", date(9999, 12, 31), "birth_date", "in-future"),
        ("tgl_lhr", "00-00-0000", "birth_date", "date-expected"),
        ("tgl_lhr", "0000-00-00", "birth_date", "no-such-day"),
        ("tgl_lhr", "1990-5-15", "birth_date", "date-expected"),
        ("tgl_lhr", "642729600", "birth_date", "date-expected"),
        ("tgl_lhr", 642729600, "birth_date", "date-expected"),
        ("tgl_lhr", None, "birth_date", "missing"),
        ("nik", 3576025505900003, "nik", "numeric-cell"),
        ("nik", 3.576025505900003e15, "nik", "numeric-cell"),
        ("nik", "3,57603E+15", "nik", "digits-lost"),
        ("nik", "٣٥٧٦٠٢٥٥٠٥٩٠٠٠٠٣", "nik", "foreign-digits"),
        ("nik", "3576025505900003\x00", "nik", "not-digits"),
        ("nik_ibu", 3576025505600003, "mother_nik", "numeric-cell"),
        ("no_kk", "3576024102120005", "family_card_number", "date"),
        ("nama_lgkp", "SITI\x00CONTOH", "name", "unwanted-characters"),
        ("nama_lgkp", "SITI\u202eCONTOH", "name", "unwanted-characters"),
        ("nama_lgkp", "A" * 201, "name", "too-long"),
        ("nama_lgkp", "A" * 1_000_000, "name", "too-long"),
        ("nama_lgkp", " \t ", "name", "missing"),
        ("jenis_klmin", 3, "sex", "unknown-code"),
        ("jenis_klmin", 1.5, "sex", "text-expected"),
        ("no_prop", 99, "region_code", "unknown-province"),
        ("no_kel", None, "region_code", "missing"),
    ],
)
def test_bad_cells_are_named_by_field_and_rule(column, cell, field, rule):
    page = persons({}).with_columns(pl.Series(column, [cell], strict=False))
    (rejection,) = PERSONS.apply(page).rejected
    assert [(each.field, each.rule) for each in rejection.errors] == [(field, rule)]


def test_a_renamed_column_stops_the_page_with_the_closest_name():
    page = persons({}).rename({"tgl_lhr": "tgl_lahir"})
    with pytest.raises(ColumnsChanged) as caught:
        PERSONS.apply(page)
    error = caught.value
    assert isinstance(error, FixSource)
    assert error.attributes["missing"] == ("tgl_lhr",)
    assert error.attributes["suggestions"] == {"tgl_lhr": "tgl_lahir"}
    assert error.location.file == "dukcapil-mojokerto/persons.odcs.yaml"
    assert error.location.field == "birth_date"
    assert error.location.line
    assert "is it now 'tgl_lahir'?" in str(error)
    assert "SITI" not in str(error)


def test_a_column_in_capitals_is_suggested_too():
    with pytest.raises(ColumnsChanged) as caught:
        PERSONS.apply(persons({}).rename({"nik": "NIK"}))
    assert caught.value.attributes["suggestions"] == {"nik": "NIK"}


def test_columns_that_the_contract_does_not_name_are_dropped():
    page = persons({}, {"nik": "x"}).with_columns(agama=pl.lit("rahasia"))
    mapped = PERSONS.apply(page)
    assert "agama" not in mapped.accepted.columns
    assert "agama" not in mapped.rejected[0].raw


@pytest.mark.parametrize("page", [pl.DataFrame(), pl.DataFrame(schema=dict.fromkeys(PERSON, pl.String))])
def test_an_empty_page_maps_to_no_records_with_all_columns(page):
    mapped = PERSONS.apply(page)
    assert mapped.accepted.height == 0
    assert dict(mapped.accepted.schema) == record_type("Person").polars_schema
    assert mapped.rejected == ()


def test_a_page_of_nothing_but_nulls_is_rejected_row_by_row():
    page = pl.DataFrame({name: [None, None] for name in PERSON})
    mapped = PERSONS.apply(page)
    assert mapped.accepted.height == 0
    assert [each.position for each in mapped.rejected] == [0, 1]


def test_a_wrong_number_of_positions_is_refused():
    with pytest.raises(ValueError, match="one position"):
        PERSONS.apply(persons({}), [1, 2])


def test_a_nik_that_disagrees_with_the_birth_date_or_sex_is_counted_and_kept():
    mapped = PERSONS.apply(
        persons({}, {"tgl_lhr": date(1990, 5, 16)}, {"jenis_klmin": 1}, {"nik_ibu": PERSON["nik"]})
    )
    assert mapped.accepted.height == 4
    assert mapped.warnings == {"nik-birth-date": 1, "nik-sex": 1, "own-parent": 1}


def test_a_death_recorded_before_it_happened_is_counted_and_kept():
    row = {
        "nik": PERSON["nik"], "tgl_mati": date(2024, 5, 2), "tgl_lapor": date(2024, 5, 1),
        "no_akta": "3576-KM-01052024-0001", "nomor": 17, "no_prop": 35, "no_kab": 76, "no_kec": 2,
    }  # fmt: skip
    mapped = DEATHS.apply(pl.DataFrame([row]))
    assert mapped.accepted["region_code"].to_list() == ["35.76.02"]
    assert mapped.warnings == {"recorded-before-death": 1}


def test_a_dataset_that_no_python_knows_maps_by_its_contract_alone(tmp_path):
    contract = load_contract(write(tmp_path, SOUND))
    assert contract.record_type.table_name == "trade_licence_v1"
    assert contract.record_type.model is None
    assert contract.source_key == ("number",)
    assert contract.subject_field == "nik"
    assert not contract.closed_world
    assert contract.validity.from_field == "issued_on"
    page = pl.DataFrame(
        {
            "nomor": ["IP/1", "IP/2", "IP/3"],
            "nik_pemilik": [PERSON["nik"], None, "1"],
            "retribusi": ["12500.50", None, "1,5"],
            "lapak": [1, 40, 41],
            "aktif": [True, False, None],
            "jenis": ["F", "G", "X"],
            "terbit": ["15-05-2024", None, "31-02-2024"],
            "diubah": [datetime(2024, 5, 15, 8), None, None],  # noqa: DTZ001 - the source writes local time
        }
    )
    with clock.fixed(datetime(2026, 1, 1, tzinfo=UTC)):
        mapped = compile_mapping(contract).apply(page)
    first, second = mapped.accepted.rows(named=True)
    assert first == {
        "number": "IP/1", "nik": PERSON["nik"], "fee": Decimal("12500.500000"), "stalls": 1, "active": True,
        "kind": "food", "issued_on": date(2024, 5, 15), "changed_at": datetime(2024, 5, 15, 1, tzinfo=UTC),
    }  # fmt: skip
    assert second["active"] is False
    assert {each.field: each.rule for each in mapped.rejected[0].errors} == {
        "nik": "length", "fee": "decimal-expected", "stalls": "out-of-range", "active": "missing",
        "kind": "unknown-code", "issued_on": "no-such-day",
    }  # fmt: skip
