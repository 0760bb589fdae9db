"""The catalogue loads whole services or explains everything that is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.verification.practice import DATASETS
from verification.catalogue import BUILT_IN, load_catalogue
from verification.errors import ServiceInvalid, ServiceUnknown
from verification.service import COMPONENTS

SOURCE = (BUILT_IN / "bantuan-usaha-mikro.yaml").read_text("utf-8")


def problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "aid.yaml").write_text(text, "utf-8")
    with pytest.raises(ServiceInvalid) as caught:
        load_catalogue(tmp_path, DATASETS)
    return [str(problem) for problem in caught.value.problems]


def test_the_services_that_come_with_the_bus_load() -> None:
    catalogue = load_catalogue(None, DATASETS)
    assert set(catalogue.services) == {"bantuan-usaha-mikro", "skck", "kia"}
    service = catalogue.service("bantuan-usaha-mikro")
    assert [criterion.definition.identifier for criterion in service.criteria] == [
        "alive",
        "resident",
        "adult",
        "tax-standing",
        "owner",
        "micro-business",
        "licensed",
        "insured",
        "amount-within-limit",
    ]
    assert {dataset.partition("/")[0] for dataset in service.fields} == {
        "dukcapil-mojokerto",
        "kpp-mojokerto",
        "dpmptsp-mojokerto",
        "dinkes-mojokerto",
    }


def test_every_criterion_rests_on_a_law_or_says_that_it_is_made_up() -> None:
    for service in load_catalogue(None, DATASETS).services.values():
        for criterion in service.criteria:
            instrument = criterion.definition.legalInstrument
            assert instrument.illustrative or instrument.title


def test_what_is_about_a_child_is_told_apart_from_what_is_about_the_applicant() -> None:
    service = load_catalogue(None, DATASETS).service("kia")
    persons = "dukcapil-mojokerto/persons"
    assert service.fields_about_other[persons] == {"family_card_number", "birth_date", "marital_status"}
    assert "marital_status" not in service.fields_about_applicant[persons]
    assert "mother_nik" in service.fields_about_applicant[persons]
    assert service.fields[persons] >= service.fields_about_other[persons]


def test_a_service_that_is_not_there_is_refused() -> None:
    with pytest.raises(ServiceUnknown):
        load_catalogue(None, DATASETS).service("nope")


@pytest.mark.parametrize("place", sorted(set(COMPONENTS.values())))
def test_each_of_the_14_components_must_be_there(tmp_path: Path, place: str) -> None:
    assert len(COMPONENTS) == 14
    key = place.rpartition(".")[2]
    text = re.sub(rf"^(\s*){key}:", rf"\1x_{key}:", SOURCE, flags=re.MULTILINE)
    assert any(key in problem for problem in problems(tmp_path, text))


def test_a_criterion_without_a_legal_instrument_does_not_load(tmp_path: Path) -> None:
    text = SOURCE.replace("legalInstrument: {illustrative: true}", "legalInstrument: {}", 1)
    (found,) = problems(tmp_path, text)
    assert "illustrative" in found
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "legalInstrument: {}" in row)
    assert f"aid.yaml:{line}" in found


def test_all_problems_are_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    text = (
        SOURCE.replace("legalInstrument: {illustrative: true}", "legalInstrument: {}", 1)
        .replace("version: 2.0.0", "version: one")
        .replace("relation: self", "relation: cousin", 1)
    )
    (tmp_path / "broken.yaml").write_text("a: [", "utf-8")
    found = problems(tmp_path, text)
    assert len(found) == 4
    assert all(re.search(r"(aid|broken)\.yaml(:[0-9]+)?", problem) for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("'!recorded(death)'", "'!recorded(deth)'", "nothing called 'deth'"),
        ("claim.amount_requested <= 5000000", 'claim.amount_requested <= "5000000"', "unlike things"),
        ('tax.standing == "valid"', 'tax.standing == "vald"', "code list"),
        ("fields: [birth_date, region_code]", "fields: [birth_date, region_code, sex]", "no criterion uses"),
        ("fields: [birth_date, region_code]", "fields: [birth_date, region_code, shoe_size]", "has no field"),
        ("dataset: kpp-mojokerto/tax-standing", "dataset: kpp-mojokerto/taxes", "no contract describes"),
        ("identifier: resident", "identifier: alive", "another criterion"),
        ("claim: business_nib", "claim: amount_requested", "not a claim of type nib"),
        ("claim: business_nib", "claim: nobody", "not a claim of type nib"),
        ("fields: [nib, owner_nik]}", "fields: [nib, owner]}", "has no field 'owner'"),
        (
            "    relation: owner_of\n    fields: [status]",
            "    relation: guardian_of\n    fields: [status]",
            "no relation",
        ),
        ("expression: 'recorded(owner_of)'", "expression: '!recorded(death)'", "looks at what is about self"),
        ("latestBy: [status_at]", "latestBy: [colour]", "has no field 'colour'"),
        ("  death:\n", "  owner_of:\n", "reserved name"),
        ("live: {milliseconds: 2000}", "live: {milliseconds: 2}", "greater than or equal"),
        ("processingTime: {workingDays: 5}", "processingTime: {workingDays: 5, hours: 3}", "Extra inputs"),
        ("jumlah_pelaksana: 3", "jumlah_pelaksana: 3\n  jumlah_pelaksana: 4", "stands here twice"),
        ("jumlah_pelaksana: 3", "jumlah_pelaksana: '3'", "valid integer"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in SOURCE
    assert any(says in problem for problem in problems(tmp_path, SOURCE.replace(old, new, 1)))


def test_two_files_cannot_describe_one_service(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SOURCE, "utf-8")
    assert any("another file" in problem for problem in problems(tmp_path, SOURCE))
