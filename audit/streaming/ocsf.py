"""OCSF 1.6.0, the Open Cybersecurity Schema Framework: three of its classes carry every kind of entry.

| class | kinds |
|---|---|
| API Activity (6003) | exchanges, look-ups, notices, referrals, views of the log, and all else |
| Datastore Activity (6005) | syncs, quarantine, links between records |
| Entity Management (3004) | agreements, consents, contracts, keys, roles, participants, webhooks, streams |

`metadata.uid` is the entry's id and `metadata.sequence` its number: a SIEM that gets an event twice can tell.
"""

from __future__ import annotations

from typing import Any

from audit.streaming.logged import LoggedEntry, Origin

__all__ = ["VERSION", "ocsf"]

VERSION = "1.6.0"

_API, _DATASTORE, _ENTITY = 6003, 6005, 3004
_NAMES = {_API: "API Activity", _DATASTORE: "Datastore Activity", _ENTITY: "Entity Management"}
_CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}
_DATASTORE_GROUPS = frozenset({"sync", "quarantine", "conflict", "identity"})
_ENTITY_GROUPS = frozenset(
    {"agreement", "consent", "contract", "key", "participant", "role", "stream", "webhook", "attention"}
)
_OTHER = 99
_VERBS = {
    "read": "Read", "answered": "Read", "viewed": "Read", "requested": "Read", "completed": "Read",
    "exported": "Read", "reviewed": "Read", "refused": "Read",
    "added": "Create", "signed": "Create", "granted": "Create", "opened": "Create", "published": "Create",
    "linked": "Create", "pushed": "Create", "flagged": "Create", "accepted": "Create",
    "changed": "Update", "rolled": "Update", "decided": "Update", "judged": "Update", "paused": "Update",
    "resumed": "Update", "repaired": "Update", "replayed": "Update",
    "ended": "Delete", "withdrawn": "Delete", "expired": "Delete", "unlinked": "Delete",
    "discarded": "Delete", "erased": "Delete", "pruned": "Delete",
}  # fmt: skip
_ACTIVITIES = {
    _API: {"Create": 1, "Read": 2, "Update": 3, "Delete": 4},
    _DATASTORE: {"Read": 1, "Update": 2, "Create": 6, "Delete": 7},
    _ENTITY: {"Create": 1, "Read": 2, "Update": 3, "Delete": 4},
}
_SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium"}
_CARRIED = frozenset(
    {"v", "id", "nonce", "kind", "time", "provider", "consumer", "system", "actor", "outcome", "trace"}
)


def ocsf(entry: LoggedEntry, origin: Origin) -> dict[str, Any]:
    """One entry as an OCSF event."""
    class_uid = _class_of(entry)
    activity, name = _activity(class_uid, entry.kind)
    severity = 3 if entry.kind == "attention.flagged" else 2 if entry.has_failed else 1
    event = {
        "class_uid": class_uid,
        "class_name": _NAMES[class_uid],
        "category_uid": class_uid // 1000,
        "category_name": _CATEGORIES[class_uid // 1000],
        "activity_id": activity,
        "activity_name": name,
        "type_uid": class_uid * 100 + activity,
        "type_name": f"{_NAMES[class_uid]}: {name if activity != _OTHER else 'Other'}",
        "severity_id": severity,
        "severity": _SEVERITIES[severity],
        "status_id": 2 if entry.has_failed else 1,
        "status": "Failure" if entry.has_failed else "Success",
        "status_code": entry.text("outcome"),
        "time": entry.milliseconds,
        "message": entry.summary,
        "metadata": _metadata(entry, origin),
        "actor": _actor(entry),
        "src_endpoint": {
            "name": entry.text("system") or entry.text("consumer") or origin.host,
            "svc_name": entry.text("system"),
        },
        "unmapped": {name: value for name, value in entry.data.items() if name not in _CARRIED},
    }
    event |= _of_class(class_uid, entry)
    complete: dict[str, Any] = _without_none(event)
    return complete


def _of_class(class_uid: int, entry: LoggedEntry) -> dict[str, Any]:
    if class_uid == _API:
        return {
            "api": {
                "operation": entry.kind,
                "service": {"name": "lintas"},
                "request": {"uid": entry.text("trace") or entry.entry_id},
            },
            "resources": [
                {"name": dataset, "type": "dataset", "owner": _owner(entry)}
                for dataset in entry.data.get("datasets", [])
            ]
            or None,
        }
    if class_uid == _DATASTORE:
        datasets = entry.data.get("datasets") or [entry.text("provider") or "lintas"]
        return {"type_id": 3, "type": "Table", "table": {"name": str(datasets[0])}}
    kind = entry.kind.partition(".")[0]
    return {"entity": {"type": kind, "name": _named(entry, kind)}}


def _named(entry: LoggedEntry, kind: str) -> str:
    details = entry.data.get("details", {})
    known = ("participant_id", "officer", "kid", "stream", "host", "flag")
    held = [details[name] for name in known if details.get(name)]
    held += [each["id"] for each in entry.data.get("agreements", [])]
    if consent := entry.data.get("consent"):
        held.insert(0, consent["id"])
    return str(next(iter([*held, *entry.data.get("datasets", [])]), kind))


def _class_of(entry: LoggedEntry) -> int:
    group = entry.kind.partition(".")[0]
    if group in _DATASTORE_GROUPS:
        return _DATASTORE
    return _ENTITY if group in _ENTITY_GROUPS else _API


def _activity(class_uid: int, kind: str) -> tuple[int, str]:
    """The activity by the last word of the kind; one the class does not know is told by its own name."""
    verb = _VERBS.get(kind.rpartition(".")[2], "")
    if class_uid == _DATASTORE and kind == "sync.completed":
        verb = "Update"
    if class_uid == _ENTITY and kind in {"consent.refused", "agreement.read"}:
        verb = "Create"
    number = _ACTIVITIES[class_uid].get(verb)
    return (number, verb) if number is not None else (_OTHER, kind)


def _metadata(entry: LoggedEntry, origin: Origin) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "Lintas", "vendor_name": "Kota Mojokerto", "version": origin.version},
        "uid": entry.entry_id,
        "sequence": entry.index,
        "event_code": entry.kind,
        "log_name": origin.log,
        "log_provider": "lintas",
        "log_version": str(entry.data.get("v", "")),
        "original_time": entry.time,
        "correlation_uid": entry.text("trace") or entry.text("run"),
    }


def _actor(entry: LoggedEntry) -> dict[str, Any]:
    """Who acted: an officer by pseudonym, else the system; an organisation stands beside either."""
    agency = entry.text("consumer")
    user: dict[str, Any] = {
        "name": entry.text("actor") or entry.text("system") or agency or "lintas",
        "type_id": 1 if entry.text("actor") else 3,
        "type": "User" if entry.text("actor") else "System",
        "org": {"name": agency, "uid": agency} if agency else None,
    }
    return {"user": user, "app_name": entry.text("system")}


def _owner(entry: LoggedEntry) -> dict[str, Any] | None:
    provider = entry.text("provider")
    return {"name": provider, "org": {"name": provider}} if provider else None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
