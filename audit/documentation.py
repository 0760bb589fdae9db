"""The reference page of entry kinds, generated from the registry."""

from __future__ import annotations

from collections.abc import Mapping

from audit.kinds import BATCH_FIGURES, COMMON_DETAILS, FIELDS, KINDS

__all__ = ["markdown"]

_HEAD = """# Entry kinds

<!-- generated from audit/kinds.py by audit.documentation.markdown(): do not edit by hand -->

Every entry of the log is one JSON object in RFC 8785 form, of at most 65,535 bytes. An entry holds only
what its kind allows; anything else is refused before it is written. Nothing in an entry can be tested
against a person: subjects are tags under keys of their own, personal content is sealed beside the log.
Every entry has `v`, `id`, `nonce`, `kind` and `time`.
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
    return "\n".join(parts).rstrip() + "\n"


def _table(name: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | meaning |", "|---|---|"]
    lines += [f"| `{key}` | {meaning} |" for key, meaning in rows.items()]
    return "\n".join(lines) + "\n"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing more"


if __name__ == "__main__":
    import sys

    sys.stdout.write(markdown())
