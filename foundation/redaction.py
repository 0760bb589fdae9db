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
#: Every repetition that can be begun at many places is bounded: a long text costs no more than its length.
_PATTERNS = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.?[\w-]*"), "‹token›"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ‹hidden›"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,500}):[^\s/@]+@"), r"\1:‹hidden›@"),
    (
        re.compile(
            r"(?i)\b(password|passwd|passphrase|secret|token|api[_-]?key)(\s*[=:]\s*)(\"[^\"]*\"|\S+)"
        ),
        r"\1\2‹hidden›",
    ),
    (re.compile(r"(?i)(Key\s{0,3}\(.{0,300}?\)\s{0,3}=\s{0,3})\(.*?(?:\)(?=\s|$)|$)", re.M), r"\1(‹hidden›)"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|$)", re.S), "‹private key›"),
)

_TELLING_KEYS = frozenset(
    {
        "access_token",
        "address",
        "alamat",
        "api_key",
        "apikey",
        "applicant",
        "assertion",
        "authorization",
        "birth_date",
        "birth_place",
        "body",
        "client_assertion",
        "client_secret",
        "conninfo",
        "cookie",
        "database_url",
        "dsn",
        "email",
        "family_card_number",
        "father_nik",
        "full_name",
        "identifier",
        "kk",
        "mother_nik",
        "nama",
        "nama_lgkp",
        "nama_wp",
        "name",
        "nik",
        "nitku",
        "no_kk",
        "npwp",
        "npwp15",
        "npwp16",
        "parameters",
        "params",
        "passphrase",
        "passwd",
        "password",
        "payload",
        "phone",
        "private_key",
        "raw",
        "refresh_token",
        "row",
        "secret",
        "tgl_lhr",
        "tmpt_lhr",
        "token",
        "values",
    }
)
#: Keys whose values are random or technical, and may look like an identifier by chance.
_TECHNICAL_KEYS = frozenset({"trace_id", "span_id", "timestamp", "entry_id", "kid", "pid"})
_DEEPEST = 8


def redact(value: Any, *, key: str = "", depth: int = 0) -> Any:
    """Return a value as it may be logged under a key."""
    plain_key = key.lower().replace("-", "_")
    if plain_key in _TELLING_KEYS or depth > _DEEPEST:
        return _MASK
    if plain_key in _TECHNICAL_KEYS or value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Mapping):
        pairs = ((str(name), item) for name, item in value.items())
        return {redact_text(name): redact(item, key=name, depth=depth + 1) for name, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth + 1) for item in value]
    return _redact_scalar(value)


def _redact_scalar(value: Any) -> Any:
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
