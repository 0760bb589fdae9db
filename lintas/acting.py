"""Who acts on the log at the command line: named with the command, or by `LINTAS_OFFICER`, and never made up.

Invariant: whoever an entry names as having read, taken out or handed over a part of the log held the role
for it at that moment.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

    from foundation.settings import Settings

__all__ = ["acting_auditor", "acting_keeper", "named_officer"]


def acting_auditor(connection: "Connection[Any]", settings: "Settings", given: str | None) -> str:
    """The auditor who acts.

    Raises:
        NotAnAuditor: When nobody is named, or they are no auditor now.
    """
    from audit.search.readers import require_auditor

    named = _named(settings, given)
    require_auditor(connection, named)
    return named


def acting_keeper(connection: "Connection[Any]", settings: "Settings", given: str | None) -> str:
    """The auditor, or steward of the operator, who hands over what lies beside the log.

    Raises:
        NotAnAuditor: When nobody is named, or they are neither.
    """
    from audit.errors import NotAnAuditor
    from audit.search.readers import require_auditor
    from participants.errors import NotASteward
    from participants.stewards import steward

    named = _named(settings, given)
    try:
        require_auditor(connection, named)
    except NotAnAuditor:
        try:
            steward(connection, named).for_operator()
        except NotASteward:
            raise NotAnAuditor(
                f"{named} is the pseudonym of neither an auditor nor a steward of the operator.",
                remedy="Use your own pseudonym; an operator registers officers with `lintas officers add`.",
            ) from None
    return named


def named_officer(given: str | None) -> str:
    """Who is named with the command or by the settings; the search itself asks whether they are an auditor.

    Raises:
        NotAnAuditor: When nobody is named.
    """
    from foundation.installation import Installation

    return _named(Installation.open().settings, given)


def _named(settings: "Settings", given: str | None) -> str:
    from audit.errors import NotAnAuditor

    named = given or settings.officer
    if named is None:
        raise NotAnAuditor(
            "Nobody is named who reads the log.",
            why="The log names who has read it.",
            remedy="Give your pseudonym with the command, or set LINTAS_OFFICER.",
        )
    return named
