"""Identifiers parse, normalise, explain themselves, keep leading zeros and never show themselves."""

import copy
import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import IdentifierInvalid
from schemas.identifiers import (
    IDENTIFIERS,
    FamilyCardNumber,
    IdentifierStatus,
    Nik,
    Npwp,
    NpwpForm,
    RegionCode,
    RegionLevel,
    RegionSystem,
)
from schemas.identifiers.npwp import luhn_holds
from schemas.identifiers.regions import PROVINCE_CODES, PROVINCES, known_regions

VALID, WARNING, INVALID = IdentifierStatus
PROVINCE = st.sampled_from(sorted(PROVINCE_CODES[RegionSystem.KEMENDAGRI]))
REGENCY = st.one_of(st.integers(1, 69), st.integers(71, 99)).map("{:02}".format)
DISTRICT = st.integers(0, 99).map("{:02}".format)
SERIAL = st.integers(1, 9999).map("{:04}".format)
BIRTH = st.dates(date(1900, 1, 1), date(2099, 12, 31))


@st.composite
def niks(draw):
    birth = draw(BIRTH)
    woman = draw(st.booleans())
    day = f"{birth.day + 40 * woman:02}{birth:%m%y}"
    return draw(PROVINCE) + draw(REGENCY) + draw(DISTRICT) + day + draw(SERIAL), birth, woman


@st.composite
def old_npwps(draw):
    eight = draw(st.integers(0, 10**8 - 1).map("{:08}".format))
    check = next(digit for digit in "0123456789" if luhn_holds(eight + digit))
    return eight + check + draw(st.integers(1, 10**6 - 1).map("{:06}".format))


@given(niks())
def test_every_nik_made_by_the_rules_is_read_back_by_them(made):
    text, birth, woman = made
    nik = Nik.parse(text)
    assert nik.value == text
    assert nik.sex == ("female" if woman else "male")
    assert birth in nik.birth_dates
    assert nik.birth_date(birth.year // 100) == birth
    assert nik.agrees_with(birth)
    district = "" if text[4:6] == "00" else f".{text[4:6]}"
    assert nik.region.value == f"{text[:2]}.{text[2:4]}{district}"
    assert nik.serial == text[12:]


@given(niks(), st.sampled_from([".", "-", " "]), st.integers(1, 5))
def test_grouping_and_surrounding_space_do_not_change_an_identifier(made, separator, size):
    text = made[0]
    grouped = separator.join(text[at : at + size] for at in range(0, 16, size))
    assert Nik.parse(f" {grouped}\n") == Nik.parse(text)


@given(st.text(max_size=40) | st.text("0123456789.-", max_size=20))
def test_no_text_makes_a_check_raise_and_whatever_is_accepted_is_stable(text):
    for identifier in IDENTIFIERS.values():
        check = identifier.check(text)
        assert (check.normalised is None) == (check.status is INVALID)
        if check.normalised is None:
            assert check.messages
            assert check.rule
            assert check.remedy
            with pytest.raises(IdentifierInvalid):
                identifier.parse(text)
        else:
            assert check.normalised.isascii()
            assert identifier.parse(check.normalised).value == check.normalised


@given(niks())
def test_neither_text_nor_repr_nor_format_nor_error_shows_an_identifier(made):
    text = made[0]
    for shown in (
        str(Nik(text)),
        repr(Nik(text)),
        f"{Nik(text)}",
        f"{Nik(text)!s:>20}",
        repr(Nik.check(text)),
    ):
        assert text not in shown
        assert text[6:12] not in shown.replace(text[:4], "", 1)
    broken = text[:12] + "0000"
    with pytest.raises(IdentifierInvalid) as caught:
        Nik.parse(broken)
    assert broken not in str(caught.value) + repr(caught.value) + str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("3576021505900001", VALID),
        ("6411051707880002", VALID),
        ("6501011505900001", VALID),
        ("9301011505900001", VALID),
        ("3576022902000001", VALID),
        ("3576.0215.0590.0001", VALID),
        ("3576991505900001", WARNING),
        ("9150991505900001", WARNING),
        ("3576028105900001", INVALID),
        ("3576027205900001", INVALID),
        ("3576024005900001", INVALID),
        ("3576020005900001", INVALID),
        ("3576023102900001", INVALID),
        ("3576022902010001", INVALID),
        ("3576021513900001", INVALID),
        ("3576021505900000", INVALID),
        ("3570021505900001", INVALID),
        ("3500021505900001", INVALID),
        ("9701011505900001", INVALID),
        ("357602150590001", INVALID),
        ("35760215059000011", INVALID),
        ("3.57602150590000E+15", INVALID),
        ("3576021505900001.0", INVALID),
        ("-3576021505900001", INVALID),
        ("٣٥٧٦٠٢١٥٠٥٩٠٠٠٠١", INVALID),
        ("３５７６０２１５０５９００００１", INVALID),
        ("3576021505900001\x00", INVALID),
        ("", INVALID),
        ("9" * 100_000, INVALID),
    ],
)
def test_a_nik_is_judged_by_its_rules(text, status):
    assert Nik.check(text).status is status


@pytest.mark.parametrize("cell", [3576021505900001, 3576021505900001.0, None, b"3576021505900001", True])
def test_only_text_can_be_an_identifier(cell):
    for identifier in IDENTIFIERS.values():
        assert identifier.check(cell).rule == "text-expected"


def test_the_century_of_a_nik_comes_from_elsewhere():
    nik = Nik("3576021505050001")
    assert nik.birth_dates == (date(1905, 5, 15), date(2005, 5, 15))
    assert nik.birth_date() is None
    assert nik.birth_date(20) == date(2005, 5, 15)
    assert Nik("3576022902000001").birth_dates == (date(2000, 2, 29),)
    assert Nik("3576022902000001").birth_date() == date(2000, 2, 29)


def test_digits_lost_in_a_spreadsheet_are_explained_and_not_repaired():
    check = Nik.check("3.57602150590000E+15")
    assert check.rule == "digits-lost"
    assert "lost" in check.messages[0]


def test_a_family_card_carries_no_day_plus_forty():
    assert FamilyCardNumber("3576020102120005").issue_dates == (date(1912, 2, 1), date(2012, 2, 1))
    check = FamilyCardNumber.check("3576024102120005")
    assert check.status is INVALID
    assert "NIK" in check.messages[0]


@given(old_npwps())
def test_only_the_check_digit_of_nine_makes_an_old_npwp(fifteen):
    npwp = Npwp.parse(fifteen)
    assert npwp.form is NpwpForm.FIFTEEN
    assert Npwp.parse(npwp.punctuated) == npwp
    for digit in "0123456789":
        other = fifteen[:8] + digit + fifteen[9:]
        assert (Npwp.check(other).status is INVALID) == (other != fifteen)


@given(old_npwps())
def test_an_organisations_number_converts_both_ways_and_keeps_its_form(fifteen):
    sixteen = Npwp(fifteen).organisation_sixteen()
    assert sixteen.value == "0" + fifteen
    assert sixteen.form is NpwpForm.ORGANISATION
    assert sixteen.fifteen() == Npwp(fifteen)
    assert sixteen.nik is None
    assert sixteen != Npwp(fifteen)


@given(niks())
def test_an_individuals_npwp_is_the_nik_and_never_converts(made):
    npwp = Npwp.parse(made[0])
    assert npwp.form is NpwpForm.NIK
    assert npwp.nik == Nik(made[0])
    with pytest.raises(IdentifierInvalid):
        npwp.fifteen()
    with pytest.raises(IdentifierInvalid):
        npwp.organisation_sixteen()


@pytest.mark.parametrize(
    ("text", "status", "form"),
    [
        ("02.183.241.5-000.000", VALID, NpwpForm.FIFTEEN),
        ("013121660091000", VALID, NpwpForm.FIFTEEN),
        ("0021832415000000", VALID, NpwpForm.ORGANISATION),
        ("3576021505900001", VALID, NpwpForm.NIK),
        ("1000000012345678", WARNING, NpwpForm.UNVERIFIED),
        ("01.234.567.8-901.234", INVALID, None),
        ("0000000000000000", INVALID, None),
        ("000000000000000", INVALID, None),
        ("3576028105900001", INVALID, None),
        ("21832415000000", INVALID, None),
    ],
)
def test_an_npwp_is_judged_by_its_form(text, status, form):
    assert Npwp.check(text).status is status
    if form:
        assert Npwp(text).form is form


def test_the_same_digits_name_different_provinces_in_the_two_systems():
    kemendagri, bps = RegionCode("91"), RegionCode("91", RegionSystem.BPS)
    assert (kemendagri.name, bps.name) == ("Papua", "Papua Barat")
    assert kemendagri != bps
    assert kemendagri.to(RegionSystem.BPS) == RegionCode("94", RegionSystem.BPS)
    assert bps.to(RegionSystem.KEMENDAGRI) == RegionCode("92")
    assert RegionCode("94").name == "Papua Tengah"
    assert RegionCode("97", RegionSystem.BPS).name == "Papua Pegunungan"
    assert RegionCode.check("97").status is INVALID
    assert RegionCode.check("93", RegionSystem.BPS).status is INVALID


@pytest.mark.parametrize("system", RegionSystem)
def test_every_province_crosses_to_the_other_system_and_back(system):
    other = next(each for each in RegionSystem if each is not system)
    codes = PROVINCE_CODES[system]
    assert len(codes) == 38
    for code in codes:
        region = RegionCode(code, system)
        crossed = region.to(other)
        assert crossed is not None
        assert crossed.name == region.name
        assert crossed.to(system) == region


def test_a_province_code_has_its_meaning_only_in_its_time():
    assert not RegionCode("93").in_force(date(2022, 7, 24))
    assert RegionCode("93").in_force(date(2022, 7, 25))
    assert not RegionCode("96").in_force(date(2022, 12, 7))
    assert not RegionCode("92", RegionSystem.BPS).in_force(date(2020, 1, 1))
    assert all(
        entry.since or entry.code not in "93 94 95 96" for entry in PROVINCES if entry.system == "kemendagri"
    )


def test_a_region_knows_its_place():
    village = RegionCode("3576021001")
    assert village.value == "35.76.02.1001"
    assert village.level is RegionLevel.VILLAGE
    assert [village.parent.value, village.parent.parent.value] == ["35.76.02", "35.76"]
    assert village.parent.name == "Magersari"
    assert village.parent.parent.name == "Kota Mojokerto"
    assert village.province.name == "Jawa Timur"
    assert village.province.parent is None
    assert RegionCode("3576020", RegionSystem.BPS).parent == RegionCode("3576", RegionSystem.BPS)


def test_regencies_cross_only_where_they_were_compared():
    assert RegionCode("35.76").to(RegionSystem.BPS) == RegionCode("3576", RegionSystem.BPS)
    assert RegionCode("3516", RegionSystem.BPS).to(RegionSystem.KEMENDAGRI) == RegionCode("35.16")
    assert RegionCode("64.02").to(RegionSystem.BPS) is None
    assert RegionCode("35.76.02").to(RegionSystem.BPS) is None


def test_a_code_that_is_not_in_force_is_a_warning():
    assert RegionCode.check("35.76.02").status is VALID
    assert RegionCode.check("35.76.55").status is WARNING
    assert RegionCode.check("35.70").status is INVALID
    assert RegionCode.check("35.76.00").status is INVALID
    assert RegionCode.check("99").status is INVALID


def test_the_regions_in_force_are_complete():
    levels = [code.count(".") for code in known_regions()]
    assert (levels.count(0), levels.count(1), levels.count(2)) == (38, 514, 7285)


class _Holder(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    nik: Nik
    region: RegionCode | None = None


def test_pydantic_parses_identifiers_explains_them_and_writes_them_out():
    holder = _Holder(nik="3576.0215.0590.0001", region="357602")
    assert holder.model_dump(mode="json") == {"nik": "3576021505900001", "region": "35.76.02"}
    assert _Holder(nik=holder.nik).nik is holder.nik
    assert "3576021505900001" not in repr(holder)
    assert _Holder.model_json_schema()["properties"]["nik"]["maxLength"] == 16
    with pytest.raises(ValidationError) as caught:
        _Holder(nik="3576028105900001")
    assert "3576028105900001" not in str(caught.value)
    assert caught.value.errors()[0]["ctx"]["rule"] == "date"


@pytest.mark.parametrize(
    "identifier", [Nik("3576021505900001"), RegionCode("91", RegionSystem.BPS), Npwp("0021832415000000")]
)
def test_identifiers_are_values(identifier):
    assert pickle.loads(pickle.dumps(identifier)) == identifier
    assert copy.deepcopy(identifier) == identifier
    assert len({identifier, copy.copy(identifier)}) == 1
    with pytest.raises(AttributeError):
        identifier._value = "x"
    assert identifier != identifier.value


def test_identifiers_of_two_kinds_are_never_equal():
    assert Nik("3576021505900001") != Npwp("3576021505900001")
    assert Nik("3576020102120005") != FamilyCardNumber("3576020102120005")
