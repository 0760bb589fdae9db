"""The reference page of entry kinds, generated from the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audit.kinds import BATCH_FIGURES, COMMON_DETAILS, FIELDS, KINDS, EntryKind

__all__ = ["example", "markdown"]

_ID = "019a2f30-7c1e-7d52-9a41-5be2c0d1f6a7"
_REVISION = {"id": "dukcapil-diskopukm", "revision": 2, "hash": "7f" * 32}
_OF_FIELD: Mapping[str, Any] = {
    "provider": "dukcapil-mojokerto",
    "consumer": "diskopukm-mojokerto",
    "system": "palapa-mojo",
    "actor": "walidata-01",
    "purpose": "aid-micro-business",
    "legal_basis": "consent",
    "agreements": [_REVISION],
    "consent": {"id": _ID, "revision": 1, "hash": "3c" * 32},
    "datasets": ["dukcapil-mojokerto/persons"],
    "fields": ["dukcapil-mojokerto/persons:birth_date"],
    "decision": _ID,
    "rules": ["agreement.in-force", "consent.covers-fields"],
    "outcome": "verified",
    "batch": {"batch_id": _ID, "read": 1200, "accepted": 1197, "quarantined": 3, "root": "a4" * 32},
    "subjects": ["5d" * 16],
}
_OF_DETAIL: Mapping[str, Any] = {
    "answer": _ID, "answers": 3, "attempts": 2, "change": "granted", "channel": "portal", "conflicts": 1,
    "contract_version": "1.2.0", "criteria": 1, "deadline": "2026-11-27T08:00:00.000000Z", "entries": 25,
    "flag": _ID, "format": "pdf", "ground": "subject-request", "hold": _ID, "host": "portal.example:443",
    "kid": "auth-2", "kind": "portal", "late": False, "minimum_index": 4194304, "notice": _ID,
    "officer": "walidata-02", "participant": "system", "participant_id": "palapa-mojo",
    "problem": "invalid_client", "promises": 40, "pruning": _ID, "question": "subject", "records": 2,
    "referral": _ID, "repair": "pad-kbli", "request": _ID, "rewrapped": 812, "role": "steward", "rows": 12,
    "rule": "rate-against-peers", "scopes": ["verifications"], "service": "bantuan-usaha-mikro",
    "since": "2026-11-22T01:00:00.000000Z", "stream": "soc", "until": "2026-11-22T02:00:00.000000Z",
    "use": "auth", "verdict": "justified", "version": 3, "view": "subject", "witness": "kpk",
}  # fmt: skip
_ENOUGH = 3

_HEAD = """# Entry kinds

<!-- generated from audit/kinds.py by audit.documentation.markdown(): do not edit by hand -->

Every entry of the log is one JSON object in RFC 8785 form, of at most 65,535 bytes. An entry holds only
what its kind allows; anything else is refused before it is written. Nothing in an entry can be tested
against a person: subjects are tags under keys of their own, personal content is sealed beside the log.
Every entry has `v`, `id`, `nonce`, `kind` and `time`. The examples are made up; line breaks and blanks are
theirs alone, for the stored bytes have none.
"""


def markdown() -> str:
    """The page `docs/reference/entry-kinds.md`."""
    parts = [_HEAD, "## Fields\n", _table("field", FIELDS), "## Details that every kind may carry\n"]
    parts += [_table("detail", COMMON_DETAILS), "## Batch figures\n", _table("figure", BATCH_FIGURES)]
    parts.append("## Kinds\n")
    for kind, rule in KINDS.items():
        parts.append(f"### {kind}\n\n{rule.summary[0].upper()}{rule.summary[1:]}.\n")
        parts.append(
            f"Must have: {_names(rule.required)}. May have: {_names(rule.allowed - rule.required)}.\n"
        )
        if rule.details:
            parts.append(_table("detail", rule.details))
        encoded = json.dumps(example(kind), indent=2, sort_keys=True)
        parts.append(f"```json\n{encoded}\n```\n")
    return "\n".join(parts).rstrip() + "\n"


def example(kind: EntryKind) -> dict[str, Any]:
    """An entry of a kind with made-up values: what it must say, and a few details that it may."""
    rule = KINDS[kind]
    details = [(name, _OF_DETAIL[name]) for name in rule.details if name in _OF_DETAIL][:_ENOUGH]
    entry = {"v": 1, "id": _ID, "nonce": "0b" * 16, "kind": str(kind), "time": "2026-11-22T01:30:00.250000Z"}
    entry |= {name: _OF_FIELD[name] for name in FIELDS if name in rule.required and name in _OF_FIELD}
    return entry | ({"details": dict(details)} if details else {})


def _table(name: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | meaning |", "|---|---|"]
    lines += [f"| `{key}` | {meaning} |" for key, meaning in rows.items()]
    return "\n".join(lines) + "\n"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing more"


if __name__ == "__main__":
    import sys

    sys.stdout.write(markdown())
