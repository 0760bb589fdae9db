"""From the person in a request body to the applicant that identity confirms."""

from __future__ import annotations

from records.identity import Applicant
from schemas.errors import IdentifierInvalid
from schemas.identifiers import FamilyCardNumber, Nik
from web.bodies import ApplicantBody
from web.errors import ApplicantInvalid


def applicant_of(body: ApplicantBody) -> Applicant:
    """The applicant with typed identifiers.

    Raises:
        ApplicantInvalid: When a number cannot be one; the message names the field, never the number.
    """
    field = "applicant.nik"
    try:
        nik = Nik.parse(body.nik)
        field = "applicant.family_card_number"
        card = FamilyCardNumber.parse(body.family_card_number) if body.family_card_number else None
    except IdentifierInvalid:
        raise ApplicantInvalid(
            "A number of the applicant cannot be one of its kind",
            remedy="Check the digits",
            errors=[{"field": field, "problem": "is not a valid number of its kind"}],
        ) from None
    return Applicant(nik=nik, name=body.name, birth_date=body.birth_date, family_card_number=card)
