"""A number of operations that depends on sizes which are known only when a model is run."""

from __future__ import annotations

__all__ = ["Amount", "UnknownSizeError", "amount_of"]

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx_ir as ir

_MADE_UP = "unk__"
"""How ONNX's shape inference begins the names of sizes of which it knows nothing."""
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


class UnknownSizeError(Exception):
    """A size of a value is neither a number nor a name that the model gives it."""


@dataclass(frozen=True)
class Amount:
    """``Σ coefficient · symbol · symbol …``.

    Attributes:
        terms: The coefficient of each product of symbols, which are sorted; that of the empty
            product is the number itself.
    """

    terms: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(Counter(self.terms) + Counter(other.terms))

    def __str__(self) -> str:
        """As in ``1.82 G × N + 3.1 k``, the largest first."""
        terms = sorted(self.terms.items(), key=lambda item: -item[1])
        return " + ".join(" × ".join((_short(n), *symbols)) for symbols, n in terms) or "0"

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data, a product of symbols each."""
        return [
            {"count": number, "symbols": list(symbols)}
            for symbols, number in sorted(self.terms.items())
        ]


def amount_of(shape: Iterable[int | ir.SymbolicDim], times: int = 1) -> Amount:
    """How many elements a shape has, ``times`` over.

    Raises:
        UnknownSizeError: One of its sizes is not known at all.
    """
    numbers, symbols = [times], []
    for size in shape:
        if isinstance(size, int):
            numbers.append(size)
        elif size.value is None or size.value.startswith(_MADE_UP):
            raise UnknownSizeError
        else:
            symbols.append(size.value)
    total = math.prod(numbers)
    return Amount({tuple(sorted(symbols)): total} if total else {})


def _short(number: int) -> str:
    for unit, letter in _UNITS:
        if number >= unit:
            return f"{number / unit:.3g} {letter}" if number < 1000 * unit else f"{number:,}"
    return str(number)
