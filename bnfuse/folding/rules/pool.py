"""Through pooling over the axes behind the channels.

An average with weights that sum to 1 commutes with any affine:
``mean(s · x + t) = s · mean(x) + t``.
Zero padding that counts breaks the sum, so the shift then stays. A maximum commutes with a
non-negative scale and any shift; MaxPool pads with minus infinity, which never wins. What a window
that holds nothing but padding gives is nobody's average and nobody's maximum.
"""

from __future__ import annotations

__all__ = ["MoveThroughAveragePool", "MoveThroughMaxPool"]

import numpy as np
import onnx_ir as ir

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Refusal
from bnfuse.folding.rules.commuting import CommutingRule
from bnfuse.lifting.channel import static_dim
from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughAveragePool(CommutingRule):
    """AveragePool and GlobalAveragePool."""

    op_types = ("AveragePool", "GlobalAveragePool")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """A shift does not pass where padded zeros count."""
        del constants
        return _refuse_average(node, affine)


class MoveThroughMaxPool(CommutingRule):
    """MaxPool and GlobalMaxPool."""

    op_types = ("MaxPool", "GlobalMaxPool")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """A negative scale would turn the maximum into a minimum."""
        del constants
        return _refuse_max(node, affine)


def _refuse_average(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if affine.axis not in (None, 0, 1):
        return _refuse_axis(node, affine)
    if node.op_type == "GlobalAveragePool" or not affine.has_shift:
        return None
    explicit = any(node.attributes.get_ints("pads", []))
    pads = explicit or node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    # With ceil_mode the last window may hang over the edge, which runtimes count differently.
    overhangs = bool(node.attributes.get_int("ceil_mode", 0))
    counts = node.attributes.get_int("count_include_pad", 0)
    if (pads or overhangs) and counts:
        return Refusal(
            f"AveragePool {node.name!r} counts padded zeros, which the shift must not reach",
            node.name or "",
        )
    return _refuse_empty(node)


def _refuse_max(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if affine.axis not in (None, 0, 1):
        return _refuse_axis(node, affine)
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return Refusal(f"{node.op_type} {node.name!r} gives indices too", node.name or "")
    negative = np.flatnonzero(np.atleast_1d(affine.scale) < 0.0)
    if negative.size:
        return Refusal(
            f"the scale of channel {negative[0]} is negative, next to {node.op_type} {node.name!r}",
            node.name or "",
        )
    return None if node.op_type == "GlobalMaxPool" else _refuse_empty(node)


def _refuse_empty(node: ir.Node) -> Refusal | None:
    """Refuse a pool that may have a window with nothing but padding in it."""
    x, kernel = node.inputs[0], node.attributes.get_ints("kernel_shape", [])
    rank = len(kernel)
    pads = node.attributes.get_ints("pads", [0] * 2 * rank)
    strides = node.attributes.get_ints("strides", [1] * rank)
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    pads_itself = node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    overhangs = node.attributes.get_int("ceil_mode", 0) == 1
    for i, taps in enumerate(kernel):
        span, before, after = dilations[i] * (taps - 1) + 1, pads[i], pads[i + rank]
        length = None if x is None else static_dim(x.shape, i + 2)
        # The last window begins within the input, and one that begins before it ends within.
        reaches = before < span and after + (strides[i] - 1 if overhangs else 0) < span
        # Taps apart may straddle an input that is shorter than their distance.
        straddles = dilations[i] > 1 and (before > 0 or pads_itself)
        if not reaches or (straddles and (length is None or length < dilations[i])):
            return Refusal(
                f"{node.op_type} {node.name!r} may have a window of nothing but padding",
                node.name or "",
            )
    return None


def _refuse_axis(node: ir.Node, affine: ChannelAffine) -> Refusal:
    return Refusal(
        f"{node.op_type} {node.name!r} pools over axis {affine.axis}, "
        "along which its constants run",
        node.name or "",
    )
