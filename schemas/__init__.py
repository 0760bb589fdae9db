"""WHAT is exchanged? Identifiers, record types, data contracts, and the mapping from one to the other.

In: contract files of agencies (Open Data Contract Standard) and pages of cells as their systems send them.
Out: contracts as typed values, frames of canonical records, and for every rejected row what is wrong with
which field and what to do about it. Everything here is pure: no database, no network, no secret.
"""

__all__ = ["contracts", "documentation", "errors", "identifiers", "mapping", "quality", "record_types"]
