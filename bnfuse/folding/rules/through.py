"""Carry an affine through an op of one input, as the op's row says."""

from __future__ import annotations

__all__ = ["Through"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer
from bnfuse.folding.rules.bounds import moved
from bnfuse.folding.rules.row import Crossing, Flow
from bnfuse.graph.affine import ChannelAffine

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.folding.plan import Rebound, Response
    from bnfuse.folding.rules.row import Row
    from bnfuse.graph.constants import ConstantEvaluator


@dataclass(frozen=True)
class Through:
    """``A(op(x)) = op(A'(x))``."""

    row: Row
    joins = False

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The input takes what the output is to gain."""
        at = Crossing(node, constants, output=index)
        if index != 0 and self.row.flow is not Flow.APART:
            raise at.refusal("it is a further output of")
        before = self.row.channels.back(at, affine)
        self.row.check(at, affine)
        counted = before.shift_times(1.0 / self._count(at, affine))
        return Answer(self._bounds(at, affine), pull=((at.x, counted),))

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The output loses what the input has lost; of several outputs each its part."""
        ((place, affine),) = lost.items()
        at = Crossing(node, constants)
        if place != 0:
            raise at.refusal("it steers")
        affine, passing = self._settled(at, affine)
        outputs = len(node.outputs) if self.row.flow is Flow.APART else 1
        behind = [
            self.row.channels.on(Crossing(node, constants, output=i), affine)
            for i in range(outputs)
        ]
        self.row.check(at, passing)
        counted = [after.shift_times(self._count(at, affine)) for after in behind]
        edits = self._undone_bounds(at, affine)
        return Answer(edits, push=tuple(zip(node.outputs, counted, strict=False)))

    def _settled(self, at: Crossing, affine: ChannelAffine) -> tuple[ChannelAffine, ChannelAffine]:
        """What goes on of an affine, and what of that must be able to pass.

        A channel whose scale is 0 is a number, and so is what the op makes of it.
        """
        if self.row.of_constant is None or np.any(affine.shift[affine.scale != 0.0]):
            return affine, affine
        shift = self.row.of_constant(affine.shift, at.node)
        moved = ChannelAffine.of(affine.axis, affine.scale, shift, affine.magnitude)
        return moved, affine.only_scale()

    def _count(self, at: Crossing, affine: ChannelAffine) -> float:
        if self.row.count is None or not affine.has_shift:
            return 1.0
        count = self.row.count(at)
        if count is None:
            raise at.refusal("how many elements", " adds is not known before a run")
        # Of no elements there is no sum that a shift could change.
        return float(count or 1)

    def _bounds(self, at: Crossing, affine: ChannelAffine) -> tuple[Rebound, ...]:
        return () if self.row.bounds is None else moved(at, self.row.bounds(at), affine)

    def _undone_bounds(self, at: Crossing, affine: ChannelAffine) -> tuple[Rebound, ...]:
        bounds = () if self.row.bounds is None else tuple(self.row.bounds(at))
        if bounds and np.any(affine.scale == 0.0):
            raise at.refusal("a scale of 0 cannot be undone before")
        return moved(at, bounds, affine.inverse()) if bounds else ()
