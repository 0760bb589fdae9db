"""Rows in the shapes of SIAK, DJP, SISMIOP, OSS and SATUSEHAT become records; their known traps do not."""
# ruff: noqa: E501, DTZ001 - rows read best unwrapped; OSS sends moments without a zone

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from schemas.contract import Snapshot
from schemas.contracts import load_contracts
from schemas.errors import ColumnsChanged
from schemas.mapping import compile_mapping

CONTRACTS = load_contracts()
NIK, MOTHER = "3576021505900001", "3576025505900003"

ROWS = {
    "dukcapil-mojokerto/families": (
        {
            "no_kk": "3576020102120005", "nik_kepala": NIK, "nama_kep": "BUDI CONTOH", "alamat": "JL CONTOH 1",
            "no_rt": "1", "no_rw": "-", "no_prop": 35, "no_kab": 76, "no_kec": 2, "no_kel": 1001,
            "jumlah_anggota": 4, "tgl_terbit": date(2012, 2, 1),
        },
        {
            "family_card_number": "3576020102120005", "head_nik": NIK, "head_name": "BUDI CONTOH",
            "address": "JL CONTOH 1", "rt": "001", "rw": None, "region_code": "35.76.02.1001", "member_count": 4,
            "issued_on": date(2012, 2, 1),
        },
    ),
    "dukcapil-mojokerto/births": (
        {
            "nomor": 7, "no_akta": "3576-LU-20052024-0003", "nik": "3576021505240001", "nama_lgkp": "ANAK CONTOH",
            "tgl_lhr": date(2024, 5, 15), "tmpt_lhr": "MOJOKERTO", "jenis_klmin": 1, "nik_ibu": MOTHER,
            "nik_ayah": "0", "tgl_daftar": date(2024, 5, 20), "no_prop": 35, "no_kab": 76, "no_kec": 2,
        },
        {
            "deed_number": "3576-LU-20052024-0003", "event_number": 7, "nik": "3576021505240001",
            "name": "ANAK CONTOH", "birth_date": date(2024, 5, 15), "birth_place": "MOJOKERTO", "sex": "male",
            "mother_nik": MOTHER, "father_nik": None, "registered_on": date(2024, 5, 20), "region_code": "35.76.02",
        },
    ),
    "kpp-mojokerto/taxpayers": (
        {
            "npwp16": NIK, "nitku": NIK + "000000", "nama_wp": "BUDI CONTOH", "jenis_wp": "OP",
            "status_wp": "AKTIF", "kpp": "602", "tanggal_daftar": "2015-01-02",
        },
        {
            "npwp": NIK, "nik": NIK, "nitku": NIK + "000000", "name": "BUDI CONTOH", "kind": "individual",
            "status": "active", "tax_office": "602", "registered_on": date(2015, 1, 2),
        },
    ),
    "kpp-mojokerto/property-tax": (
        {
            "kdPropinsi": "35", "kdDati2": "76", "kdKecamatan": "020", "kdKelurahan": "001", "kdBlok": "001",
            "noUrut": "0001", "kdJnsOp": "0", "tahunPajak": "2024", "subjekPajakId": MOTHER, "nmWp": "SITI CONTOH",
            "totalLuasBumi": 100.5, "totalLuasBng": 75.25, "njopBumi": 50_000_000, "njopBng": 75_000_000,
            "pbbTerutang": 125_000, "tanggalBayar": None, "statusBayar": "BELUM LUNAS",
        },
        {
            "property_tax_number": "357602000100100010", "tax_year": 2024, "nik": MOTHER,
            "taxpayer_name": "SITI CONTOH", "land_area_m2": Decimal("100.500000"),
            "building_area_m2": Decimal("75.250000"), "land_value_idr": 50_000_000,
            "building_value_idr": 75_000_000, "tax_due_idr": 125_000, "paid_on": None, "standing": "unpaid",
        },
    ),
    "dpmptsp-mojokerto/businesses": (
        {
            "nib": "9120000000019", "jns_identitas_penanggung_jwb": "01", "no_identitas_penanggung_jwb": MOTHER,
            "nama_penanggung_jwb": "SITI CONTOH", "npwp_perseroan": "021832415000000",
            "nama_perseroan": "WARUNG CONTOH", "jenis_pelaku_usaha": "02", "flag_umk": "Y", "skala_usaha": "01",
            "kbli": "56101", "skala_resiko": "R", "perseroan_daerah_id": "3576021001", "status_nib": "01",
            "tgl_terbit_nib": "2024-07-01",
        },
        {
            "nib": "9120000000019", "owner_nik": MOTHER, "owner_name": "SITI CONTOH", "npwp": "021832415000000",
            "name": "WARUNG CONTOH", "kind": "individual", "is_micro_or_small": True, "scale": "micro",
            "kbli": "56101", "risk": "low", "region_code": "35.76.02.1001", "status": "active",
            "issued_on": date(2024, 7, 1),
        },
    ),
    "dpmptsp-mojokerto/licenses": (
        {
            "id_izin": "I-202407010000000000001", "nib": "9120000000019", "no_identitas_penanggung_jwb": MOTHER,
            "kd_izin": "029000000001", "jenis_izin": "02", "kbli": "56101", "kewenangan": "02", "kd_status": "20",
            "tgl_status": datetime(2024, 7, 2, 9), "tgl_terbit": date(2024, 7, 1), "tgl_berlaku_sd": date(2029, 7, 1),
        },
        {
            "license_id": "I-202407010000000000001", "nib": "9120000000019", "owner_nik": MOTHER,
            "license_code": "029000000001", "kind": "license", "kbli": "56101", "authority": "city",
            "status": "in_process", "status_at": datetime(2024, 7, 2, 2, tzinfo=UTC),
            "issued_on": date(2024, 7, 1), "valid_until": date(2029, 7, 1),
        },
    ),
    "dinkes-mojokerto/patients": (
        {
            "ihs_number": "P00000000017", "nik": MOTHER, "nik_ibu": None, "name": "SITI C", "gender": "female",
            "birth_date": "1990-05-15", "deceased": False, "active": True,
            "last_updated": "2024-07-01T09:00:00.123+07:00",
        },
        {
            "ihs_number": "P00000000017", "nik": MOTHER, "mother_nik": None, "name": "SITI C", "sex": "female",
            "birth_date": date(1990, 5, 15), "is_deceased": False, "is_active": True,
            "updated_at": datetime(2024, 7, 1, 2, 0, 0, 123_000, tzinfo=UTC),
        },
    ),
    "dinkes-mojokerto/coverage": (
        {
            "id": "c0ffee-1", "subscriber_id": "0000000000017", "nik": MOTHER, "ihs_number": "P00000000017",
            "status": "active", "segment": "PBI", "class_of_care": "3", "period_start": "2014-01-01",
            "period_end": None, "last_updated": "2024-07-01T02:00:00Z",
        },
        {
            "coverage_id": "c0ffee-1", "bpjs_number": "0000000000017", "nik": MOTHER, "ihs_number": "P00000000017",
            "status": "active", "segment": "PBI", "class_of_care": 3, "period_start": date(2014, 1, 1),
            "period_end": None, "updated_at": datetime(2024, 7, 1, 2, tzinfo=UTC),
        },
    ),
    "dinkes-mojokerto/immunizations": (
        {
            "id": "d05e-1", "nik": "3576021505240001", "ihs_number": "P00000000018", "vaccine_code": "102",
            "vaccine_name": "DPT-HB-Hib", "status": "completed", "occurred": "2024-07-20T08:30:00+07:00",
            "dose_number": 1, "reason": "IM-Dasar", "lot_number": "AB-12", "last_updated": "2024-07-20T02:00:00Z",
        },
        {
            "immunization_id": "d05e-1", "nik": "3576021505240001", "ihs_number": "P00000000018",
            "vaccine_code": "102", "vaccine_name": "DPT-HB-Hib", "status": "completed",
            "occurred_on": date(2024, 7, 20), "dose_number": 1, "reason": "IM-Dasar", "lot_number": "AB-12",
            "updated_at": datetime(2024, 7, 20, 2, tzinfo=UTC),
        },
    ),
}  # fmt: skip


def mapped(dataset, *changes):
    rows = [ROWS[dataset][0] | change for change in changes or ({},)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return compile_mapping(CONTRACTS.get(dataset)).apply(pl.DataFrame(columns, strict=False))


@pytest.mark.parametrize("dataset", ROWS)
def test_a_row_of_every_register_becomes_a_record_without_the_slow_judge(dataset):
    found = mapped(dataset)
    assert found.rejected == ()
    assert found.accepted.row(0, named=True) == ROWS[dataset][1]
    assert found.judged == 0
    assert found.warnings == {}


@pytest.mark.parametrize("dataset", ROWS)
def test_a_contract_maps_every_field_of_its_record_type(dataset):
    contract = CONTRACTS.get(dataset)
    assert set(contract.fields) == set(contract.record_type.column_names)
    assert contract.subject_field == contract.record_type.subject_identifier


def reasons(dataset, **change):
    (rejection,) = mapped(dataset, change).rejected
    return {error.field: error.rule for error in rejection.errors}


BUSINESSES, LICENSES = "dpmptsp-mojokerto/businesses", "dpmptsp-mojokerto/licenses"


def test_oss_sends_the_tax_number_in_both_lengths_and_each_stays_as_it_was_sent():
    both = mapped(
        BUSINESSES,
        {},
        {"npwp_perseroan": "0021832415000000"},
        {"npwp_perseroan": NIK},
        {"npwp_perseroan": ""},
    )
    assert both.accepted["npwp"].to_list() == ["021832415000000", "0021832415000000", NIK, None]
    assert both.judged == 0


def test_a_passport_in_the_column_of_the_owners_number_is_no_damaged_nik():
    passport = {"jns_identitas_penanggung_jwb": "02", "no_identitas_penanggung_jwb": "X1234567"}
    assert mapped(BUSINESSES, passport).accepted["owner_nik"].to_list() == [None]
    swapped = {"jns_identitas_penanggung_jwb": "01", "no_identitas_penanggung_jwb": "X1234567"}
    assert reasons(BUSINESSES, **swapped) == {"owner_nik": "not-digits"}
    assert mapped(LICENSES, {"no_identitas_penanggung_jwb": "X1234567"}).accepted["owner_nik"].to_list() == [
        None
    ]


def test_a_number_that_a_spreadsheet_damaged_is_quarantined_wherever_it_stands():
    damaged = "3.57602150590000E+15"
    assert reasons(BUSINESSES, no_identitas_penanggung_jwb=damaged) == {"owner_nik": "digits-lost"}
    assert reasons(LICENSES, no_identitas_penanggung_jwb=damaged) == {"owner_nik": "digits-lost"}
    assert reasons(LICENSES, no_identitas_penanggung_jwb=3576021505900001) == {"owner_nik": "numeric-cell"}
    assert reasons("kpp-mojokerto/property-tax", subjekPajakId=damaged) == {"nik": "digits-lost"}
    assert reasons("kpp-mojokerto/taxpayers", npwp16=damaged, nitku=None) == {
        "npwp": "digits-lost",
        "nik": "digits-lost",
    }
    assert reasons(LICENSES, nib=9120000000019) == {"nib": "text-expected"}


def test_codes_that_lost_their_zero_in_a_spreadsheet_are_brought_back_where_the_contract_says_so():
    numbers = {"jenis_izin": 2, "kewenangan": 2, "kd_status": 50, "kbli": 1111}
    (record,) = mapped(LICENSES, numbers).accepted.rows(named=True)
    assert (record["kind"], record["authority"], record["status"], record["kbli"]) == (
        "license", "city", "approved", "01111",
    )  # fmt: skip
    assert mapped(BUSINESSES, {"kbli": "1111", "skala_usaha": "1"}).accepted["kbli"].to_list() == ["01111"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("05", "in_process"), ("41", "in_process"), ("50", "approved"), ("57", "approved"), ("52", "issued_temporarily"),
     ("60", "warned"), ("70", "suspended"), ("80", "fined"), ("90", "refused"), ("93", "refused")],
)  # fmt: skip
def test_every_status_of_oss_has_a_meaning(code, status):
    assert mapped(LICENSES, {"kd_status": code}).accepted["status"].to_list() == [status]


def test_a_status_that_oss_added_is_quarantined_and_named():
    assert reasons(LICENSES, kd_status="99") == {"status": "unknown-code"}
    assert reasons(BUSINESSES, status_nib="07", skala_resiko="XX") == {
        "status": "unknown-code",
        "risk": "unknown-code",
    }


def test_a_moment_of_oss_is_jakartas_and_one_that_was_cut_to_eighteen_characters_is_no_moment():
    written = mapped(LICENSES, {"tgl_status": "2024-07-02 09:00:00"})
    assert written.accepted["status_at"].to_list() == [datetime(2024, 7, 2, 2, tzinfo=UTC)]
    assert written.judged == 0
    assert reasons(LICENSES, tgl_status="2024-07-02 09:00:0") == {"status_at": "moment-expected"}


def test_a_newborns_record_never_stands_under_the_mothers_number():
    patients = "dinkes-mojokerto/patients"
    newborn = mapped(patients, {"nik": None, "nik_ibu": MOTHER, "gender": "unknown"})
    (record,) = newborn.accepted.rows(named=True)
    assert (record["nik"], record["mother_nik"], record["sex"]) == (None, MOTHER, None)
    both = mapped(patients, {"nik": MOTHER, "nik_ibu": MOTHER})
    assert both.warnings == {"mothers-number": 1}
    assert CONTRACTS.get(patients).subject_field == "nik"


def test_a_card_number_without_its_zeros_is_nobodys():
    assert reasons("dinkes-mojokerto/coverage", subscriber_id="17") == {"bpjs_number": "length"}
    assert reasons("dinkes-mojokerto/coverage", subscriber_id=17) == {"bpjs_number": "text-expected"}


def test_money_is_whole_rupiah_and_never_guessed():
    tax = "kpp-mojokerto/property-tax"
    assert mapped(tax, {"pbbTerutang": "125000"}).accepted["tax_due_idr"].to_list() == [125_000]
    for cell in ("125.000", "Rp125000", "125000,00", "-1", 125_000.5):
        assert set(reasons(tax, pbbTerutang=cell)) == {"tax_due_idr"}


def test_a_property_keeps_three_digits_for_its_district():
    tax = "kpp-mojokerto/property-tax"
    assert mapped(tax, {"kdKecamatan": "20"}).accepted["property_tax_number"].to_list() == [
        "357602000100100010"
    ]
    assert reasons(tax, kdKecamatan=20) == {"property_tax_number": "numeric-cell"}


@pytest.mark.parametrize("dataset", ["dukcapil-mojokerto/births", "dukcapil-mojokerto/deaths"])
def test_the_registrys_feed_only_grows_and_its_highest_event_holds(dataset):
    contract = CONTRACTS.get(dataset)
    assert contract.snapshot is Snapshot.INCREMENTAL
    assert contract.source_key == ("deed_number",)
    assert contract.latest_by == "event_number"
    assert contract.cursor == "last_sync"
    assert contract.server.config["changed_at"] == contract.cursor
    assert contract.validity.from_field is None


def test_absence_means_no_only_where_the_agency_has_the_whole():
    closed = {contract.id for contract in CONTRACTS if contract.closed_world}
    assert {each.id for each in CONTRACTS} - closed == {
        "dukcapil-mojokerto/births", "kpp-mojokerto/tax-standing", "kpp-mojokerto/property-tax",
        "dinkes-mojokerto/patients", "dinkes-mojokerto/immunizations",
    }  # fmt: skip


def test_a_column_that_oss_renamed_by_a_space_is_named_with_what_it_is_called_now():
    page = pl.DataFrame([ROWS[BUSINESSES][0]]).rename({"kbli": "kbli "})
    with pytest.raises(ColumnsChanged) as caught:
        compile_mapping(CONTRACTS.get(BUSINESSES)).apply(page)
    assert caught.value.attributes["suggestions"] == {"kbli": "kbli "}
    assert caught.value.location.file == f"{BUSINESSES}.odcs.yaml"
    assert caught.value.location.line


def test_fields_that_oss_added_are_left_alone():
    page = pl.DataFrame([ROWS[BUSINESSES][0] | {"tipe_dokumen ": "", "id_proyek": "R-202407010000000000001"}])
    assert compile_mapping(CONTRACTS.get(BUSINESSES)).apply(page).accepted.height == 1
