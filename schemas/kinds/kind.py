"""A kind of value: what a field may hold, judged twice, once in Python and once in Polars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, get_args

import polars as pl
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.kinds.cell import CellInvalid, FastCell, Unrepresentable


class Kind(ABC):
    """Metadata of a field: its types, and both judges of its values.

    Invariant: what ``fast`` calls right, ``judge`` accepts with the identical value.
    """

    noun: ClassVar[str] = "value"
    sql_type: ClassVar[str]
    dtype: ClassVar[pl.DataType]

    @property
    def title(self) -> str:
        """What a value of this kind is called."""
        return self.noun

    @abstractmethod
    def judge(self, cell: Any) -> Any:
        """Return the field's value for a cell.

        Raises:
            CellInvalid: The cell has none; with rule, message and remedy.
        """

    @abstractmethod
    def fast(self, cell: FastCell) -> FastCell:
        """Judge a whole column at once, leaving doubtful cells to :meth:`judge`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        validator = core_schema.no_info_plain_validator_function(self._validate)
        return core_schema.nullable_schema(validator) if type(None) in get_args(source) else validator

    def _validate(self, cell: Any) -> Any:
        try:
            if cell is None:
                raise CellInvalid("missing", "The field must not be empty.", "Fill it in at the source.")
            if isinstance(cell, Unrepresentable):
                raise CellInvalid("out-of-range", f"The cell holds {cell.what}.", "Correct it at the source.")
            return self.judge(cell)
        except CellInvalid as problem:
            raise PydanticCustomError(
                "cell",
                "{explanation}",
                {"explanation": problem.message, "rule": problem.rule, "remedy": problem.remedy},
            ) from None
