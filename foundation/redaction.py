"""What must never be read in a log or a trace, replaced before it gets there.

Names of people cannot be recognised, so the first rule stands in code: nobody logs values. This is
the second line: identifiers by their shape, secrets by their form, and everything under a telling key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["redact", "redact_text"]

_MASK = "‹hidden›"

#: A run of 15 to 20 digits (NIK, KK, NPWP, NITKU), however grouped and in whatever script; a longer
#: identifier's number holds one too. Nothing else we log has so many digits in a row.
_IDENTIFIER = re.compile(r"(?<!\d)\d(?:[ .\-–_/'’]?\d){14,21}(?!\d)")
_PATTERNS = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.?[\w-]*"), "‹token›"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ‹hidden›"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), r"\1:‹hidden›@"),
    (
        re.compile(
            r"(?i)\b(password|passwd|passphrase|secret|token|api[_-]?key)(\s*[=:]\s*)(\"[^\"]*\"|\S+)"
        ),
        r"\1\2‹hidden›",
    ),
    (re.compile(r"(?i)(Key\s*\([^)]*\)\s*=\s*)\(.*?\)(?=\s|$)"), r"\1(‹hidden›)"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|$)", re.S), "‹private key›"),
)

_TELLING_KEYS = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "client_secret",
        "token",
        "access_token",
        "refresh_token",
        "authorization",
        "cookie",
        "api_key",
        "apikey",
        "private_key",
        "assertion",
        "client_assertion",
        "conninfo",
        "database_url",
        "dsn",
        "nik",
        "no_kk",
        "kk",
        "family_card_number",
        "npwp",
        "npwp15",
        "npwp16",
        "nitku",
        "identifier",
        "phone",
        "email",
        "address",
        "alamat",
        "name",
        "full_name",
        "nama",
        "nama_lgkp",
        "nama_wp",
        "birth_date",
        "tgl_lhr",
        "birth_place",
        "tmpt_lhr",
        "mother_nik",
        "father_nik",
        "applicant",
        "body",
        "payload",
        "row",
        "raw",
        "values",
        "parameters",
        "params",
    ]
)
#: Keys whose values are random or technical, and may look like an identifier by chance.
_TECHNICAL_KEYS = frozenset({"trace_id", "span_id", "timestamp", "entry_id", "kid", "pid"})
_DEEPEST = 8


def redact(value: Any, *, key: str = "", depth: int = 0) -> Any:
    """Return a value as it may be logged under a key."""
    plain_key = key.lower().replace("-", "_")
    if plain_key in _TELLING_KEYS:
        return _MASK
    if plain_key in _TECHNICAL_KEYS or value is None or isinstance(value, bool | float):
        return value
    if depth > _DEEPEST:
        return _MASK
    if isinstance(value, Mapping):
        return {
            redact_text(str(name)): redact(item, key=str(name), depth=depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth + 1) for item in value]
    if isinstance(value, int):
        return value if abs(value) < 10**14 else _MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"‹{len(value)} bytes›"
    return redact_text(str(value))


def redact_text(text: str) -> str:
    """Return a text without identifiers, tokens and passwords."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _IDENTIFIER.sub("‹identifier›", text)
