"""The schemas of replies, and the API's own documentation page: plain HTML, nothing fetched elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from web.replies import PROBLEM_SCHEMA

_TEXT = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_MAYBE_MOMENT = {"type": ["string", "null"], "format": "date-time"}
_BOTH_LANGUAGES = {
    "type": "object",
    "required": ["id", "en"],
    "properties": {"id": _TEXT, "en": _TEXT},
}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_OUTCOMES = ["met", "not_met", "unknown", "stale", "conflict", "source_down"]
_EVIDENCE = _object(
    {
        "evidence": _TEXT,
        "title": _BOTH_LANGUAGES,
        "dataset": _TEXT,
        "source": _TEXT,
        "as_of": _MAYBE_MOMENT,
        "fresh_until": _MAYBE_MOMENT,
        "contract_version": _MAYBE_TEXT,
        "relation": _TEXT,
        "live": {"type": "boolean"},
    }
)
_OUTCOME = _object(
    {
        "criterion": _TEXT,
        "title": _BOTH_LANGUAGES,
        "outcome": {"type": "string", "enum": _OUTCOMES},
        "reason": _BOTH_LANGUAGES,
        "relation": _TEXT,
        "legal_instrument": {"type": "object"},
        "gaps": _list(_TEXT),
        "evidence": _list(_EVIDENCE),
    }
)
_ANSWER = _object(
    {
        "format": _TEXT,
        "answer_id": {"type": "string", "format": "uuid"},
        "service": _TEXT,
        "service_version": _TEXT,
        "service_digest": _TEXT,
        "title": _BOTH_LANGUAGES,
        "consumer": _TEXT,
        "system": _TEXT,
        "purpose": _TEXT,
        "answered_at": _MOMENT,
        "verdict": {"type": "string", "enum": ["verified", "refer", "not_possible"]},
        "outcomes": _list(_OUTCOME),
        "decision": {"type": "object"},
        "referral": {"type": ["object", "null"]},
        "request": {"type": "object"},
    },
    reviews={"type": "string", "format": "uuid", "description": "The earlier answer that this one reviews"},
)
_REFERRAL = _object(
    {
        "referral_id": {"type": "string", "format": "uuid"},
        "answer_id": {"type": "string", "format": "uuid"},
        "owner": _TEXT,
        "consumer": _TEXT,
        "service": _TEXT,
        "criteria": _list(_TEXT),
        "state": {"type": "string", "enum": ["open", "stopped", "decided"]},
        "opened_at": _MOMENT,
        "due_at": _MOMENT,
        "stopped_at": _MAYBE_MOMENT,
        "decided_at": _MAYBE_MOMENT,
        "verdict": _MAYBE_TEXT,
        "overdue": {"type": "boolean"},
    }
)

SCHEMAS: dict[str, Any] = {
    "Problem": PROBLEM_SCHEMA,
    "SignedAnswer": _object(
        {"answer": _ANSWER, "jws": _TEXT, "promise": _TEXT, "receipt_url": _TEXT, "receipt": _MAYBE_TEXT}
    ),
    "Consent": _object(
        {
            "consent_id": {"type": "string", "format": "uuid"},
            "revision": {"type": "integer"},
            "revision_hash": _TEXT,
            "state": {"type": "string", "enum": ["granted", "refused", "withdrawn", "expired"]},
            "consumer": _TEXT,
            "purpose": _TEXT,
            "fields": {"type": "object"},
            "valid_from": _MOMENT,
            "valid_until": _MAYBE_MOMENT,
        }
    ),
    "Referral": _REFERRAL,
    "Referrals": _object(
        {"referrals": _list({"$ref": "#/components/schemas/Referral"}), "next": _MAYBE_TEXT}
    ),
    "Notices": _object(
        {
            "notices": _list(
                _object(
                    {
                        "event": {"type": "object", "description": "A CloudEvent 1.0"},
                        "state": {
                            "type": "string",
                            "enum": ["queued", "delivered", "dead"],
                        },
                    }
                )
            ),
            "next": _TEXT,
        }
    ),
    "Webhook": _object(
        {
            "url": _TEXT,
            "ca_pinned": {"type": "boolean"},
            "status": {"type": "string", "enum": ["pending", "active", "paused"]},
            "reason": _MAYBE_TEXT,
            "changed_at": _MOMENT,
        }
    ),
    "Exchanges": _object(
        {"exchanges": _list({"type": "object"}), "next_before": {"type": ["integer", "null"]}}
    ),
}
"""Schemas that operations refer to by name."""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{background:#f4f6f8;padding:1rem;overflow:auto}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #d5dce3}h3 code{background:#e8f1ec;padding:.15em .4em;"
    "border-radius:4px}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
    "details{margin:.6rem 0}"
)


def page(openapi: dict[str, Any]) -> str:
    """The documentation page, made from the OpenAPI document."""
    sections: dict[str, list[str]] = {}
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            sections.setdefault(tag, []).append(_operation(method, path, operation))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in sections.items())
    schemas = "".join(
        _schema(name, schema) for name, schema in sorted(openapi["components"]["schemas"].items())
    )
    info = openapi["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(info['title'])} API</title>"
        f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])} API</h1>"
        f"<p>{escape(info['description'])}</p>"
        f'<p>Machine-readable: <a href="/openapi.json">openapi.json</a> ({escape(openapi["openapi"])}).</p>'
        f"{body}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    replies = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(reply['description'])}</td></tr>"
        for status, reply in sorted(operation["responses"].items())
    )
    content = operation.get("requestBody", {}).get("content", {})
    body = "".join(
        f"<details><summary>Body: {escape(kind)}</summary><pre>{_pretty(each['schema'])}</pre></details>"
        for kind, each in content.items()
    )
    return (
        f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{escape(operation.get('summary', ''))}. "
        f"{escape(operation.get('description', ''))}</p>"
        f"{f'<table>{rows}</table>' if rows else ''}{body}<table>{replies}</table>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{_pretty(schema)}</pre></details>"


def _pretty(schema: dict[str, Any]) -> str:
    return escape(json.dumps(schema, indent=2))
