"""Whole numbers and decimals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, ClassVar

import polars as pl

from schemas.kinds.cell import CellInvalid, FastCell, is_numeric, whole_number
from schemas.kinds.kind import Kind

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_SHORT_WHOLE = r"^-?(?:0|[1-9][0-9]{0,16})$"
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,27})(?:\.[0-9]{1,6})?")
_SHORT_DECIMAL = r"^-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,6})?$"
_EXACT_FLOAT = 2**53
SCALE = 6
_FIFTEEN_DIGITS = 10**15


@dataclass(frozen=True, slots=True)
class IntegerKind(Kind):
    """A whole number of at most eighteen digits."""

    minimum: int = -(10**18) + 1
    maximum: int = 10**18 - 1

    noun: ClassVar[str] = "whole number"
    sql_type: ClassVar[str] = "bigint"
    dtype: ClassVar[pl.DataType] = pl.Int64()

    def judge(self, cell: Any) -> int:
        """Accept whole numeric cells and plain decimal digits; no grouping, no leading zeros."""
        number = self._number(cell)
        if number is None:
            raise CellInvalid(
                "integer-expected",
                "The cell is not a whole number written in the digits 0-9 without grouping or leading zeros.",
                "Correct it at the source, or say in the contract how it is written.",
            )
        if not self.minimum <= number <= self.maximum:
            raise CellInvalid(
                "out-of-range",
                f"The number is not between {self.minimum} and {self.maximum}.",
                "Correct it at the source.",
            )
        return number

    def fast(self, cell: FastCell) -> FastCell:
        """Accept integer columns and plain digits."""
        if cell.dtype.is_integer():
            number = cell.value.cast(pl.Int64, strict=False)
            return cell.become(number, self.dtype, when=number.is_between(self.minimum, self.maximum))
        if cell.dtype == pl.String():
            number = cell.value.cast(pl.Int64, strict=False)
            plain = cell.value.str.contains(_SHORT_WHOLE)
            return cell.become(number, self.dtype, when=plain & number.is_between(self.minimum, self.maximum))
        return cell.leave_to_judge(self.dtype)

    @staticmethod
    def _number(cell: Any) -> int | None:
        if isinstance(cell, str):
            return int(cell) if _WHOLE.fullmatch(cell) else None
        if not is_numeric(cell):
            return None
        if isinstance(cell, float) and not abs(cell) <= _EXACT_FLOAT:
            return None
        return whole_number(cell)


@dataclass(frozen=True, slots=True)
class RupiahKind(IntegerKind):
    """An amount of money in whole rupiah; sen are not in use, and grouping is never guessed."""

    minimum: int = 0
    maximum: int = 10**15 - 1

    noun: ClassVar[str] = "amount in whole rupiah"


@dataclass(frozen=True, slots=True)
class DecimalKind(Kind):
    """A decimal number with at most six digits after the point, kept exactly."""

    noun: ClassVar[str] = "decimal number"
    sql_type: ClassVar[str] = "numeric(38,6)"
    dtype: ClassVar[pl.DataType] = pl.Decimal(38, SCALE)

    def judge(self, cell: Any) -> Decimal:
        """Accept numeric cells and plain decimal texts with a point; never rounds."""
        text = cell if isinstance(cell, str) else format(self._exact(cell), "f")
        if not _DECIMAL.fullmatch(text):
            raise self._unexpected()
        return self._scaled(Decimal(text))

    def fast(self, cell: FastCell) -> FastCell:
        """Accept integer columns, plain decimal texts, and floats that stand for a short decimal."""
        if cell.dtype.is_integer():
            return cell.become(cell.value.cast(self.dtype, strict=False), self.dtype, when=pl.lit(value=True))
        if cell.dtype == pl.String():
            number = cell.value.cast(self.dtype, strict=False)
            plain = cell.value.str.contains(_SHORT_DECIMAL) & number.is_not_null()
            return cell.become(number, self.dtype, when=plain)
        if cell.dtype == pl.Float64():
            return _short_decimals(cell, self.dtype)
        return cell.leave_to_judge(self.dtype)

    def _exact(self, cell: Any) -> Decimal:
        if not is_numeric(cell):
            raise self._unexpected()
        number = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)
        if not number.is_finite() or (number and abs(number.adjusted()) > 40):
            raise self._unexpected()
        return number.normalize() if number != number.to_integral_value() else number.to_integral_value()

    @staticmethod
    def _scaled(number: Decimal) -> Decimal:
        with localcontext(prec=60):
            try:
                return number.quantize(Decimal(1).scaleb(-SCALE))
            except InvalidOperation:
                raise DecimalKind._unexpected() from None

    @staticmethod
    def _unexpected() -> CellInvalid:
        return CellInvalid(
            "decimal-expected",
            "The cell is not a decimal number with a point and at most six digits after it.",
            "Correct it at the source, or say in the contract how it is written.",
        )


def _short_decimals(cell: FastCell, dtype: pl.DataType) -> FastCell:
    """Floats nearest to a decimal of at most fifteen digits, six after the point: what Python writes too."""
    scaled = (cell.value * 10**SCALE).round()
    number = scaled.cast(pl.Int64, strict=False)
    # By a constant Polars divides inexactly, as if it multiplied by the reciprocal; by a column it divides.
    millionths = scaled * 0.0 + float(10**SCALE)
    exact = (scaled.abs() < _FIFTEEN_DIGITS) & (scaled / millionths == cell.value)
    # Polars cuts a float that it casts to a decimal; a whole number of millionths it takes as it is.
    value = number.cast(dtype, strict=False) * pl.lit(Decimal(1).scaleb(-SCALE), dtype=dtype)
    return cell.become(value, dtype, when=exact & (value.to_physical() == number.cast(pl.Int128)))
