"""Through Concat, where each input takes its own part of the constants.

``A(concat(x₁, …, xₙ)) = concat(A₁(x₁), …, Aₙ(xₙ))``: along the channels each ``Aᵢ`` holds the
constants of the channels that ``xᵢ`` brings, along any other axis each is the whole ``A``.
"""

from __future__ import annotations

__all__ = ["MoveThroughConcat"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.channels import embed
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughConcat:
    """Concat along any axis."""

    op_types = ("Concat",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Every input takes its part."""
        del index, constants
        inputs = _inputs(node)
        if affine.axis is None or affine.axis != _axis(node):
            return Answer(pull=tuple((x, affine) for x in inputs))
        spans = _spans(node, inputs)
        if spans is None:
            return _unknown(node)
        parts = zip(inputs, spans, strict=True)
        return Answer(pull=tuple((x, affine.take(span)) for x, span in parts))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine stood before one input."""
        return self.join(node, {index: affine}, constants)

    def join(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The channels of the inputs that lost nothing keep what they have."""
        del constants
        y, inputs, axis = node.outputs[0], _inputs(node), _axis(node)
        first, *rest = lost.values()
        whole = len(lost) == len(inputs) and all(first.agrees(affine) for affine in rest)
        if whole and (first.axis is None or first.axis != axis):
            return Answer(push=((y, first),))
        channels = static_dim(y.shape, axis) if axis is not None else None
        spans = _spans(node, inputs)
        if axis is None or spans is None or channels is None:
            return _unknown(node)
        if any(affine.axis not in (None, axis) for affine in lost.values()):
            return Refusal(
                f"Concat {node.name!r} joins it with values that the affine does not concern",
                node.name or "",
            )
        out = ChannelAffine.of(axis, np.ones(channels))
        for place, affine in lost.items():
            own = np.arange(spans[place].start, spans[place].stop)
            out = out.then(embed(affine, axis, own, channels))
        return Answer(push=((y, out),))


def _inputs(node: ir.Node) -> list[ir.Value]:
    return [x for x in node.inputs if x is not None]


def _axis(node: ir.Node) -> int | None:
    shape = next((v.shape for v in (*node.outputs, *node.inputs) if v and v.shape), None)
    return None if shape is None else node.attributes.get_int("axis", 1) % len(shape)


def _spans(node: ir.Node, inputs: list[ir.Value]) -> list[slice] | None:
    axis = _axis(node)
    lengths = [None if axis is None else static_dim(x.shape, axis) for x in inputs]
    known = [length for length in lengths if length is not None]
    if len(known) != len(lengths):
        return None
    stops = np.cumsum(known)
    return [slice(int(s - n), int(s)) for s, n in zip(stops, known, strict=True)]


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"how many channels each input of Concat {node.name!r} has is not known before a run",
        node.name or "",
    )
