"""Comparing names as people write them: titles, spelling reforms and abbreviations aside.

A name alone never links two records; here it only serves as the second element beside a number.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["normalised", "same_name"]

_TITLES = frozenset(
    [
        "dr",
        "dra",
        "drs",
        "drg",
        "prof",
        "ir",
        "h",
        "hj",
        "haji",
        "hajah",
        "kh",
        "kyai",
        "nyai",
        "ustadz",
        "ustadzah",
        "rr",
        "raden",
        "r",
        "rm",
        "ra",
        "almarhum",
        "alm",
        "almarhumah",
        "bapak",
        "ibu",
        "tn",
        "ny",
        "sdr",
        "sdri",
        "se",
        "sh",
        "st",
        "spd",
        "spdi",
        "sag",
        "si",
        "ssi",
        "ssos",
        "skom",
        "skm",
        "sked",
        "sip",
        "skep",
        "sth",
        "sdt",
        "sp",
        "spt",
        "stp",
        "shi",
        "mm",
        "mh",
        "mt",
        "mpd",
        "mpdi",
        "mag",
        "msi",
        "mkom",
        "mkes",
        "msc",
        "ma",
        "mba",
        "phd",
        "sd",
        "amd",
        "amdkeb",
        "ners",
        "ns",
        "apt",
    ]
)
_ABBREVIATIONS = {"m": "muhamad", "moh": "muhamad", "muh": "muhamad", "mohd": "muhamad", "muhd": "muhamad",
                  "mochamad": "muhamad", "mochammad": "muhamad", "mohamad": "muhamad", "mohammad": "muhamad",
                  "muhammad": "muhamad", "moch": "muhamad", "much": "muhamad", "abd": "abdul",
                  "abdoel": "abdul",
                  "achmad": "ahmad", "akhmad": "ahmad", "ach": "ahmad"}  # fmt: skip
# Spelling before 1947 and before 1972; `y` and `i`, doubled letters.
_SPELLING = (("oe", "u"), ("tj", "c"), ("dj", "j"), ("nj", "ny"), ("sj", "sy"), ("ch", "h"), ("kh", "h"),
             ("y", "i"), ("v", "f"), ("z", "s"))  # fmt: skip


def same_name(first: str, second: str) -> bool:
    """Whether two names are the same name written in two ways."""
    ours, theirs = normalised(first), normalised(second)
    return bool(ours) and ours == theirs


def normalised(name: str) -> str:
    """The name without titles, accents and signs, in one spelling."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    head, *after_commas = plain.split(",")
    degrees = (word for part in after_commas for word in _words(part.replace(".", "")))
    words = _words(head) + [word for word in degrees if word not in _TITLES]
    kept = [word for word in words if word not in _TITLES] or words
    return " ".join(_spelled(_ABBREVIATIONS.get(word, word)) for word in kept)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", re.sub(r"(?<=\b\w)\.(?=\w)", "", re.sub(r"['’`]", "", text)))


def _spelled(word: str) -> str:
    for old, new in _SPELLING:
        word = word.replace(old, new)
    return re.sub(r"(.)\1+", r"\1", word)
