from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigurationInvalid
from connectors.fhir_paths import FhirPath, path_problems

NIK = "https://fhir.kemkes.go.id/id/nik"
PATIENT = {
    "resourceType": "Patient",
    "id": "P1",
    "identifier": [
        {"use": "official", "system": "https://fhir.kemkes.go.id/id/ihs-number", "value": "P1"},
        {"use": "official", "system": NIK, "value": "3576020101900001"},
    ],
    "active": True,
    "name": [{"use": "official", "text": "SITI"}, {"use": "nickname", "text": "ITI"}],
    "deceasedDateTime": "2024-01-01",
    "_birthDate": {"extension": [{"url": "data-absent-reason", "valueCode": "unknown"}]},
    "contained": [{"resourceType": "Patient", "id": "m", "identifier": [{"system": NIK, "value": "7"}]}],
    "link": [{"other": {"reference": "Patient/P2"}, "type": "seealso"}],
    "managingOrganization": {"reference": "https://elsewhere.invalid/fhir/Organization/o1"},
    "generalPractitioner": [{"reference": "#m"}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("id", "P1"),
        ("active", True),
        ("birthDate", None),
        ("birthDate.value.more", None),
        (f"identifier[system={NIK}].value", "3576020101900001"),
        ("identifier[system=urn:nobody].value", None),
        ("identifier.use", "official"),
        ("identifier.value", ["P1", "3576020101900001"]),
        ("name[0].text", "SITI"),
        ("name[9].text", None),
        ("name[use=nickname].text", "ITI"),
        ("name[use=official][0].text", "SITI"),
        ("link.other.getReferenceKey(Patient)", "P2"),
        ("link.other.getReferenceKey(Group)", None),
        ("managingOrganization.getReferenceKey(Organization)", None),
        ("generalPractitioner.getReferenceKey(Patient)", None),
        (f"generalPractitioner.resolve().identifier[system={NIK}].value", "7"),
        ("link.other.resolve().id", None),
        ("deceasedBoolean | deceasedDateTime.isPresent()", True),
        ("deceasedBoolean | multipleBirthBoolean", None),
        ("id | link.other.getReferenceKey(Patient)", ["P1", "P2"]),
        ("id | id", "P1"),
        ("active[x=y]", None),
        ("link[type=seealso].other.reference", "Patient/P2"),
        ("link[other.reference=Patient/P2].type", "seealso"),
    ],
)
def test_a_path_finds_what_it_names(path: str, found: object) -> None:
    assert FhirPath.compile(path).values([PATIENT, {}, PATIENT]) == [found, None, found]


@pytest.mark.parametrize(
    "path",
    [
        "", " ", "a..b", ".a", "a.", "a[", "a[x]", "a[=1]", "a[1000]", "a | ", "a.resolve(x)", "a b", "a'",
        "a/b", "getReferenceKey(patient)", "x" * 401, "a.where(b)", "$this", "a[b=c]d",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused_with_the_place(path: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"path|characters"):
        FhirPath.compile(path)
    (problem,) = path_problems("nik", path)
    assert problem.startswith("columns.nik: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "id", "reference", "contained", "system"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)
PATHS = [
    "a", "a.b", "a[b=x].id", "a[0].b[1]", "a.resolve().b", "a.getReferenceKey(Patient)",
    "a.b | b.a.isPresent()",
]  # fmt: skip


@given(resources=st.lists(st.dictionaries(st.sampled_from(["a", "b", "id", "contained"]), JSON), max_size=4))
def test_no_resource_however_odd_stops_the_reading(resources: list[dict[str, object]]) -> None:
    for path in PATHS:
        found = FhirPath.compile(path).values(resources)
        assert len(found) == len(resources)


@given(values=st.lists(st.text(min_size=1, max_size=4), max_size=4))
def test_a_single_value_comes_as_itself_and_several_as_all_of_them(values: list[str]) -> None:
    resource = {"identifier": [{"value": value} for value in values]}
    (found,) = FhirPath.compile("identifier.value").values([resource])
    distinct = list(dict.fromkeys(values))
    assert found == (None if not distinct else distinct[0] if len(distinct) == 1 else distinct)
