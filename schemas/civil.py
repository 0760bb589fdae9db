"""The civil registry: persons, families, births and deaths."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from schemas.fields import Classification, Described
from schemas.identifiers import DeedNumber, FamilyCardNumber, Nik, RegionCode
from schemas.kinds import CodeKind, DateKind, IntegerKind, TextKind

SEXES = ("male", "female")
MARITAL_STATUSES = ("never_married", "married", "divorced", "widowed")
RELATIONSHIPS = (
    "head", "husband", "wife", "child", "child_in_law", "grandchild", "parent", "parent_in_law",
    "other_family", "domestic_worker", "other",
)  # fmt: skip
_CHILD = Classification.SPECIFIC
_EVENT_NUMBER = Described(
    "Number of the event in the registry's feed; of several with one deed, the highest holds",
    Classification.PUBLIC,
)


class Person(BaseModel):
    """A resident as the civil registry knows them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    nik: Annotated[Nik, Described("Number of the resident")]
    family_card_number: Annotated[
        FamilyCardNumber, Described("Number of the family card on which they stand")
    ]
    name: Annotated[str, TextKind(max_length=200), Described("Full name as on the KTP-el, titles included")]
    birth_place: Annotated[str | None, TextKind(max_length=100), Described("Place of birth as written")] = (
        None
    )
    birth_date: Annotated[
        date,
        DateKind(),
        Described("Day of birth; 01-01 and 31-12 may stand for unknown", comparable=True),
    ]
    sex: Annotated[str, CodeKind(SEXES), Described("Sex as registered", comparable=True)]
    marital_status: Annotated[str | None, CodeKind(MARITAL_STATUSES), Described("Marital status")] = None
    relationship_to_head: Annotated[
        str | None, CodeKind(RELATIONSHIPS), Described("Relationship to the head of the family")
    ] = None
    region_code: Annotated[RegionCode, Described("District or village of residence, Kemendagri code")]
    address: Annotated[str | None, TextKind(max_length=300), Described("Street and number")] = None
    rt: Annotated[str | None, TextKind(max_length=3), Described("Neighbourhood (RT)")] = None
    rw: Annotated[str | None, TextKind(max_length=3), Described("Community (RW)")] = None
    mother_nik: Annotated[Nik | None, Described("NIK of the mother, where registered")] = None
    father_nik: Annotated[Nik | None, Described("NIK of the father, where registered")] = None


class Family(BaseModel):
    """A family as its card (Kartu Keluarga) tells it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    family_card_number: Annotated[FamilyCardNumber, Described("Number of the family card")]
    head_nik: Annotated[Nik, Described("NIK of the head of the family")]
    head_name: Annotated[str, TextKind(max_length=200), Described("Name of the head as on the card")]
    address: Annotated[str | None, TextKind(max_length=300), Described("Street and number")] = None
    rt: Annotated[str | None, TextKind(max_length=3), Described("Neighbourhood (RT)")] = None
    rw: Annotated[str | None, TextKind(max_length=3), Described("Community (RW)")] = None
    region_code: Annotated[RegionCode, Described("District or village of residence, Kemendagri code")]
    member_count: Annotated[
        int | None, IntegerKind(1, 99), Described("How many persons stand on the card")
    ] = None
    issued_on: Annotated[date, DateKind(), Described("Day on which the card was issued")]


class Birth(BaseModel):
    """A birth recorded by the civil registry.

    Data of a child is specific personal data (UU 27/2022, Art. 4(2)).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deed_number: Annotated[DeedNumber, Described("Number of the birth deed (akta kelahiran)", _CHILD)]
    event_number: Annotated[int, IntegerKind(minimum=0), _EVENT_NUMBER]
    nik: Annotated[Nik, Described("Number of the child", _CHILD)]
    name: Annotated[str, TextKind(max_length=200), Described("Name of the child as on the deed", _CHILD)]
    birth_date: Annotated[date, DateKind(), Described("Day of birth", _CHILD, comparable=True)]
    birth_place: Annotated[
        str | None, TextKind(max_length=100), Described("Place of birth as written", _CHILD)
    ] = None
    sex: Annotated[str, CodeKind(SEXES), Described("Sex as registered", _CHILD, comparable=True)]
    mother_nik: Annotated[Nik | None, Described("NIK of the mother; empty for a foundling", _CHILD)] = None
    father_nik: Annotated[
        Nik | None, Described("NIK of the father; empty where the deed names the mother only", _CHILD)
    ] = None
    registered_on: Annotated[date, DateKind(), Described("Day on which the birth was registered", _CHILD)]
    region_code: Annotated[
        RegionCode | None, Described("Where it was registered, Kemendagri code", _CHILD)
    ] = None


class Death(BaseModel):
    """A death recorded by the civil registry."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    nik: Annotated[Nik, Described("Number of the deceased")]
    death_date: Annotated[date, DateKind(), Described("Day of death")]
    recorded_date: Annotated[date, DateKind(), Described("Day on which the death was recorded")]
    deed_number: Annotated[DeedNumber, Described("Number of the death deed (akta kematian)")]
    event_number: Annotated[int, IntegerKind(minimum=0), _EVENT_NUMBER]
    region_code: Annotated[RegionCode | None, Described("Where it was recorded, Kemendagri code")] = None
