"""The portal's part of the demo: three questions, and what the applicant sees of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.installation import Installation
from lintas.errors import DemoBroken
from lintas.practice import PORTAL, portal_keyring
from lintas.stage import Stages, masked

if TYPE_CHECKING:
    from sandbox.fixed_people import PracticePerson
    from sandbox.portal import VerifiedAnswer

__all__ = ["PortalStory"]

SERVICE = "bantuan-usaha-mikro"
MARKS = {"met": "[green]✓[/green]", "not_met": "[red]✗[/red]"}


class PortalStory:
    """A portal that has its own key and believes nothing it has not verified."""

    def __init__(self, installation: Installation, stages: Stages) -> None:
        from sandbox.portal import Portal

        settings = installation.settings
        self.stages = stages
        self.folder: Path = installation.home / "sandbox" / PORTAL
        self.portal: Portal = Portal(
            f"https://{settings.api_host}:{settings.api_port}",
            installation.authority.ca_path,
            PORTAL,
            portal_keyring(installation).current("auth"),
        )

    def __enter__(self) -> "PortalStory":
        return self

    def __exit__(self, *_: object) -> None:
        self.portal.close()

    def ask_three(self) -> "dict[str, VerifiedAnswer]":
        """One that is verified, one that is referred, one that is denied."""
        from sandbox.fixed_people import FIXED

        answers = {}
        for role in ("verified", "tax_not_valid"):
            person: PracticePerson = getattr(FIXED, role)
            answers[role] = self._ask(person)
        self._be_denied(FIXED.denied)
        return answers

    def show_who_used(self, answers: "Mapping[str, VerifiedAnswer]") -> None:
        """What the applicant of the first question sees."""
        from sandbox.fixed_people import FIXED

        exchanges = self.portal.who_used(applicant_of(FIXED.verified))
        if not any(each["decision"] == _decision_of(answers["verified"]) for each in exchanges):
            raise DemoBroken("the applicant does not see the exchange")
        self.stages.good(f"{_who(FIXED.verified)} sees who used their data (the look is logged, too):")
        rows = [
            {
                "time": str(each["time"])[:19].replace("T", " "),
                "what": each["kind"],
                "by": each["consumer"],
                "for": each["purpose"],
                "fields": ", ".join(name.partition("/")[2] for name in each["fields"] or ()) or "-",
            }
            for each in exchanges[:6]
        ]
        self.stages.table({name: name for name in ("time", "what", "by", "for", "fields")}, rows)

    def _ask(self, person: "PracticePerson") -> "VerifiedAnswer":
        self.portal.give_consent(SERVICE, applicant_of(person))
        claims = {"amount_requested": 3_000_000}
        answer = self.portal.verify(SERVICE, applicant_of(person), claims, wait=5, case_number="PRAKTIK-1")
        if answer.verdict != person.expected:
            raise DemoBroken(f"a question that should end {person.expected} ended {answer.verdict}")
        colour = "green" if answer.verdict == "verified" else "yellow"
        self.stages.line(f"{_who(person)} → [bold {colour}]{answer.verdict}[/bold {colour}]")
        for outcome in answer.content["outcomes"]:
            self.stages.line(f"   {_line(outcome)}")
        if referral := answer.content.get("referral"):
            self.stages.line(
                f"   an officer of {referral['owner']} decides by {str(referral['due_at'])[:10]}"
            )
        return answer

    def _be_denied(self, person: "PracticePerson") -> None:
        """A purpose that nobody agreed to is refused before anything is looked at."""
        from sandbox.portal import PortalRefused

        self.portal.give_consent(SERVICE, applicant_of(person))
        try:
            claims = {"amount_requested": 1_000_000}
            self.portal.verify(SERVICE, applicant_of(person), claims, purpose="credit-scoring")
        except PortalRefused as refusal:
            if refusal.status != 403:
                raise
            denied = f"[bold red]denied[/bold red]: {refusal.what}"
            self.stages.line(f"{_who(person)}, for the purpose credit-scoring → {denied}")
            self.stages.line(f"   rules: {', '.join(refusal.rules)}; the refusal is an entry in the log")
            return
        raise DemoBroken("a purpose that nobody agreed to was answered")


def applicant_of(person: "PracticePerson") -> dict[str, Any]:
    """What an application says about its applicant: the NIK, and a second element that must match."""
    return {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}


def _who(person: "PracticePerson") -> str:
    return f"{person.name} (NIK {masked(person.nik)})"


def _line(outcome: Mapping[str, Any]) -> str:
    sources = ", ".join(f"{each['dataset']} as of {str(each['as_of'])[:16]}" for each in outcome["evidence"])
    instrument = outcome["legal_instrument"]
    rests_on = "illustrative" if instrument.get("illustrative") else instrument.get("title", "")
    mark = MARKS.get(outcome["outcome"], "[yellow]?[/yellow]")
    detail = " · ".join(part for part in (sources or "the application itself", rests_on) if part)
    return f"{mark} {outcome['reason']['en']} [dim]{detail}[/dim]"


def _decision_of(answer: "VerifiedAnswer") -> Any:
    return answer.content["decision"]["decision_id"]
