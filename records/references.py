"""Rules between datasets: what one register says should fit what another one knows.

A broken reference is a warning: the record is published and flagged. A death whose person the bus does not
know is a true death all the same; to hold it back would leave somebody verified who is dead.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REFERENCES", "Reference", "references_of"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of one record type that should name a record of another one, of the same agency."""

    rule: str
    record_type: str
    field: str
    target_type: str
    target_field: str
    description: str


REFERENCES = (
    Reference(
        rule="person-known",
        record_type="Death",
        field="nik",
        target_type="Person",
        target_field="nik",
        description="The deceased is a person that the same registry knows.",
    ),
)


def references_of(record_type: str) -> tuple[Reference, ...]:
    """The references that start at a record type."""
    return tuple(each for each in REFERENCES if each.record_type == record_type)
