r"""CEF, the Common Event Format: one line a SIEM's syslog collector takes apart by itself.

Escaping follows the format's own rules: in the header `\` and `|`, in an extension `\` and `=`, and line
breaks only in extensions, as `\n` and `\r`. A value that is too long is cut and says so.
"""

from __future__ import annotations

from audit.streaming.logged import LoggedEntry, Origin

__all__ = ["cef"]

_LONGEST = 1000
_NORMAL, _NOTICE, _FAILED = 2, 5, 6
_LABELLED = {
    "cs1": ("provider", "provider"),
    "cs2": ("consumer", "consumer"),
    "cs3": ("purpose", "purpose"),
    "cs4": ("legalBasis", "legal_basis"),
    "cs5": ("datasets", "datasets"),
    "cs6": ("fields", "fields"),
}


def cef(entry: LoggedEntry, origin: Origin) -> str:
    """One entry as a CEF line, without the syslog header."""
    header = [
        "CEF:0",
        "Kota Mojokerto",
        "Lintas",
        _head(origin.version),
        _head(entry.kind),
        _head(entry.summary),
        str(severity(entry)),
    ]
    extension = " ".join(f"{key}={_value(value)}" for key, value in _extension(entry, origin).items())
    return f"{'|'.join(header)}|{extension}"


def severity(entry: LoggedEntry) -> int:
    """How much it matters, from 0 to 10."""
    if entry.kind == "attention.flagged":
        return _NOTICE
    return _FAILED if entry.has_failed else _NORMAL


def _extension(entry: LoggedEntry, origin: Origin) -> dict[str, str]:
    found = {
        "rt": str(entry.milliseconds),
        "externalId": entry.entry_id,
        "deviceExternalId": origin.log,
        "dvchost": origin.host,
        "cat": entry.kind.partition(".")[0],
        "act": entry.kind,
        "outcome": entry.text("outcome"),
        "suser": entry.text("actor"),
        "sourceServiceName": entry.text("system"),
        "reason": entry.text("rules"),
        "cn1Label": "logIndex",
        "cn1": str(entry.index),
    }
    for key, (label, name) in _LABELLED.items():
        value = entry.text(name)
        if value is not None:
            found |= {f"{key}Label": label, key: value}
    return {key: value for key, value in found.items() if value is not None}


def _head(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 4]} ..."
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")
