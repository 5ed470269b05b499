"""Two nodes of one op, one on each side, as the laws see them."""

from __future__ import annotations

__all__ = ["UNITS", "Known", "Step"]

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bnfuse.checker.forms import units_apart
from bnfuse.checker.graph import Graph
from bnfuse.checker.nodes import Node, NotProved, need
from bnfuse.checker.relations import IDENTITY, Relation
from bnfuse.checker.sizes import Shape
from bnfuse.checker.values import FLOOR

UNITS = 16.0
"""Rounding units that a stored constant may differ by: folding in float32 takes about 8."""


class Known(Protocol):
    """What was shown before."""

    original: Graph
    candidate: Graph

    def relation_of(self, a: str, b: str) -> Relation | None:
        """The relation of two values, if one is known."""

    def equal(self, a: str, b: str) -> bool:
        """Whether two values are known to be equal."""

    def met(self, units: float, where: str) -> None:
        """Remember how far a constant was off."""


@dataclass(frozen=True, eq=False)
class Step:
    """Two nodes of one op, as the laws see them.

    Attributes:
        a: The original's.
        b: The candidate's.
        known: What was shown before.
        claim: The relation that the certificate says constants have, where a law asks for it.
    """

    a: Node
    b: Node
    known: Known
    claim: Relation = IDENTITY

    @property
    def original(self) -> Graph:
        """The original."""
        return self.known.original

    @property
    def candidate(self) -> Graph:
        """The candidate."""
        return self.known.candidate

    def relation(self, place: int) -> Relation:
        """The relation of the inputs at a place, of equal constants the identity."""
        other = self.b.inputs[place] if place < len(self.b.inputs) else ""
        found = self.known.relation_of(self.a.inputs[place], other)
        if found is None:
            raise NotProved(f"input {place} of {self.a.op} was not matched")
        need(found.order is None, f"input {place} of {self.a.op} has its axes in another order")
        return found

    def broadcast(self, place: int) -> Relation:
        """Likewise, along the axis of the result that the channels are broadcast to."""
        found = self.relation(place)
        if found.axis is None:
            return found
        return found.along(found.axis + len(self.result()) - len(self.shape(place)))

    def is_constant(self, place: int) -> bool:
        """Whether the original's input at a place is a constant."""
        return self.original.is_constant(self.a.inputs[place])

    def constants(self, place: int) -> tuple[Any, Any]:
        """The two constants at a place; ``None`` where it is left out.

        Raises:
            NotProved: One is computed at run time.
        """
        found = []
        for graph, node in ((self.original, self.a), (self.candidate, self.b)):
            name = node.inputs[place] if place < len(node.inputs) else ""
            found.append(graph.constant(name) if name else None)
            need(found[-1] is not None or not name, f"input {place} of {node.op} is computed")
        return found[0], found[1]

    def follows(self, place: int, relation: Relation, rank: int) -> None:
        """Demand that the constants at a place are related, ``rank`` axes in the result."""
        x, y = self.constants(place)
        what = f"input {place} of {self.a.op} is another constant"
        need(x is not None and y is not None and x.shape == y.shape and x.dtype == y.dtype, what)
        if relation.is_identity and np.array_equal(x, y):
            return
        need(x.dtype.kind == "f", what)
        axes = [-1 if axis == relation.axis else 1 for axis in range(rank)]
        scale, shift = (part.reshape(axes) for part in (relation.scale, relation.shift))
        want = scale * x + shift
        need(want.shape == y.shape or x.size == 1, what)
        self.close(place, want, y, np.abs(scale * x) + np.abs(shift))

    def close(self, place: int, want: Any, got: Any, size: Any) -> None:
        """Demand that numbers of the candidate's constant at a place are within rounding."""
        unit = self.candidate.unit(self.b.inputs[place])
        units, where = units_apart(want, got, size, unit, FLOOR[unit])
        what = f"input {place} of {self.a.op}"
        if not units <= UNITS:
            raise NotProved(f"{where} of {what} differs by {units:.3g} rounding units", wrong=True)
        self.known.met(units, f"{self.b.outputs[0]}: {where} of {what}")

    def parameter(self, name: str) -> Any:
        """A parameter, which is the same on both sides."""
        value = self.original.parameter(self.a, name)
        need(value == self.candidate.parameter(self.b, name), f"{name} of {self.a.op} differs")
        return value

    def moved(self, name: str, relation: Relation) -> None:
        """Demand that a parameter, 0 where it is not given, was moved with the values."""
        sides = (self.original, self.a), (self.candidate, self.b)
        x, y = (graph.parameter(node, name) or 0.0 for graph, node in sides)
        if not (relation.is_identity and x == y):
            unit, want = self.candidate.unit(self.b.outputs[0]), relation.scale * x + relation.shift
            close = np.allclose(want, y, rtol=2.0 * unit, atol=0.0)
            need(close, f"padding ({name}) that was not moved with the values")

    def shape(self, place: int) -> Shape:
        """The shape of the original's input."""
        return self.original.shape(self.a.inputs[place])

    def result(self) -> Shape:
        """The shape of the original's first output."""
        return self.original.shape(self.a.outputs[0])

    def axis(self) -> int:
        """The attribute, counted from the front."""
        return int(self.a.attributes["axis"]) % len(self.shape(0))
