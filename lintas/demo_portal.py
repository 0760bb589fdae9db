"""The portals' part of the demo: five applications over three services, and what the applicant sees.

One more question is for a purpose that nobody agreed to.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.installation import Installation
from lintas.errors import DemoBroken
from lintas.practice import PORTAL, PORTALS, portal_keyring
from lintas.stage import Stages, masked

if TYPE_CHECKING:
    from sandbox.applications import Application
    from sandbox.portal import Portal, VerifiedAnswer
    from sandbox.practice_person import PracticePerson

__all__ = ["PortalStory", "applicant_of", "who"]

FIVE = ("aid-dies-later", "police-lapsed", "card-verified", "aid-licenses-overdue", "aid-birth-dates-differ")
DENIED = "aid-denied"
WITH_CONSENT = "bantuan-usaha-mikro"
"""The one practice service that rests on consent; the others rest on a public task."""

MARKS = {"met": "[green]✓[/green]", "not_met": "[red]✗[/red]", "conflict": "[red]≠[/red]"}
NOT_KNOWN = {
    "unknown": "unknown",
    "stale": "unknown (overdue)",
    "source_down": "unknown (source down)",
    "conflict": "conflict",
}


class PortalStory:
    """Three portals, each with its own key, that believe nothing they have not verified."""

    def __init__(self, installation: Installation, stages: Stages) -> None:
        self.installation = installation
        self.stages = stages
        self.folder: Path = installation.home / "sandbox" / PORTAL
        self._portals: dict[str, Portal] = {}
        self._closing = ExitStack()

    def __enter__(self) -> "PortalStory":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def portal(self) -> "Portal":
        """The city portal, Palapa Mojo."""
        return self.portal_of(WITH_CONSENT)

    def portal_of(self, service: str) -> "Portal":
        """The portal at which citizens apply for a service."""
        from sandbox.portal import Portal

        (practice,) = [each for each in PORTALS if service in each.services]
        if practice.system_id not in self._portals:
            settings = self.installation.settings
            portal = Portal(
                f"https://{settings.api_host}:{settings.api_port}",
                self.installation.authority.ca_path,
                practice.system_id,
                portal_keyring(self.installation, practice.system_id).current("auth"),
                keep=self.installation.home / "sandbox" / practice.system_id / "receipts",
            )
            self._portals[practice.system_id] = self._closing.enter_context(portal)
        return self._portals[practice.system_id]

    def ask_five(self) -> "dict[str, VerifiedAnswer]":
        """Five applications, each of which ends as the registers call for, and one that is denied."""
        from sandbox.applications import APPLICATIONS

        answers = {name: self._ask(number, name) for number, name in enumerate(FIVE, 1)}
        self._be_denied(APPLICATIONS[DENIED])
        return answers

    def show_who_used(self, answers: "Mapping[str, VerifiedAnswer]") -> None:
        """What the applicant of the first question sees."""
        from sandbox.applications import APPLICATIONS

        applicant = APPLICATIONS[FIVE[0]].applicant
        exchanges = self.portal.who_used(applicant_of(applicant))
        if not any(each["decision"] == _decision_of(answers[FIVE[0]]) for each in exchanges):
            raise DemoBroken("the applicant does not see the exchange")
        self.stages.good(f"the family of {who(applicant)} sees who used the data (the look is logged, too):")
        rows = [
            {
                "time": str(each["time"])[:19].replace("T", " "),
                "what": each["kind"],
                "by": each["consumer"],
                "for": each["purpose"],
                "registers": ", ".join(sorted({_dataset(name) for name in each["fields"] or ()})) or "-",
            }
            for each in exchanges[:6]
        ]
        self.stages.table({name: name for name in ("time", "what", "by", "for", "registers")}, rows)

    def _ask(self, number: int, name: str) -> "VerifiedAnswer":
        from sandbox.applications import APPLICATIONS

        application = APPLICATIONS[name]
        portal = self.portal_of(application.service)
        applicant = applicant_of(application.applicant)
        if application.service == WITH_CONSENT:
            portal.give_consent(application.service, applicant)
        answer = portal.verify(
            application.service, applicant, application.claims, wait=5, case_number=f"PRAKTIK-{number}"
        )
        _check(application, answer)
        colour = "green" if answer.verdict == "verified" else "yellow"
        self.stages.line(
            f"[bold]{application.service}[/bold] at {portal.system_id}: {who(application.applicant)}"
            f" → [bold {colour}]{answer.verdict}[/bold {colour}]"
        )
        for outcome in answer.content["outcomes"]:
            if answer.verdict == "verified" or outcome["outcome"] != "met":
                self.stages.line(f"   {_line(outcome)}")
        if referral := answer.content.get("referral"):
            self.stages.line(
                f"   [dim]not automatic: an officer of {referral['owner']} decides by"
                f" {str(referral['due_at'])[:10]}[/dim]"
            )
        return answer

    def _be_denied(self, application: "Application") -> None:
        """A purpose that nobody agreed to is refused before anything is looked at."""
        from sandbox.portal import PortalRefused

        person = applicant_of(application.applicant)
        self.portal.give_consent(application.service, person)
        try:
            self.portal.verify(application.service, person, application.claims, purpose=application.purpose)
        except PortalRefused as refusal:
            if refusal.status != 403:
                raise
            self.stages.line(
                f"[bold]{application.service}[/bold] for the purpose {application.purpose}:"
                f" {who(application.applicant)} → [bold red]denied[/bold red]"
            )
            self.stages.line(f"   {refusal.what}; rules: {', '.join(refusal.rules)}; it stands in the log")
            return
        raise DemoBroken("a purpose that nobody agreed to was answered")


def applicant_of(person: "PracticePerson") -> dict[str, Any]:
    """What an application says about its applicant: the NIK, and a second element that must match."""
    return {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}


def who(person: "PracticePerson") -> str:
    """A practice person as a portal would show them."""
    return f"{person.name} (NIK {masked(person.nik)})"


def _check(application: "Application", answer: "VerifiedAnswer") -> None:
    if answer.verdict != application.expected:
        raise DemoBroken(f"a question that should end {application.expected} ended {answer.verdict}")
    if application.criterion and answer.outcomes[application.criterion] != application.outcome:
        raise DemoBroken(f"{application.criterion} is {answer.outcomes[application.criterion]}")


def _line(outcome: Mapping[str, Any]) -> str:
    sources = ", ".join(
        f"{_dataset(each['dataset'])} as of {str(each['as_of'])[:16]}" for each in outcome["evidence"]
    )
    instrument = outcome["legal_instrument"]
    rests_on = "illustrative" if instrument.get("illustrative") else instrument.get("title", "")
    mark = MARKS.get(outcome["outcome"], "[yellow]?[/yellow]")
    word = f"[yellow]{NOT_KNOWN[outcome['outcome']]}[/yellow]: " if outcome["outcome"] in NOT_KNOWN else ""
    detail = " · ".join(part for part in (sources or "the application itself", rests_on) if part)
    return f"{mark} {word}{outcome['reason']['en']} [dim]{detail}[/dim]"


def _dataset(name: str) -> str:
    return name.partition("/")[2].partition(":")[0]


def _decision_of(answer: "VerifiedAnswer") -> Any:
    return answer.content["decision"]["decision_id"]
