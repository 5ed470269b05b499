"""Through an Add or Sub of two run-time values: the scale on both branches, the shift on one.

``s · (u + v) + t = (s · u + t) + s · v``. And forward, where only u lost its affine,
``(s · u + t) + v = s · (u + v / s) + t``.
"""

from __future__ import annotations

__all__ = ["MoveThroughAdd"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.broadcast import over, under

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughAdd:
    """Add, Sub and Sum of run-time values."""

    op_types = ("Add", "Sub", "Sum")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Each branch in turn is tried for the shift."""
        del index, constants
        inputs = [x for x in node.inputs if x is not None]
        answers: list[Answer] = []
        refusals: list[Refusal] = []
        for chosen in range(len(inputs)):
            placed = [
                under(node, x, _part(node, position, affine, position == chosen))
                for position, x in enumerate(inputs)
            ]
            refused = [p for p in placed if isinstance(p, Refusal)]
            refusals.extend(refused)
            if not refused:
                pairs = zip(inputs, placed, strict=True)
                answers.append(
                    Answer(pull=tuple((x, p) for x, p in pairs if isinstance(p, ChannelAffine)))
                )
            if not affine.has_shift:
                break
        return tuple(answers) or refusals[0]

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The other branches are divided by the scale."""
        del constants
        y = node.outputs[0]
        out = over(node, node.inputs[index], affine)
        if isinstance(out, Refusal):
            return out
        if node.op_type == "Sub" and index == 1:
            out = _with_shift(out, -out.shift)
        pull: list[tuple[ir.Value, ChannelAffine]] = []
        if affine.has_scale:
            if np.any(affine.scale == 0.0):
                return Refusal(f"a scale of 0 cannot be undone in {node.name!r}", node.name or "")
            undo = out.only_scale().inverse()
            for position, other in enumerate(node.inputs):
                if position == index or other is None:
                    continue
                placed = under(node, other, undo)
                if isinstance(placed, Refusal):
                    return placed
                pull.append((other, placed))
        return Answer(pull=tuple(pull), push=((y, out),))


def _part(node: ir.Node, position: int, affine: ChannelAffine, takes_shift: bool) -> ChannelAffine:
    """What one branch takes: the scale, and the shift or not, negative behind a minus."""
    part = affine if takes_shift else affine.only_scale()
    return _with_shift(part, -part.shift) if node.op_type == "Sub" and position == 1 else part


def _with_shift(affine: ChannelAffine, shift: np.ndarray) -> ChannelAffine:
    return ChannelAffine.of(affine.axis, affine.scale, shift, affine.magnitude)
