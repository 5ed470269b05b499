"""Carry an affine through an op of one input, as the op's row says."""

from __future__ import annotations

__all__ = ["Through"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer
from bnfuse.folding.rules.conditions import moved
from bnfuse.folding.rules.row import Flow
from bnfuse.graph.affine import ChannelAffine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.folding.plan import Response
    from bnfuse.folding.rule import Crossing
    from bnfuse.folding.rules.row import Row


@dataclass(frozen=True)
class Through:
    """``A(op(x)) = op(A'(x))``."""

    row: Row
    joins = False

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """The input takes what the output is to gain."""
        row = self.row
        if at.output != 0 and row.flow is not Flow.APART:
            raise at.refusal("it is a further output of")
        before = row.channels.back(at, affine)
        row.check(at, affine)
        counted = before.shift_times(1.0 / self._count(at, affine))
        edits = () if row.bounds is None else moved(at, row.bounds(at), affine)
        return Answer(edits, pull=((at.x, counted),))

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The output loses what the input has lost; of several outputs each its part."""
        if at.place != 0:
            raise at.refusal("it steers")
        row, outputs = self.row, at.node.outputs
        affine, passing = self._settled(at, lost[0])
        ways = [replace(at, output=i) for i in range(len(outputs))]
        ways = ways if row.flow is Flow.APART else ways[:1]
        behind = [row.channels.on(way, affine) for way in ways]
        row.check(at, passing)
        counted = [after.shift_times(self._count(at, affine)) for after in behind]
        bounds = () if row.bounds is None else tuple(row.bounds(at))
        if bounds and np.any(affine.scale == 0.0):
            raise at.refusal("a scale of 0 cannot be undone before")
        edits = moved(at, bounds, affine.inverse()) if bounds else ()
        return Answer(edits, push=tuple(zip(outputs, counted, strict=False)))

    def _settled(self, at: Crossing, affine: ChannelAffine) -> tuple[ChannelAffine, ChannelAffine]:
        """What goes on of an affine, and what of that must be able to pass.

        A channel whose scale is 0 is a number, and so is what the op makes of it.
        """
        if self.row.of_constant is None or np.any(affine.shift[affine.scale != 0.0]):
            return affine, affine
        shift = self.row.of_constant(affine.shift, at.node)
        settled = ChannelAffine.of(affine.axis, affine.scale, shift, affine.magnitude)
        return settled, affine.only_scale()

    def _count(self, at: Crossing, affine: ChannelAffine) -> float:
        if self.row.count is None or not affine.has_shift:
            return 1.0
        count = self.row.count(at)
        if count is None:
            raise at.refusal("how many elements", " adds is not known before a run")
        # Of no elements there is no sum that a shift could change.
        return float(count or 1)
