"""What can go wrong in the queue of attention.

```
Refused
├── FlagUnknown            no flag has this id
├── VerdictRefused         this person may not judge this flag, or it is judged already
└── RelationInvalid        the relation is none, or is not noted
```
"""

from foundation.errors import Refused

__all__ = ["FlagUnknown", "RelationInvalid", "VerdictRefused"]


class FlagUnknown(Refused):
    """No flag has this id."""

    code = "flag-unknown"


class VerdictRefused(Refused):
    """This person may not judge this flag, or it is judged already."""

    code = "verdict-refused"


class RelationInvalid(Refused):
    """The relation is none, or is not noted."""

    code = "relation-invalid"
