"""A public service as the catalogue describes it: CPSV-AP 3.2 and CCCEV names, checked strictly."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
DatasetId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", max_length=130)]
Sentence = Annotated[str, StringConstraints(min_length=2, max_length=1000, strip_whitespace=True)]
RelationName = Literal["guardian_of", "owner_of"]
AnyRelation = Literal["self", "guardian_of", "owner_of"]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]


class Described(BaseModel):
    """The strictness that every part of a service file shares."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Text(Described):
    """A sentence in both languages of the bus."""

    id: Sentence
    en: Sentence


class LegalInstrument(Described):
    """What a rule rests on (eli:LegalResource): a named instrument, or the mark `illustrative: true`."""

    title: Sentence | None = None
    article: Sentence | None = None
    illustrative: bool = False

    @model_validator(mode="after")
    def _says_what_it_rests_on(self) -> Self:
        if self.title is None and not self.illustrative:
            raise ValueError("names no legal instrument and is not marked `illustrative: true`")
        return self


class Age(Described):
    """How old a reading of a register may be."""

    hours: Annotated[int, Field(ge=1, le=8760)]


class EvidenceType(Described):
    """Evidence that a criterion may use (cccev:EvidenceType): a dataset and the fields needed of it.

    `relation` says whom it is about, `latestBy` which of several records counts, and `maximumAge` how old a
    reading may be before the source is asked live, where the contract alone would allow more.
    """

    dataset: DatasetId
    fields: Annotated[list[Name], Field(min_length=1)]
    title: Text
    relation: AnyRelation = "self"
    latestBy: list[Name] = []  # noqa: N815
    maximumAge: Age | None = None  # noqa: N815


class Ground(Described):
    """The fields of one dataset that can show a relation."""

    dataset: DatasetId
    fields: Annotated[list[Name], Field(min_length=1)]


class RelationTerms(Described):
    """To whom or what the applicant must stand in a relation, and which fields can show it.

    The number of the child or the business comes as a claim; what shows the relation is looked at under the
    same agreements and consents as any evidence.
    """

    claim: Name
    restsOn: Annotated[list[Ground], Field(min_length=1)]  # noqa: N815


class LiveTerms(Described):
    """How long one answer may wait for sources that are asked live, all of them together."""

    milliseconds: Annotated[int, Field(ge=50, le=20_000)] = 2_000


class Claim(Described):
    """Something that the application itself states (cccev:InformationConcept)."""

    type: Literal["int", "string", "bool", "date", "nik", "nib"]
    title: Text
    minimum: int | None = None
    maximum: int | None = None
    codes: list[Sentence] | None = None


class Reasons(Described):
    """What is said about an outcome. Reasons never carry a person's values."""

    met: Text
    not_met: Text


class Criterion(Described):
    """One requirement (cccev:Criterion), as an expression over evidence and claims."""

    identifier: Slug
    title: Text
    expression: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    relation: AnyRelation
    legalInstrument: LegalInstrument  # noqa: N815 - CPSV-AP spelling
    reasons: Reasons


class Cost(Described):
    """What the applicant pays (cv:Cost)."""

    hasValue: Annotated[int, Field(ge=0)]  # noqa: N815
    currency: Literal["IDR"]
    description: Text


class WorkingDays(Described):
    """A length of time in working days of the public service."""

    workingDays: Annotated[int, Field(ge=1, le=365)]  # noqa: N815


class ContactPoint(Described):
    """Where a complaint goes (cv:ContactPoint)."""

    description: Text
    email: Sentence | None = None
    telephone: Sentence | None = None
    hasURL: Sentence | None = None  # noqa: N815


class Output(Described):
    """What the service gives (cv:Output)."""

    identifier: Slug
    title: Text


class Referral(Described):
    """Who takes over when the bus alone cannot say yes, and by when."""

    owner: Slug
    workingDays: Annotated[int, Field(ge=1, le=60)]  # noqa: N815


class ServiceStandard(Described):
    """The components of UU 25/2009 Art. 21 that CPSV-AP has no word for, under their Indonesian names."""

    sarana_prasarana: Text
    kompetensi_pelaksana: Text
    pengawasan_internal: Text
    jumlah_pelaksana: Annotated[int, Field(ge=1)]
    jaminan_pelayanan: Text
    jaminan_keamanan_keselamatan: Text
    evaluasi_kinerja: Text


class PublicService(Described):
    """One service (cpsv:PublicService) with all 14 components of an Indonesian service standard."""

    apiVersion: Literal["lintas/service/1"]  # noqa: N815
    identifier: Slug
    version: Version
    title: Text
    description: Text
    purpose: Slug
    hasCompetentAuthority: Slug  # noqa: N815
    evidence: Annotated[dict[Name, EvidenceType], Field(min_length=1)]
    claims: dict[Name, Claim] = {}
    relations: dict[RelationName, RelationTerms] = {}
    live: LiveTerms = LiveTerms()
    holdsRequirement: Annotated[list[Criterion], Field(min_length=1)]  # noqa: N815
    follows: Annotated[list[Text], Field(min_length=1)]
    processingTime: WorkingDays  # noqa: N815
    hasCost: Annotated[list[Cost], Field(min_length=1)]  # noqa: N815
    produces: Annotated[list[Output], Field(min_length=1)]
    hasContactPoint: Annotated[list[ContactPoint], Field(min_length=1)]  # noqa: N815
    hasLegalResource: Annotated[list[LegalInstrument], Field(min_length=1)]  # noqa: N815
    serviceStandard: ServiceStandard  # noqa: N815
    referral: Referral


COMPONENTS = {
    "persyaratan": "holdsRequirement",
    "sistem_mekanisme_prosedur": "follows",
    "jangka_waktu": "processingTime",
    "biaya_tarif": "hasCost",
    "produk_pelayanan": "produces",
    "penanganan_pengaduan": "hasContactPoint",
    "dasar_hukum": "hasLegalResource",
    "sarana_prasarana": "serviceStandard.sarana_prasarana",
    "kompetensi_pelaksana": "serviceStandard.kompetensi_pelaksana",
    "pengawasan_internal": "serviceStandard.pengawasan_internal",
    "jumlah_pelaksana": "serviceStandard.jumlah_pelaksana",
    "jaminan_pelayanan": "serviceStandard.jaminan_pelayanan",
    "jaminan_keamanan_keselamatan": "serviceStandard.jaminan_keamanan_keselamatan",
    "evaluasi_kinerja": "serviceStandard.evaluasi_kinerja",
}
"""The 14 components of a service standard and where each stands in the file."""
