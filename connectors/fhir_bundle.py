"""What a FHIR server answers with: a Bundle of the resources that were asked for, or the reasons why not.

Elements and extensions that nobody declared are ignored, as FHIR asks. What FHIR does not allow to be ignored
is not: a resource with a `modifierExtension` or `implicitRules` may mean the opposite of what it says, a
resource of another version may say it under another name, and a partial one may leave out what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.errors import OutcomeReported, PageUnreadable, SourceBusy
from connectors.fhir_paths import Resource
from connectors.fhir_service import version_refused
from foundation.errors import LintasError

#: Elements that R5 introduced under names that neither R4 nor R4B knows.
_ONLY_IN_R5 = {
    "Coverage": frozenset({"kind", "paymentBy", "insurer", "insurancePlan"}),
    "Immunization": frozenset({"administeredProduct", "basedOn", "informationSource", "reason"}),
    "Encounter": frozenset({"actualPeriod", "plannedStartDate", "plannedEndDate", "admission"}),
    "MedicationRequest": frozenset({"medication", "renderedDosageInstruction"}),
}
_ANY_OF_R5 = frozenset({"versionAlgorithmString", "versionAlgorithmCoding"})
_NOT_TO_BE_IGNORED = frozenset({"modifierExtension", "implicitRules"})
#: FHIR's codes of an issue (`issue-type`): those after which the same question may succeed, and the others.
_PASSING = frozenset({"transient", "lock-error", "no-store", "exception", "timeout", "throttled"})
_LASTING = frozenset(
    {
        "business-rule", "code-invalid", "conflict", "deleted", "duplicate", "expired", "extension",
        "forbidden", "incomplete", "informational", "invalid", "invariant", "login", "multiple-matches",
        "not-found", "not-supported", "processing", "required", "security", "structure", "suppressed",
        "too-costly", "too-long", "unknown", "value",
    }
)  # fmt: skip
_GRAVE = frozenset({"error", "fatal"})
_ISSUES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Bundle:
    """A page of a search.

    Attributes:
        resources: The resources that were asked for.
        deleted: How many entries say that a resource was deleted.
        modified: Places among the resources of those whose meaning something undeclared changes.
        next_link: Where the next page is.
        total: How many resources the whole search found, if the server says so.
    """

    resources: list[Resource]
    deleted: int
    modified: frozenset[int]
    next_link: str | None
    total: int | None


def read_bundle(
    document: Mapping[str, Any], resource_type: str, version: str, *, partial: bool = False
) -> Bundle:
    """Read a reply.

    Args:
        document: The reply.
        resource_type: What was asked for.
        version: The version that is agreed.
        partial: Whether only some elements were asked for, so that resources may be marked as partial.

    Raises:
        OutcomeReported: When it is an error that the agency has to mend, whatever its status was.
        SourceBusy: When it is an error that may pass.
        FhirVersionRefused: When a resource is of another version.
        PageUnreadable: When it is anything else than a Bundle of what was asked for.
    """
    if document.get("resourceType") == "OperationOutcome":
        raise _reported(document)
    entries = document.get("entry", [])
    if document.get("resourceType") != "Bundle" or not _are_objects(entries):
        raise _unreadable("The reply is neither a Bundle nor an OperationOutcome")
    found: list[Resource] = []
    modified: set[int] = set()
    deleted = 0
    for place, entry in enumerate(entries):
        resource = entry.get("resource")
        if resource is None:
            deleted += _deletion(entry, place)
        elif _is_asked_for(entry, resource, resource_type, place):
            if not _NOT_TO_BE_IGNORED.isdisjoint(resource):
                modified.add(len(found))
            _check(resource, resource_type, version, place, partial=partial)
            found.append(resource)
    return Bundle(found, deleted, frozenset(modified), _next_link(document), _total(document))


def check_version(capabilities: Mapping[str, Any], version: str) -> str:
    """Which version a server says it speaks.

    Raises:
        FhirVersionRefused: When it is not the one that is agreed.
    """
    told = capabilities.get("fhirVersion")
    if capabilities.get("resourceType") != "CapabilityStatement" or not isinstance(told, str):
        raise _unreadable("The server's /metadata is no CapabilityStatement")
    if not told.startswith(f"{version}.") and told != version:
        raise version_refused(version, "The server's CapabilityStatement names another version")
    return told


def _is_asked_for(entry: Mapping[str, Any], resource: Any, resource_type: str, place: int) -> bool:
    """Whether an entry is a match; what a server adds to it (`include`) is left out."""
    if not isinstance(resource, dict):
        raise _unreadable(f"Entry {place} holds something that is no resource")
    kind, mode = resource.get("resourceType"), (entry.get("search") or {}).get("mode")
    if kind == resource_type and mode in (None, "match"):
        return True
    if mode == "include":
        return False
    if kind == "OperationOutcome":
        if any(issue.get("severity") in _GRAVE for issue in _issues(resource)):
            raise _reported(resource)
        return False
    raise _unreadable(f"Entry {place} holds a resource of another type than {resource_type}")


def _check(resource: Resource, resource_type: str, version: str, place: int, *, partial: bool) -> None:
    strangers = _ONLY_IN_R5.get(resource_type, _ANY_OF_R5)
    if not strangers.isdisjoint(resource):
        elements = ", ".join(sorted(strangers & set(resource)))
        raise version_refused(version, f"Entry {place} has elements of FHIR R5: {elements}")
    tags = (resource.get("meta") or {}).get("tag")
    if not partial and tags and any(isinstance(tag, dict) and tag.get("code") == "SUBSETTED" for tag in tags):
        raise _unreadable(f"Entry {place} is marked as partial (SUBSETTED), so what is missing may be known")


def _deletion(entry: Mapping[str, Any], place: int) -> int:
    method = (entry.get("request") or {}).get("method")
    status = str((entry.get("response") or {}).get("status", ""))
    if method == "DELETE" or status.startswith("410"):
        return 1
    raise _unreadable(f"Entry {place} holds no resource, and does not say that one was deleted")


def _next_link(document: Mapping[str, Any]) -> str | None:
    links = document.get("link", [])
    if not _are_objects(links):
        raise _unreadable("The links of the Bundle are no list of links")
    found = [link.get("url") for link in links if link.get("relation") == "next"]
    if not found:
        return None
    if len(found) > 1 or not isinstance(found[0], str) or not found[0]:
        raise _unreadable("The Bundle has no link to the next page that could be followed, or several")
    return found[0]


def _total(document: Mapping[str, Any]) -> int | None:
    total = document.get("total")
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def _reported(outcome: Mapping[str, Any]) -> LintasError:
    """An outcome as an error; its texts may quote what was asked or found, so only its codes are told."""
    issues = _issues(outcome)
    grave = [issue for issue in issues if issue.get("severity") in _GRAVE] or issues
    codes = [_code(issue.get("code")) for issue in grave]
    told = ", ".join(dict.fromkeys(codes[:_ISSUES_TOLD])) or "no reason"
    if codes and set(codes) <= _PASSING:
        return SourceBusy(
            "The server reports an error that may pass, where a page is due",
            why=f"Its OperationOutcome says: {told}",
            remedy="It is tried again; if it lasts, tell the agency the code",
            codes=tuple(codes[:_ISSUES_TOLD]),
        )
    return OutcomeReported(
        "The server reports an error where a page is due",
        why=f"Its OperationOutcome says: {told}",
        remedy="Tell the agency the code: its own log has the rest; check search in the contract",
        codes=tuple(codes[:_ISSUES_TOLD]),
    )


def _issues(outcome: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    issues = outcome.get("issue")
    return issues if issues and _are_objects(issues) else []


def _code(code: Any) -> str:
    """A code of the value set, never a text in its place."""
    return code if isinstance(code, str) and code in _PASSING | _LASTING else "unknown"


def _are_objects(found: Any) -> bool:
    return isinstance(found, list) and all(type(each) is dict for each in found)


def _unreadable(what: str) -> PageUnreadable:
    return PageUnreadable(
        what,
        why="The reply is JSON of another shape than FHIR agrees on",
        remedy="Compare resource, base_path and search in the contract with a reply of the server",
    )
