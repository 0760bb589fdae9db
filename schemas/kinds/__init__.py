"""What may a field hold?

Each kind of value is judged twice: by Python, which is the law and explains itself, and by Polars, which is
fast and may only ever accept what the law accepts, with the same value. In: cells as the source sends them.
Out: values of one fixed type, or a rule, a message and a remedy.
"""

from schemas.kinds.cell import CellInvalid, FastCell, Unrepresentable
from schemas.kinds.identifier import IdentifierKind
from schemas.kinds.kind import Kind
from schemas.kinds.moments import DateKind, MomentKind
from schemas.kinds.numbers import DecimalKind, IntegerKind, RupiahKind
from schemas.kinds.text import BooleanKind, CodeKind, TextKind

__all__ = [
    "BooleanKind",
    "CellInvalid",
    "CodeKind",
    "DateKind",
    "DecimalKind",
    "FastCell",
    "IdentifierKind",
    "IntegerKind",
    "Kind",
    "MomentKind",
    "RupiahKind",
    "TextKind",
    "Unrepresentable",
]
