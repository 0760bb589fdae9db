"""Every problem that the API may answer with, what to do about it, and the reference page of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """A problem type as clients read of it."""

    status: str
    what_to_do: str


PROBLEMS: Mapping[str, Listed] = {
    "exchange-denied": Listed(
        "403", "`rules` and `findings` say which rule said no; get the agreement or consent"
    ),
    "consent-changed": Listed("403", "the consent was withdrawn while the answer was made; ask the person"),
    "agreement-changed": Listed("403", "ask again: the agreement now in force decides"),
    "scope-insufficient": Listed("403", "ask the token endpoint for the scope"),
    "referral-not-yours": Listed(
        "403", "an officer of the owning office with the role `deciding-officer` must decide"
    ),
    "refused": Listed("403", "see the operation"),
    "client-unauthenticated": Listed("401", "get a new access token"),
    "token-request-invalid": Listed("400, 401", "see `error`"),
    "subject-not-matched": Listed("422", "check number and second element with the applicant"),
    "too-many-attempts": Listed("429", "wait, or verify at a counter"),
    "quota-exhausted": Listed("429", "the day's agreed number is used up"),
    "rate-limited": Listed("429", "wait `Retry-After` seconds"),
    "request-invalid": Listed("400, 422", "correct the fields in `errors`"),
    "applicant-invalid": Listed("422", "a number cannot be one of its kind"),
    "claims-invalid": Listed("422", "see the service for its claims"),
    "consent-not-possible": Listed("422", "see `detail`"),
    "idempotency-conflict": Listed("422", "use a new key for a new request"),
    "officer-signature-invalid": Listed("422", "sign exactly this referral with the officer's key"),
    "officer-unknown": Listed("422", "name a registered officer of your agency by pseudonym"),
    "cursor-invalid": Listed("422", "start without a cursor"),
    "invalid": Listed("422", "correct the request"),
    "service-unknown": Listed("404", "see `/v1/services`"),
    "answer-unknown": Listed("404", "use the id from your own reply"),
    "consent-unknown": Listed("404", "use the id from your own reply"),
    "webhook-invalid": Listed(
        "422", "give an https address without login, query or fragment, and a certificate in PEM"
    ),
    "webhook-unknown": Listed("404", "register a webhook, or read `/v1/notices`"),
    "referral-unknown": Listed("404", "list your open referrals"),
    "receipt-not-ready": Listed("404", "ask again in a second, or send `Prefer: wait=2`"),
    "unknown-entry": Listed("404", "the entry is not in this log"),
    "log-part-unknown": Listed("404", "read the checkpoint for the size"),
    "not-found": Listed("404", "see `/docs`"),
    "method-not-allowed": Listed("405", "see `Allow`"),
    "request-failed": Listed("4xx", "see `/docs`"),
    "referral-closed": Listed("409", "read the decision that stands"),
    "body-too-large": Listed("413", "send less"),
    "quorum-missing": Listed("503", "wait: the operator brings the witnesses of the log back"),
    "log-behind": Listed(
        "503", "try again after `Retry-After`: the log takes exchanges again when it keeps up"
    ),
    "retry-later": Listed("503", "try again after `Retry-After`"),
    "integrity-broken": Listed("500", "tell the operator"),
    "internal-error": Listed(
        "500", "try again with the same `Idempotency-Key`; tell the operator the `request_id`"
    ),
}
"""By the last part of their type."""

_HEAD = """# Problems

<!-- generated from web/problem_list.py by web.problem_list.markdown(): do not edit by hand -->

Every error is one `application/problem+json` document (RFC 9457; the token endpoint sends the same members
as `application/json` with `error` and `error_description`): `type`, `title`, `status`, `detail`, `remedy`,
`request_id`; where it applies `errors` (field and problem, never the value), `rules`, `findings`,
`decision_id`, `promise` (that the refusal stands in the log) and `retry_after`. The `type` is
`urn:lintas:problem:` and one of:
"""


def markdown() -> str:
    """The page `docs/reference/problems.md`."""
    rows = [f"| `{code}` | {each.status} | {each.what_to_do} |" for code, each in PROBLEMS.items()]
    return "\n".join([_HEAD, "| type | status | what to do |", "|---|---|---|", *rows]) + "\n"
