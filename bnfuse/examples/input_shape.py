"""What ``--input-shape`` says: ``N,3,224,224``, ``N:4,3,H:64,W:64``, ``name=shape``."""

from __future__ import annotations

from dataclasses import dataclass

from bnfuse.errors import UsageError

__all__ = ["Dimension", "InputShape", "parse_input_shape"]

EXAMPLE_SIZE = 2
"""Example size of a dynamic dimension for which none is given. Not 0 or 1: exporters take those two
for fixed, because broadcasting treats them apart."""

_MAX_ELEMENTS = 1 << 31
_FORM = "Write it as N,3,224,224: a letter is a dynamic dimension, N:4 gives its example size."


@dataclass(frozen=True)
class Dimension:
    """One dimension of an example input.

    Attributes:
        size: Its size in the example.
        symbol: The name of a dynamic dimension, or None for a fixed one.
    """

    size: int
    symbol: str | None = None

    def __str__(self) -> str:
        return str(self.size) if self.symbol is None else f"{self.symbol}:{self.size}"


@dataclass(frozen=True)
class InputShape:
    """The shape that was given for one input.

    Attributes:
        name: Of the input, or None where the shapes are in ``forward``'s order.
        dimensions: Empty for a scalar.
    """

    name: str | None
    dimensions: tuple[Dimension, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The example's shape."""
        return tuple(dimension.size for dimension in self.dimensions)

    @property
    def dynamic(self) -> dict[int, str]:
        """Axis to symbol, of the dynamic dimensions."""
        return {i: d.symbol for i, d in enumerate(self.dimensions) if d.symbol is not None}


def parse_input_shape(text: str) -> InputShape:
    """Parse one ``--input-shape``.

    Args:
        text: ``[name=]dimension,…``; a dimension is a size, a symbol, or ``symbol:size``. An
            ``x`` between the dimensions is taken for a comma; ``name=`` alone is a scalar.

    Raises:
        UsageError: It is not of that form, a dynamic dimension has an example size of 0 or 1, or
            the example would not fit in memory.

    >>> parse_input_shape("x=N:4,3,8").sizes
    (4, 3, 8)
    """
    name, equals, shape = text.rpartition("=")
    name, shape = name.strip(), shape.strip().strip("()[]")
    if equals and not name:
        raise UsageError(f"--input-shape {text!r} has no name before '='.", _FORM)
    if not shape:
        if equals:
            return InputShape(name, ())
        raise UsageError("--input-shape is empty.", _FORM)
    if "," not in shape and all(part.isdigit() for part in shape.split("x")):
        shape = shape.replace("x", ",")
    parts = shape.removesuffix(",").split(",")
    dimensions = tuple(_dimension(part.strip(), text) for part in parts)
    sizes: dict[str, int] = {}
    total = 1
    for dimension in dimensions:
        total *= dimension.size
        if dimension.symbol is not None:
            known = sizes.setdefault(dimension.symbol, dimension.size)
            if known != dimension.size:
                raise UsageError(
                    f"--input-shape {text!r} gives {dimension.symbol} two sizes.", _FORM
                )
    if total > _MAX_ELEMENTS:
        raise UsageError(f"--input-shape {text!r} has {total:,} elements: too many to try.", _FORM)
    return InputShape(name or None, dimensions)


def _dimension(part: str, text: str) -> Dimension:
    symbol, colon, size = part.partition(":")
    symbol, size = symbol.strip(), size.strip()
    if not colon and _is_size(symbol):
        if int(symbol) == 0:
            raise UsageError(f"--input-shape {text!r} has a dimension of size 0.", _FORM)
        return Dimension(int(symbol))
    if not symbol.isidentifier() or (colon and not _is_size(size)):
        raise UsageError(f"--input-shape {text!r}: {part!r} is not a dimension.", _FORM)
    example = int(size) if colon else EXAMPLE_SIZE
    if example < 2:
        raise UsageError(
            f"--input-shape {text!r}: a dynamic dimension needs an example size of 2 or more.",
            f"Write {symbol}:2, or {example} alone for a fixed dimension.",
        )
    return Dimension(example, symbol)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
