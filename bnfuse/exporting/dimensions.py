"""Dynamic dimensions: give them the names that were asked for, and say which became fixed."""

from __future__ import annotations

__all__ = ["SIZES", "Dimension", "apply_dimensions", "bounded", "describe", "sizes_text"]

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir
import sympy  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIZES = "bnfuse.sizes"
"""The metadata of a model that says for which sizes it is valid: see :func:`sizes_text`."""

_NO_OTHER = "an operator of forward takes no other size"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Dimension:
    """One dimension that was asked to be dynamic, and what the exporter made of it.

    Attributes:
        input: The input's name.
        axis: Which of its axes.
        symbol: The name that was asked for, ``N``.
        exported: The exporter's own symbol or expression for it, None where it has a number.
        fixed: The size that it is fixed at, None while it is dynamic.
        low: The smallest size that the exported program is valid for, None for no bound.
        high: The largest, None for no bound.
        line: The line of ``forward`` that decided on the size, ``model.py:40``, where it is known.
    """

    input: str
    axis: int
    symbol: str
    exported: str | None
    fixed: int | None
    low: int | None
    high: int | None
    line: str = ""

    @property
    def is_bounded(self) -> bool:
        """Whether it is dynamic, and not at any size."""
        return self.fixed is None and (self.low is not None or self.high is not None)

    def allows(self, size: int) -> bool:
        """Whether the exported program is valid at ``size``."""
        return size >= max(self.low or 1, 1) and (self.high is None or size <= self.high)


def apply_dimensions(model: ir.Model, dimensions: Sequence[Dimension]) -> None:
    """Replace the exporter's symbols by the asked names, or by the number they are fixed at."""
    names: dict[str, str | int] = {}
    for dim in dimensions:
        if dim.exported is not None and _IDENTIFIER.fullmatch(dim.exported):
            names.setdefault(dim.exported, dim.symbol if dim.fixed is None else dim.fixed)
    for value in _values(model):
        if value.shape is not None and not value.shape.is_static():
            value.shape = ir.Shape([_renamed(dim, names) for dim in value.shape])


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    for node in model.graph.all_nodes():
        yield from node.outputs


def _renamed(dim: int | ir.SymbolicDim, names: Mapping[str, str | int]) -> int | str | None:
    if isinstance(dim, int) or dim.value is None:
        return dim if isinstance(dim, int) else None
    text = _IDENTIFIER.sub(lambda found: str(names.get(found[0], found[0])), dim.value)
    if _IDENTIFIER.search(text):
        return text
    return int(sympy.sympify(text))


def describe(dimensions: Sequence[Dimension], reason: str) -> list[str]:
    """Say which dimensions are fixed or tied to another, one sentence each."""
    notes = []
    names: dict[str, str] = {}
    for dim in dimensions:
        place = _place(dim)
        if dim.fixed is not None:
            why = reason or (f"forward decides on it at {dim.line}" if dim.line else _NO_OTHER)
            notes.append(f"{place} is fixed at {dim.fixed}: {why}")
            continue
        holder = names.setdefault(dim.exported or "", dim.symbol)
        if holder != dim.symbol:
            notes.append(f"{place} is always equal to {holder}")
        elif dim.exported and not _IDENTIFIER.fullmatch(dim.exported):
            notes.append(f"{place} is tied to the other dimensions by the model's arithmetic")
    return list(dict.fromkeys(notes))


def bounded(dimensions: Sequence[Dimension]) -> list[str]:
    """Say which dimensions are bounded, one sentence each."""
    notes = [
        f"{_place(dim)} is only valid {_bounds(dim)}: forward takes another path outside"
        + (f" ({dim.line})" if dim.line else "")
        for dim in dimensions
        if dim.is_bounded
    ]
    return list(dict.fromkeys(notes))


def sizes_text(dimensions: Sequence[Dimension]) -> str:
    """The bounds as JSON, ``{"N": [2, null]}``: the least and the largest size of each symbol.

    Returns:
        The text, empty where no dimension is bounded.
    """
    bounds = {dim.symbol: [dim.low, dim.high] for dim in dimensions if dim.is_bounded}
    return json.dumps(bounds) if bounds else ""


def _place(dim: Dimension) -> str:
    return f"dimension {dim.axis} ({dim.symbol}) of input {dim.input!r}"


def _bounds(dim: Dimension) -> str:
    if dim.low is not None and dim.high is not None:
        return f"from {dim.low} to {dim.high}"
    if dim.high is not None:
        return f"up to {dim.high}"
    return f"from {dim.low}" if dim.low is not None else ""
