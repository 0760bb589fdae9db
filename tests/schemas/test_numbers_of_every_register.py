"""The numbers of businesses, taxpayers, patients, deeds and phones: their rules, and the known traps."""

import copy
import pickle
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.errors import IdentifierInvalid
from schemas.identifiers import (
    IDENTIFIERS,
    BpjsNumber,
    DeedEvent,
    DeedNumber,
    DrivingLicenseNumber,
    IdentifierStatus,
    IhsNumber,
    Kbli,
    Nib,
    Nik,
    Nitku,
    Npwp,
    PassportNumber,
    PhoneNumber,
    PropertyTaxNumber,
)
from schemas.identifiers.npwp import luhn_holds

VALID, WARNING, INVALID = IdentifierStatus
DIGITS = "0123456789"
# Made up, every one; "valid" means the structure only.
CASES = [
    (Nitku, "0021832415000000000000", VALID, None),
    (Nitku, "0021832415000000000003", VALID, None),
    (Nitku, "3576021505900001000001", VALID, None),
    (Nitku, "1000000012345678000000", WARNING, None),
    (Nitku, "0021832415000000003", INVALID, "length"),
    (Nitku, "0021832425000000000003", INVALID, "check-digit"),
    (Nitku, "2.1832415E+21", INVALID, "digits-lost"),
    (Nib, "9120000000019", VALID, None),
    (Nib, "0220000000019", VALID, None),
    (Nib, "912000000001", INVALID, "length"),
    (Nib, "0000000000000", INVALID, "zeros"),
    (BpjsNumber, "0000000000017", VALID, None),
    (BpjsNumber, "17", INVALID, "length"),
    (BpjsNumber, "12345678901", INVALID, "length"),
    (BpjsNumber, "0000000000000", INVALID, "zeros"),
    (IhsNumber, "P02478375538", VALID, None),
    (IhsNumber, "p02478375538", VALID, None),
    (IhsNumber, "P0247837553", INVALID, "ihs-shape"),
    (IhsNumber, "N10000001", INVALID, "practitioner"),
    (IhsNumber, "10009880728", INVALID, "practitioner"),
    (IhsNumber, "Ｐ02478375538", INVALID, "ihs-shape"),
    (IhsNumber, "", INVALID, "empty"),
    (DrivingLicenseNumber, "900535760001", VALID, None),
    (DrivingLicenseNumber, "901335760001", INVALID, "date"),
    (DrivingLicenseNumber, "900035760001", INVALID, "date"),
    (DrivingLicenseNumber, "90053576000123", VALID, None),
    (DrivingLicenseNumber, "3576021505900001", VALID, None),
    (DrivingLicenseNumber, "9005357600012345", WARNING, None),
    (DrivingLicenseNumber, "900535760001234", WARNING, None),
    (DrivingLicenseNumber, "90053576000", INVALID, "length"),
    (DrivingLicenseNumber, "00000000000000", INVALID, "zeros"),
    (PassportNumber, "X1234567", VALID, None),
    (PassportNumber, "AB123456", VALID, None),
    (PassportNumber, "x 1234567", VALID, None),
    (PassportNumber, "12345678", INVALID, "passport-shape"),
    (PassportNumber, "ABC123456", INVALID, "passport-shape"),
    (PassportNumber, "", INVALID, "empty"),
    (DeedNumber, "3576-LU-15052012-0003", VALID, None),
    (DeedNumber, "3576-KM-01022020-0001", VALID, None),
    (DeedNumber, "3576-lt-29022012-000123", VALID, None),
    (DeedNumber, "3576-LU-29022011-0003", INVALID, "date"),
    (DeedNumber, "3576-LU-15052012-0000", INVALID, "serial"),
    (DeedNumber, "3576-LU-15052012-003", INVALID, "deed-shape"),
    (DeedNumber, "3576-XX-15052012-0003", INVALID, "deed-shape"),
    (DeedNumber, "3570-LU-15052012-0003", INVALID, "unknown-province"),
    (DeedNumber, "9976-LU-15052012-0003", INVALID, "unknown-province"),
    (DeedNumber, "AL 500.0123456", INVALID, "deed-shape"),
    (PropertyTaxNumber, "357602000100100010", VALID, None),
    (PropertyTaxNumber, "35.76.020.001.001-0001.0", VALID, None),
    (PropertyTaxNumber, "57602000100100010", INVALID, "length"),
    (PropertyTaxNumber, "997602000100100010", INVALID, "unknown-province"),
    (PropertyTaxNumber, "350002000100100010", INVALID, "regency"),
    (PropertyTaxNumber, "3.57602000100100E+17", INVALID, "digits-lost"),
    (Kbli, "56101", VALID, None),
    (Kbli, "01111", VALID, None),
    (Kbli, "1111", INVALID, "length"),
    (Kbli, "5610", INVALID, "length"),
    (Kbli, "04111", WARNING, None),
    (Kbli, "00000", INVALID, "zeros"),
    (PhoneNumber, "0812-3456-7890", VALID, None),
    (PhoneNumber, "6281234567890", VALID, None),
    (PhoneNumber, "81234567890", VALID, None),
    (PhoneNumber, "+62 812 3456 7890", VALID, None),
    (PhoneNumber, "+62 (0) 812-3456-7890", VALID, None),
    (PhoneNumber, "(0321) 321654", WARNING, None),
    (PhoneNumber, "+1 202 555 0123", VALID, None),
    (PhoneNumber, "321654", INVALID, "phone-shape"),
    (PhoneNumber, "0812", INVALID, "phone-shape"),
    (PhoneNumber, "08123456789012", INVALID, "phone-shape"),
    (PhoneNumber, "0812-3456-7890 / 0813-1111-2222", INVALID, "phone-shape"),
    (PhoneNumber, "8.1234567890E+10", INVALID, "phone-shape"),
    (PhoneNumber, "٠٨١٢٣٤٥٦٧٨٩٠", INVALID, "phone-shape"),
    (PhoneNumber, "", INVALID, "phone-shape"),
]


@pytest.mark.parametrize(
    ("identifier", "text", "status", "rule"), CASES, ids=[f"{case[0].kind}-{case[1]}" for case in CASES]
)
def test_every_number_is_judged_by_its_rules(identifier, text, status, rule):
    check = identifier.check(text)
    assert check.status is status
    if rule:
        assert check.rule == rule
        assert check.remedy
        assert not text or text not in "".join(check.messages)


def test_the_registry_of_identifiers_is_complete():
    assert set(IDENTIFIERS) == {
        "nik", "family-card", "deed", "passport", "driving-license", "phone", "npwp", "nitku", "property-tax",
        "nib", "kbli", "bpjs", "ihs", "region",
    }  # fmt: skip
    for kind, identifier in IDENTIFIERS.items():
        assert identifier.kind == kind
        assert identifier.title
        assert identifier.__doc__


def digits(count, **more):
    return st.text(DIGITS, min_size=count, max_size=count, **more)


@given(st.sampled_from([Nib, BpjsNumber]), digits(13))
def test_leading_zeros_are_part_of_a_number_of_thirteen(identifier, text):
    assume(text.strip("0"))
    assert identifier.parse(text).value == text
    shortened = text.lstrip("0")
    if shortened != text:
        assert identifier.check(shortened).rule == "length"


@given(digits(8), digits(6), digits(6))
def test_a_nitku_is_the_taxpayers_number_and_the_number_of_the_place(eight, branch, place):
    check = next(digit for digit in DIGITS if luhn_holds(eight + digit))
    assume((eight + branch).strip("0"))
    nitku = Nitku.parse(f"0{eight}{check}{branch}{place}")
    assert nitku.npwp == Npwp(f"0{eight}{check}{branch}")
    assert nitku.place == place
    assert nitku.is_seat == (place == "000000")
    for digit in DIGITS:
        other = Nitku.check(f"0{eight}{digit}{branch}{place}")
        assert (other.status is VALID) == (digit == check)


@given(
    st.sampled_from(sorted({"LT", "LU", "LD", "KW", "CR", "KM"})),
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.integers(1, 999_999),
)
def test_every_deed_made_by_the_rules_is_read_back_by_them(kind, day, serial):
    deed = DeedNumber.parse(f"3576-{kind}-{day:%d%m%Y}-{serial:04}")
    assert deed.issued_on == day
    assert deed.region.name == "Kota Mojokerto"
    expected = {"KW": DeedEvent.MARRIAGE, "CR": DeedEvent.DIVORCE, "KM": DeedEvent.DEATH}
    assert deed.event is expected.get(kind, DeedEvent.BIRTH)


@given(digits(14))
def test_a_property_keeps_its_parts_and_its_printed_form(rest):
    number = PropertyTaxNumber.parse("3576" + rest)
    parts = (
        number.province, number.regency, number.district, number.village, number.block, number.serial,
        number.object_kind,
    )  # fmt: skip
    assert "".join(parts) == number.value
    assert [len(part) for part in parts] == [2, 2, 3, 3, 3, 4, 1]
    assert PropertyTaxNumber.parse(number.punctuated) == number


def test_the_district_of_a_property_is_not_the_civil_registrys():
    assert len(PropertyTaxNumber("357602000100100010").district) == 3
    assert Nik("3576021505900001").region.value == "35.76.02"


@given(st.sampled_from(["0", "62", "+62", "+62 0", ""]), st.integers(1, 9), digits(7) | digits(10))
def test_a_mobile_number_is_the_same_however_it_is_written(prefix, second, rest):
    number = PhoneNumber.parse(f"{prefix}8{second}{rest}")
    assert number.value == f"+628{second}{rest}"
    assert number.is_mobile
    grouped = PhoneNumber.parse(f" {prefix}8{second} {rest[:3]}-{rest[3:]}\n")
    assert grouped == number


def test_a_landline_is_kept_and_said_to_take_no_messages():
    check = PhoneNumber.check("(0321) 321654")
    assert (check.normalised, check.status) == ("+62321321654", WARNING)
    assert not PhoneNumber("(0321) 321654").is_mobile
    assert not PhoneNumber("+1 812 345 6789").is_mobile


def test_four_digits_of_kbli_are_refused_because_two_codes_may_be_meant():
    lost_zero = Kbli.check("1111")
    assert "leading zero" in lost_zero.messages[0]
    assert "pad: 5" in lost_zero.remedy
    assert Kbli("01111").division == "01"
    assert str(Kbli("56101")) == "56101"


def test_a_driving_license_may_be_the_holders_nik():
    assert DrivingLicenseNumber("3576021505900001").nik == Nik("3576021505900001")
    assert DrivingLicenseNumber("900535760001").nik is None


SOUND = {
    Nib: "9120000000019", BpjsNumber: "0000000000017", IhsNumber: "P02478375538",
    Nitku: "0021832415000000000003",
    DeedNumber: "3576-LU-15052012-0003", PropertyTaxNumber: "357602000100100010", PassportNumber: "X1234567",
    DrivingLicenseNumber: "900535760001", PhoneNumber: "+6281234567890",
}  # fmt: skip


@pytest.mark.parametrize("identifier", SOUND, ids=lambda each: each.kind)
def test_every_number_of_somebody_masks_itself_and_is_a_value(identifier):
    text = SOUND[identifier]
    number = identifier(text)
    for shown in (str(number), repr(number), f"{number}", repr(identifier.check(text))):
        assert text not in shown
        assert text[-4:] not in shown
    assert len(str(number)) == len(text)
    assert pickle.loads(pickle.dumps(number)) == copy.deepcopy(number) == number
    with pytest.raises(AttributeError):
        number._value = "x"
    with pytest.raises(IdentifierInvalid) as caught:
        identifier(text + "x")
    assert text not in str(caught.value.as_dict())
