"""The reference page of the services that come with the bus, generated from their files."""

from __future__ import annotations

from schemas.contracts import load_contracts
from verification.catalogue import Service, load_catalogue
from verification.service import COMPONENTS, EvidenceType, LegalInstrument, PublicService, Text

__all__ = ["instrument_told", "markdown"]

_HEAD = """# Services

<!-- generated from verification/services by verification.documentation.markdown(): do not edit by hand -->

The services that come with the bus, as examples. A service file (`verification/services/*.yaml`, or the
folder that `LINTAS_SERVICES` names) describes a public service in the words of CPSV-AP 3.2 and CCCEV, with
all 14 components of an Indonesian service standard (UU 25/2009, Pasal 21). Each criterion names the legal
instrument it rests on, or says `illustrative`; a file that does not, does not load.
`lintas services show` tells the same of an installation.

- **relation** says whom a criterion is about: the applicant (`self`), a child for whom the applicant is shown
  to speak (`guardian_of`), or a business that is shown to be the applicant's (`owner_of`). The number of the
  child or business comes as a claim; what can show the relation (`restsOn`) stands under agreements like any
  evidence.
- **expression** is CEL over typed evidence and claims, three-valued: what is missing, overdue, quarantined,
  held or in conflict gives `unknown`, `stale`, `conflict` or `source_down`, never `met` and never `not_met`.
- **maximumAge** and **live** say how old a reading may be, and how long an answer may wait for sources that
  are asked live because theirs is older.
"""


def markdown() -> str:
    """The page `docs/reference/services.md`."""
    datasets = {contract.id: contract.record_type for contract in load_contracts()}
    services = load_catalogue(None, datasets).services.values()
    return "\n".join([_HEAD, *(_service(service) for service in services)]).rstrip() + "\n"


def _service(service: Service) -> str:
    definition = service.definition
    parts = [
        f"## {service.identifier}\n",
        f"{definition.title.en} ({definition.title.id}), version {definition.version}. "
        f"{definition.description.en}\n",
        f"Purpose `{definition.purpose}`; competent authority `{definition.hasCompetentAuthority}`; what is "
        f"referred goes to `{definition.referral.owner}`, within {definition.referral.workingDays} working "
        f"days. Sources asked live are waited for {definition.live.milliseconds} ms at most.\n",
        "### Criteria\n",
        _criteria(definition),
        "### Evidence\n",
        _evidence(definition),
    ]
    if definition.claims:
        parts += ["### Claims\n", _claims(definition)]
    return "\n".join([*parts, "### The 14 components\n", _components(definition)])


def _criteria(definition: PublicService) -> str:
    rows = [
        f"| `{each.identifier}` | {each.title.en} | `{each.relation}` | {_code(each.expression)} | "
        f"{instrument_told(each.legalInstrument)} |"
        for each in definition.holdsRequirement
    ]
    return _table("criterion | asks | relation | expression | rests on", rows)


def _evidence(definition: PublicService) -> str:
    rows = [
        f"| `{name}` | `{each.dataset}` | `{each.relation}` | {_names(each.fields)} | "
        f"{_names(each.latestBy)} | {_age(each)} |"
        for name, each in definition.evidence.items()
    ]
    rows += [
        f"| `{name}` | `{ground.dataset}` | `{name}` | {_names(ground.fields)} | | as the contract |"
        for name, terms in definition.relations.items()
        for ground in terms.restsOn
    ]
    return _table("name | dataset | about | fields | latest by | maximum age", rows)


def _age(evidence: EvidenceType) -> str:
    return f"{evidence.maximumAge.hours} h" if evidence.maximumAge else "as the contract"


def _claims(definition: PublicService) -> str:
    led = {terms.claim: name for name, terms in definition.relations.items()}
    rows = [
        f"| `{name}` | {claim.type} | {claim.title.en} | {f'`{led[name]}`' if name in led else ''} |"
        for name, claim in definition.claims.items()
    ]
    return _table("claim | type | what it says | leads to", rows)


def _components(definition: PublicService) -> str:
    rows = [f"| {name} | `{place}` | {_component(definition, place)} |" for name, place in COMPONENTS.items()]
    return _table("component | in the file | content", rows)


def _component(definition: PublicService, place: str) -> str:
    found: object = definition
    for part in place.split("."):
        found = getattr(found, part)
    if place == "holdsRequirement":
        return f"{len(definition.holdsRequirement)} criteria, above"
    return "; ".join(_told(each) for each in (found if isinstance(found, list) else [found]))


def _told(item: object) -> str:
    """One item of a component in a few words."""
    if isinstance(item, Text):
        return item.en
    if isinstance(item, LegalInstrument):
        return instrument_told(item)
    described = getattr(item, "description", None) or getattr(item, "title", None)
    if isinstance(described, Text):
        return described.en
    days = getattr(item, "workingDays", None)
    return f"{days} working days" if days else str(item)


def instrument_told(instrument: LegalInstrument) -> str:
    """A legal instrument in a few words."""
    named = ", ".join(part for part in (instrument.title, instrument.article) if part)
    if not named:
        return "illustrative"
    return f"{named} (illustrative)" if instrument.illustrative else named


def _code(expression: str) -> str:
    return "`" + " ".join(expression.split()).replace("|", "\\|") + "`"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: str, rows: list[str]) -> str:
    titles = f"| {head} |"
    return "\n".join([titles, "|" + "---|" * (head.count("|") + 1), *rows]) + "\n"
