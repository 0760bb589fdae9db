"""The columns of every register, under the names that the offices give them (see each office's module)."""

from __future__ import annotations

import polars as pl

Columns = dict[str, pl.DataType]

_TEXT, _DAY, _SMALL = pl.String(), pl.Date(), pl.Int16()
_MOMENT = pl.Datetime("us", "UTC")
#: Kemendagri's numbers of a place, as SIAK keeps them.
_DISTRICT: Columns = {"no_prop": _SMALL, "no_kab": _SMALL, "no_kec": _SMALL}
_PLACE: Columns = {**_DISTRICT, "no_kel": pl.Int32()}

# The civil registry (SIAK).

PERSON_COLUMNS: Columns = {
    "nik": _TEXT,
    "no_kk": _TEXT,
    "nama_lgkp": _TEXT,
    "tmpt_lhr": _TEXT,
    "tgl_lhr": _DAY,
    "jenis_klmin": _SMALL,
    "stat_kwn": _SMALL,
    "stat_hbkel": _SMALL,
    "nik_ibu": _TEXT,
    "nik_ayah": _TEXT,
    "alamat": _TEXT,
    "no_rt": _TEXT,
    "no_rw": _TEXT,
    **_PLACE,
    "last_sync": _MOMENT,
}
FAMILY_COLUMNS: Columns = {
    "no_kk": _TEXT,
    "nik_kepala": _TEXT,
    "nama_kep": _TEXT,
    "alamat": _TEXT,
    "no_rt": _TEXT,
    "no_rw": _TEXT,
    **_PLACE,
    "jumlah_anggota": _SMALL,
    "tgl_terbit": _DAY,
    "last_sync": _MOMENT,
}
BIRTH_COLUMNS: Columns = {
    "nomor": pl.Int64(),
    "no_akta": _TEXT,
    "nik": _TEXT,
    "nama_lgkp": _TEXT,
    "tgl_lhr": _DAY,
    "tmpt_lhr": _TEXT,
    "jenis_klmin": _SMALL,
    "nik_ibu": _TEXT,
    "nik_ayah": _TEXT,
    "tgl_daftar": _DAY,
    **_DISTRICT,
    "last_sync": _MOMENT,
}
DEATH_COLUMNS: Columns = {
    "nomor": pl.Int64(),
    "no_akta": _TEXT,
    "nik": _TEXT,
    "tgl_mati": _DAY,
    "tgl_lapor": _DAY,
    **_DISTRICT,
    "last_sync": _MOMENT,
}
MOVE_COLUMNS: Columns = {
    "nomor": pl.Int64(),
    "no_pindah": _TEXT,
    "nik": _TEXT,
    "tgl_pindah": _DAY,
    "asal_prop": _SMALL,
    "asal_kab": _SMALL,
    "asal_kec": _SMALL,
    **_DISTRICT,
    "last_sync": _MOMENT,
}

# The tax office. `diubah` is when a row last changed; `nomor_sebagai_angka` whether the office sends the
# number as a JSON number, an old error of its own.

TAX_COLUMNS: Columns = {
    "nama_wp": _TEXT,
    "npwp": _TEXT,
    "npwp16": _TEXT,
    "tahun_kswp": _TEXT,
    "status_kswp": _TEXT,
    "alasan": _TEXT,
    "tanggal_terbit": _TEXT,
    "diubah": _MOMENT,
    "nomor_sebagai_angka": pl.Boolean(),
}
TAXPAYER_COLUMNS: Columns = {
    "npwp16": _TEXT,
    "npwp": _TEXT,
    "nitku": _TEXT,
    "nama_wp": _TEXT,
    "jenis_wp": _TEXT,
    "status_wp": _TEXT,
    "kpp": _TEXT,
    "tanggal_daftar": _TEXT,
    "diubah": _MOMENT,
}
PROPERTY_TAX_COLUMNS: Columns = {
    "kdPropinsi": _TEXT,
    "kdDati2": _TEXT,
    "kdKecamatan": _TEXT,
    "kdKelurahan": _TEXT,
    "kdBlok": _TEXT,
    "noUrut": _TEXT,
    "kdJnsOp": _TEXT,
    "tahunPajak": _TEXT,
    "subjekPajakId": _TEXT,
    "nmWp": _TEXT,
    "totalLuasBumi": pl.Float64(),
    "totalLuasBng": pl.Float64(),
    "njopBumi": pl.Int64(),
    "njopBng": pl.Int64(),
    "pbbTerutang": pl.Int64(),
    "tanggalBayar": _TEXT,
    "statusBayar": _TEXT,
    "diubah": _MOMENT,
}

# The licensing office (OSS). Businesses leave as CSV, so all of it is text; licences as XLSX with real dates,
# in the local time of Mojokerto.

BUSINESS_COLUMNS: Columns = dict.fromkeys(
    (
        "nib", "jns_identitas_penanggung_jwb", "no_identitas_penanggung_jwb", "nama_penanggung_jwb",
        "npwp_perseroan", "nama_perseroan", "jenis_pelaku_usaha", "flag_umk", "skala_usaha", "kbli",
        "skala_resiko", "perseroan_daerah_id", "status_nib", "tgl_terbit_nib",
    ),
    _TEXT,
)  # fmt: skip
LICENSE_COLUMNS: Columns = {
    "id_izin": _TEXT,
    "nib": _TEXT,
    "no_identitas_penanggung_jwb": _TEXT,
    "kd_izin": _TEXT,
    "jenis_izin": _TEXT,
    "kbli": _TEXT,
    "kewenangan": _TEXT,
    "kd_status": _TEXT,
    "tgl_status": pl.Datetime("us"),
    "tgl_terbit": _DAY,
    "tgl_berlaku_sd": _DAY,
}

# The health office (SATUSEHAT): one row a FHIR resource, flat; days as FHIR writes them.

PATIENT_COLUMNS: Columns = {
    "ihs_number": _TEXT,
    "nik": _TEXT,
    "nik_ibu": _TEXT,
    "name": _TEXT,
    "gender": _TEXT,
    "birth_date": _TEXT,
    "deceased": pl.Boolean(),
    "active": pl.Boolean(),
    "last_updated": _MOMENT,
}
COVERAGE_COLUMNS: Columns = {
    "id": _TEXT,
    "subscriber_id": _TEXT,
    "nik": _TEXT,
    "ihs_number": _TEXT,
    "status": _TEXT,
    "segment": _TEXT,
    "class_of_care": _TEXT,
    "period_start": _TEXT,
    "period_end": _TEXT,
    "last_updated": _MOMENT,
}
IMMUNIZATION_COLUMNS: Columns = {
    "id": _TEXT,
    "nik": _TEXT,
    "ihs_number": _TEXT,
    "vaccine_code": _TEXT,
    "vaccine_name": _TEXT,
    "status": _TEXT,
    "occurred": _TEXT,
    "dose_number": pl.Int16(),
    "reason": _TEXT,
    "lot_number": _TEXT,
    "last_updated": _MOMENT,
}

#: Every table of a population, by the name under which `Tables` and `Population` hold it.
TABLES: dict[str, Columns] = {
    "persons": PERSON_COLUMNS,
    "families": FAMILY_COLUMNS,
    "births": BIRTH_COLUMNS,
    "deaths": DEATH_COLUMNS,
    "moves": MOVE_COLUMNS,
    "taxpayers": TAXPAYER_COLUMNS,
    "tax": TAX_COLUMNS,
    "property_tax": PROPERTY_TAX_COLUMNS,
    "businesses": BUSINESS_COLUMNS,
    "licenses": LICENSE_COLUMNS,
    "patients": PATIENT_COLUMNS,
    "coverage": COVERAGE_COLUMNS,
    "immunizations": IMMUNIZATION_COLUMNS,
}


def shaped(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The frame with exactly these columns, in their order and of their types."""
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


def rows(columns: Columns, values: list[dict[str, object]]) -> pl.DataFrame:
    """A frame of some rows; a column that a row leaves out is null in it."""
    return pl.DataFrame(
        {
            name: pl.Series(name, [row.get(name) for row in values], dtype=kind)
            for name, kind in columns.items()
        }
    )
