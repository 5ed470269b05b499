"""Through ops that choose between run-time values, element by element, or take their mean.

``max(s · u + t, s · v + t) = s · max(u, v) + t`` for s ≥ 0, likewise ``min``; ``where`` and
``mean`` take any scale. Every branch gets the whole affine, and forward, where only one branch had
it, the others get its inverse: ``max(s · u + t, v) = s · max(u, (v - t) / s) + t``. The mean of n
branches keeps an n-th of one branch's shift.
"""

from __future__ import annotations

__all__ = ["MoveThroughChoice"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.broadcast import joined, under
from bnfuse.folding.wording import two_ways

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughChoice:
    """Max, Min, Mean and Where."""

    op_types = ("Max", "Min", "Mean", "Where")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Every branch takes the affine."""
        del index, constants
        refusal = _refuse_sign(node, affine)
        if refusal is not None:
            return refusal
        return _pulled(node, _branches(node).values(), affine)

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """One branch lost the affine."""
        return self.join(node, {index: affine}, constants)

    def join(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The other branches take the inverse."""
        del constants
        y, (first, *rest) = node.outputs[0], lost.values()
        refusal = _refuse_sign(node, first)
        if refusal is not None:
            return refusal
        out = joined(node, lost)
        if isinstance(out, Refusal):
            return out
        undo = out.only_scale()
        if node.op_type == "Mean":
            out = out.shift_times(1.0 / len(node.inputs))
        elif all(first.agrees(affine) for affine in rest):
            undo = out = out.shift_times(1.0 / len(lost))
        else:
            return two_ways(node)
        others = [x for position, x in _branches(node).items() if position not in lost]
        if others and np.any(out.scale == 0.0):
            return Refusal(f"a scale of 0 cannot be undone in {node.name!r}", node.name or "")
        found = _pulled(node, others, undo.inverse()) if others else Answer()
        return found if isinstance(found, Refusal) else replace(found, push=((y, out),))


def _pulled(node: ir.Node, branches: Iterable[ir.Value], affine: ChannelAffine) -> Answer | Refusal:
    pull: list[tuple[ir.Value, ChannelAffine]] = []
    for x in branches:
        placed = under(node, x, affine)
        if isinstance(placed, Refusal):
            return placed
        pull.append((x, placed))
    return Answer(pull=tuple(pull))


def _branches(node: ir.Node) -> dict[int, ir.Value]:
    """The inputs that are chosen from: Where's first one only tells which."""
    first = 1 if node.op_type == "Where" else 0
    return {i: x for i, x in enumerate(node.inputs) if x is not None and i >= first}


def _refuse_sign(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if node.op_type not in ("Max", "Min") or np.all(affine.scale >= 0.0):
        return None
    return Refusal(f"a scale is negative, next to {node.op_type} {node.name!r}", node.name or "")
