"""Why a person must be erased, and why nothing may be erased meanwhile, as UU 27/2022 has it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ErasureGround", "HoldGround", "LiftGround"]


class ErasureGround(StrEnum):
    """Why the controller must erase, each with its `instrument`."""

    NO_LONGER_NEEDED = "no-longer-needed"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    SUBJECT_REQUEST = "subject-request"
    UNLAWFUL_PROCESSING = "unlawful-processing"
    RETENTION_ENDED = "retention-ended"

    @property
    def instrument(self) -> str:
        """The legal instrument it rests on."""
        return _ERASURE[self]


class HoldGround(StrEnum):
    """Why data must be kept although somebody asks that it be erased, each with its `instrument`."""

    COURT_CASE = "court-case"
    LAW_ENFORCEMENT = "law-enforcement"
    PUBLIC_INTEREST = "public-interest"
    FINANCIAL_SUPERVISION = "financial-supervision"

    @property
    def instrument(self) -> str:
        """The legal instrument it rests on."""
        return _HOLD[self]


class LiftGround(StrEnum):
    """Why somebody who was erased may be taken in again, each with its `instrument`."""

    NEW_CONSENT = "new-consent"
    LEGAL_OBLIGATION = "legal-obligation"
    PUBLIC_TASK = "public-task"
    ERASED_IN_ERROR = "erased-in-error"

    @property
    def instrument(self) -> str:
        """The legal instrument it rests on."""
        return _LIFT[self]


_ERASURE = {
    ErasureGround.NO_LONGER_NEEDED: "UU 27/2022 Art. 43(1)(a)",
    ErasureGround.CONSENT_WITHDRAWN: "UU 27/2022 Art. 43(1)(b)",
    ErasureGround.SUBJECT_REQUEST: "UU 27/2022 Art. 8 and 43(1)(c)",
    ErasureGround.UNLAWFUL_PROCESSING: "UU 27/2022 Art. 43(1)(d)",
    ErasureGround.RETENTION_ENDED: "UU 27/2022 Art. 44(1)(a)",
}
_HOLD = {
    HoldGround.COURT_CASE: "UU 27/2022 Art. 44(1)(c)",
    HoldGround.LAW_ENFORCEMENT: "UU 27/2022 Art. 15(1)(b)",
    HoldGround.PUBLIC_INTEREST: "UU 27/2022 Art. 15(1)(c)",
    HoldGround.FINANCIAL_SUPERVISION: "UU 27/2022 Art. 15(1)(d)",
}
_LIFT = {
    LiftGround.NEW_CONSENT: "UU 27/2022 Art. 20(2)(a)",
    LiftGround.LEGAL_OBLIGATION: "UU 27/2022 Art. 20(2)(c)",
    LiftGround.PUBLIC_TASK: "UU 27/2022 Art. 20(2)(e)",
    LiftGround.ERASED_IN_ERROR: "UU 27/2022 Art. 16(2)(d)",
}
