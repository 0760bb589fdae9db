"""The regions of Indonesia as the two systems number them, and the divisions that changed the codes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache


class RegionSystem(StrEnum):
    """Who gave the code. The same digits mean different provinces in the two systems."""

    KEMENDAGRI = "kemendagri"
    BPS = "bps"


@dataclass(frozen=True, slots=True)
class Province:
    """What a province code of one system meant in a span of time; ``until`` is the first day it did not."""

    system: RegionSystem
    code: str
    name: str
    since: date | None = None
    until: date | None = None

    def in_force(self, on: date) -> bool:
        """Whether the code had this meaning on that day."""
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)


# Days of enactment: UU 20/2012; UU 14, 15 and 16/2022; UU 29/2022. BPS renumbered Papua afterwards.
_NORTH_KALIMANTAN = date(2012, 11, 16)
_PAPUA_DIVISION = date(2022, 7, 25)
_SOUTHWEST_PAPUA = date(2022, 12, 8)

_UNDISPUTED = {
    "11": "Aceh", "12": "Sumatera Utara", "13": "Sumatera Barat", "14": "Riau", "15": "Jambi",
    "16": "Sumatera Selatan", "17": "Bengkulu", "18": "Lampung", "19": "Kepulauan Bangka Belitung",
    "21": "Kepulauan Riau", "31": "DKI Jakarta", "32": "Jawa Barat", "33": "Jawa Tengah",
    "34": "DI Yogyakarta", "35": "Jawa Timur", "36": "Banten", "51": "Bali", "52": "Nusa Tenggara Barat",
    "53": "Nusa Tenggara Timur", "61": "Kalimantan Barat", "62": "Kalimantan Tengah",
    "63": "Kalimantan Selatan", "64": "Kalimantan Timur", "71": "Sulawesi Utara", "72": "Sulawesi Tengah",
    "73": "Sulawesi Selatan", "74": "Sulawesi Tenggara", "75": "Gorontalo", "76": "Sulawesi Barat",
    "81": "Maluku", "82": "Maluku Utara",
}  # fmt: skip

_K, _B = RegionSystem.KEMENDAGRI, RegionSystem.BPS
PROVINCES: tuple[Province, ...] = (
    *(Province(system, code, name) for system in RegionSystem for code, name in _UNDISPUTED.items()),
    Province(_K, "65", "Kalimantan Utara", since=_NORTH_KALIMANTAN),
    Province(_B, "65", "Kalimantan Utara", since=_NORTH_KALIMANTAN),
    Province(_K, "91", "Papua"),
    Province(_K, "92", "Papua Barat"),
    Province(_K, "93", "Papua Selatan", since=_PAPUA_DIVISION),
    Province(_K, "94", "Papua Tengah", since=_PAPUA_DIVISION),
    Province(_K, "95", "Papua Pegunungan", since=_PAPUA_DIVISION),
    Province(_K, "96", "Papua Barat Daya", since=_SOUTHWEST_PAPUA),
    Province(_B, "91", "Papua Barat"),
    Province(_B, "94", "Papua"),
    Province(_B, "92", "Papua Barat Daya", since=_SOUTHWEST_PAPUA),
    Province(_B, "95", "Papua Selatan", since=_PAPUA_DIVISION),
    Province(_B, "96", "Papua Tengah", since=_PAPUA_DIVISION),
    Province(_B, "97", "Papua Pegunungan", since=_PAPUA_DIVISION),
)

# Below the province the two systems number differently in places (64.02 is Kutai Kartanegara for
# Kemendagri, Kutai Barat for BPS), so only regencies that were compared one by one may cross.
SAME_REGENCY = {"35.76": "3576", "35.16": "3516", "64.11": "6411"}

# Provinces whose districts moved to new province codes in 2022; old codes stay in identifiers for life.
DIVIDED_IN_2022 = frozenset({"91", "92"})

PROVINCE_CODES = {
    system: frozenset(province.code for province in PROVINCES if province.system is system)
    for system in RegionSystem
}


def province(system: RegionSystem, code: str, on: date | None = None) -> Province | None:
    """The meaning of a province code, today's unless a day is given."""
    candidates = [entry for entry in PROVINCES if (entry.system, entry.code) == (system, code)]
    if on is not None:
        candidates = [entry for entry in candidates if entry.in_force(on)]
    return candidates[0] if candidates else None


def province_code_elsewhere(system: RegionSystem, code: str, target: RegionSystem) -> str | None:
    """The code which ``target`` gives to the province that ``system`` calls ``code``."""
    here = province(system, code)
    if here is None:
        return None
    return next(
        (entry.code for entry in PROVINCES if entry.system is target and entry.name == here.name),
        None,
    )


@cache
def known_regions() -> frozenset[str]:
    """Dotted Kemendagri codes in force down to the district (Kepmendagri 300.2.2-2138/2025)."""
    from lokal import wilayah

    codes = set()
    for entry in wilayah.list_wilayah():
        codes.add(entry.code)
        for regency in wilayah.list_wilayah(entry.code):
            codes.add(regency.code)
            codes.update(district.code for district in wilayah.list_wilayah(regency.code))
    return frozenset(codes)


def region_name(code: str) -> str | None:
    """The official name of a dotted Kemendagri code in force, villages included."""
    from lokal import wilayah

    return wilayah.wilayah_name(code)
