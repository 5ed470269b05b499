"""Through an Add or Sub of two run-time values: the scale on both branches, the shift on one.

``s · (u + v) + t = (s · u + t) + s · v``. And forward, where only u lost its affine,
``(s · u + t) + v = s · (u + v / s) + t``.
"""

from __future__ import annotations

__all__ = ["MoveThroughAdd"]

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.broadcast import joined, under
from bnfuse.lifting.readers import readers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        branches = _branches(node)
        takers = branches if affine.has_shift else branches[:1]
        return _any(
            [_pulled(node, [taker, *_without(branches, taker)], affine) for taker in takers]
        )

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """One branch lost the affine."""
        return self.join(node, {index: affine}, constants)

    def join(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The other branches are divided by the scale; one may take the shift, or the sum has it.

        ``(s · u + t) + v = s · (u + (v + t) / s)``.
        """
        del constants
        y = node.outputs[0]
        out = joined(node, lost, partial(_signed, node))
        if isinstance(out, Refusal):
            return out
        others = [place for place in _branches(node) if place not in lost]
        if others and np.any(out.scale == 0.0):
            return Refusal(f"a scale of 0 cannot be undone in {node.name!r}", node.name or "")
        scale, undo = out.only_scale(), out.inverse().shift_times(-1.0) if others else out
        taken = [
            _pulled(node, [taker, *_without(others, taker)], undo, (y, scale))
            for taker in (others if out.has_shift else ())
        ]
        return _any([*taken, _pulled(node, others, undo.only_scale(), (y, out))])


def _branches(node: ir.Node) -> list[int]:
    """The places of the inputs, those that nothing else reads first: there a walk is short."""
    places = [place for place, x in enumerate(node.inputs) if x is not None]
    return sorted(places, key=lambda place: len(readers(_input(node, place))) > 1)


def _pulled(
    node: ir.Node,
    places: Sequence[int],
    affine: ChannelAffine,
    *push: tuple[ir.Value, ChannelAffine],
) -> Answer | Refusal:
    """The first of the inputs at ``places`` takes the whole affine, the others the scale."""
    pull: list[tuple[ir.Value, ChannelAffine]] = []
    for place in places:
        part = affine.only_scale() if pull else affine
        x = _input(node, place)
        placed = under(node, x, _signed(node, place, part))
        if isinstance(placed, Refusal):
            return placed
        pull.append((x, placed))
    return Answer(pull=tuple(pull), push=push)


def _any(responses: Sequence[Answer | Refusal]) -> Response:
    answers = tuple(found for found in responses if isinstance(found, Answer))
    return answers or next(found for found in responses if isinstance(found, Refusal))


def _without(places: Sequence[int], one: int) -> list[int]:
    return [place for place in places if place != one]


def _input(node: ir.Node, place: int) -> ir.Value:
    x = node.inputs[place]
    assert x is not None
    return x


def _signed(node: ir.Node, place: int, affine: ChannelAffine) -> ChannelAffine:
    """Between an input and the sum: behind a minus the shift is turned."""
    is_minus = node.op_type == "Sub" and place == 1
    return affine.shift_times(-1.0) if is_minus else affine
