"""For whom a steward may act: for their own agency; those of the operator for what is the operator's.

Invariant: nobody opens, releases, ends or changes by a steward's word what belongs to an agency that the
steward does not work for. The operator runs the bus, but another agency's data is not the operator's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from psycopg import Connection
from psycopg.rows import class_row

from foundation import clock
from foundation.database_errors import translated
from participants.errors import NotASteward, NotYourAgency
from participants.registry import system
from participants.roles import OfficerRole

__all__ = ["OPERATOR_KIND", "Steward", "agency_of_dataset", "steward"]

OPERATOR_KIND = "operator"
"""The kind of the agency that runs the bus."""


@dataclass(frozen=True, slots=True)
class Steward:
    """A steward, and the agency that they act for.

    Attributes:
        pseudonym: The name under which they stand in the log.
        agency_id: The agency they work for.
        is_operators: Whether that agency runs the bus.
    """

    pseudonym: str
    agency_id: str
    is_operators: bool

    def for_agency(self, *agencies: str) -> Self:
        """Refuse what none of these agencies owns together with the steward's.

        Raises:
            NotYourAgency: When the steward works for none of them.
        """
        if self.agency_id not in agencies:
            raise NotYourAgency(self.pseudonym, self.agency_id, agencies)
        return self

    def for_each(self, datasets: Iterable[str]) -> Self:
        """Refuse unless all of these datasets are the steward's agency's.

        Raises:
            NotYourAgency: When one of them belongs to another agency.
        """
        for owner in sorted({agency_of_dataset(dataset) for dataset in datasets}):
            self.for_agency(owner)
        return self

    def for_operator(self) -> Self:
        """Refuse what only a steward of the operator may do.

        Raises:
            NotYourAgency: When the steward works for another agency.
        """
        if not self.is_operators:
            raise NotYourAgency(self.pseudonym, self.agency_id, ())
        return self

    def for_system(self, connection: Connection[Any], system_id: str) -> Self:
        """Refuse what concerns a system, unless it is the agency's own or the steward is the operator's.

        Raises:
            NotYourAgency: When the system belongs to another agency.
            ParticipantUnknown: When there is no such system.
        """
        owner = system(connection, system_id).agency_id
        return self if self.is_operators else self.for_agency(owner)


def steward(connection: Connection[Any], pseudonym: str) -> Steward:
    """Find who acts; the log names them, and a name that is no steward's would make that worthless.

    Raises:
        NotASteward: When nobody of that pseudonym holds the role of a steward now.
    """
    with translated(), connection.cursor(row_factory=class_row(Steward)) as cursor:
        found = cursor.execute(
            _STEWARD,
            {
                "pseudonym": pseudonym,
                "role": str(OfficerRole.STEWARD),
                "operator": OPERATOR_KIND,
                "at": clock.now(),
            },
        ).fetchone()
    if found is None:
        raise NotASteward(pseudonym)
    return found


def agency_of_dataset(dataset_id: str) -> str:
    """Whose dataset it is: ids of datasets begin with their agency's."""
    return dataset_id.partition("/")[0]


_STEWARD = """
SELECT o.pseudonym, o.agency_id, a.kind = %(operator)s AS is_operators
  FROM participants.officer o JOIN participants.agency a USING (agency_id)
 WHERE o.pseudonym = %(pseudonym)s
   AND EXISTS (SELECT FROM participants.officer_role r
                WHERE r.officer_id = o.officer_id AND r.role = %(role)s AND r.valid_from <= %(at)s
                  AND (r.valid_to IS NULL OR %(at)s < r.valid_to))
"""
