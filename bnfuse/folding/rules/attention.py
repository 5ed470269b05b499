"""Through a product of two run-time matrices, as an attention has it, and what lies around it.

``A · (V · diag(s)) = (A · V) · diag(s)``, ``(diag(s) · A) · V = diag(s) · (A · V)``, and where each
row of ``A`` sums to 1, as behind a Softmax of its rows, ``A · (V + 1 · t) = A · V + 1 · t``.

Heads part the channels into two axes before the product and join them behind it. So the product is
passed in one go with the rearrangements, and the constants are per-channel only at the far end.
"""

from __future__ import annotations

__all__ = ["MoveThroughAttention"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.axes import Spread, spread_of
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.layout import MoveThroughLayout, perm_of
from bnfuse.folding.wording import title
from bnfuse.lifting.channel import static_dim
from bnfuse.lifting.readers import readers

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughAttention:
    """MatMul of two run-time values, Transpose, Reshape, Flatten, Squeeze, Unsqueeze."""

    op_types = (*MoveThroughLayout.op_types, "MatMul")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Walk up until the constants are per-channel."""
        del index
        y = node.outputs[0]
        if y.shape is None:
            return _unknown(node)
        spread = spread_of(affine, len(y.shape))
        passed: list[ir.Node] = []
        while True:
            place = _carrier(node, spread)
            moved = _before(node, place, spread, constants)
            if isinstance(moved, Refusal):
                return moved
            found, x = moved.affine(), node.inputs[place]
            assert x is not None
            if found is not None:
                return Answer(pull=((x, found),), passed=tuple(passed))
            producer = x.producer()
            if producer is None or not self._moves(producer) or not _is_inner(x):
                return _several_axes(node)
            node, spread = producer, moved
            passed.append(node)

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Walk down until the constants are per-channel."""
        x = node.inputs[index]
        if x is None or x.shape is None:
            return _unknown(node)
        spread = spread_of(affine, len(x.shape))
        passed: list[ir.Node] = []
        while True:
            moved = _behind(node, index, spread, constants)
            if isinstance(moved, Refusal):
                return moved
            found, y = moved.affine(), node.outputs[0]
            if found is not None:
                return Answer(push=((y, found),), passed=tuple(passed))
            uses = readers(y)
            if len(uses) != 1 or not _is_inner(y) or not self._moves(uses[0].node):
                return _several_axes(node)
            passed.append(node)
            (node, index), spread = uses[0], moved

    def _moves(self, node: ir.Node) -> bool:
        return node.op_type in (*self.op_types, "Identity") and node.domain in ("", "ai.onnx")


def _carrier(node: ir.Node, spread: Spread) -> int:
    """Which input the constants of the output are those of: ``A`` has the rows."""
    rows = len(spread.scale.shape) - 2
    return 0 if node.op_type != "MatMul" or rows in spread.axes else 1


def _before(
    node: ir.Node, place: int, spread: Spread, constants: ConstantEvaluator
) -> Spread | Refusal:
    """The constants of an input from those of the output."""
    x, y = node.inputs[place], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return _unknown(node)
    if node.op_type == "Identity":
        return spread
    if node.op_type == "Transpose":
        perm = perm_of(node) or []
        return spread.transposed([perm.index(i) for i in range(len(perm))])
    if node.op_type != "MatMul":
        return spread.reshaped(y.shape, x.shape) or _unknown(node)
    rank, more = len(x.shape), len(y.shape) - len(x.shape)
    refusal = _refuse(node, place, spread, len(y.shape), constants)
    if refusal is not None:
        return refusal
    for axis in spread.axes:
        if axis < more or static_dim(x.shape, axis - more) != spread.scale.shape[axis]:
            return _unknown(node)
    return Spread(*(array.reshape(array.shape[-rank:]) for array in spread.arrays))


def _behind(
    node: ir.Node, place: int, spread: Spread, constants: ConstantEvaluator
) -> Spread | Refusal:
    """The constants of the output from those of an input."""
    x, y = node.inputs[place], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return _unknown(node)
    if node.op_type == "MatMul":
        refusal = _refuse(node, place, spread, len(x.shape), constants)
        front = (1,) * (len(y.shape) - len(x.shape))
        return refusal or Spread(*(array.reshape(front + array.shape) for array in spread.arrays))
    if place != 0:
        return _unknown(node)
    if node.op_type == "Identity":
        return spread
    if node.op_type == "Transpose":
        return spread.transposed(perm_of(node) or [])
    return spread.reshaped(x.shape, y.shape) or _unknown(node)


def _refuse(
    node: ir.Node, place: int, spread: Spread, rank: int, constants: ConstantEvaluator
) -> Refusal | None:
    """Why constants of a factor, or of the product, do not pass a product of this rank."""
    if any(x is None or x.shape is None or len(x.shape) < 2 for x in node.inputs):
        return _unknown(node)
    # Of a factor the axis that is summed over, of the product the other factor's.
    if rank - (1 if place == 0 else 2) in spread.axes:
        reason = f"its constants run along an axis that {title(node)} does not keep"
        return Refusal(reason, _name(node))
    if not np.any(spread.shift) or (place == 1 and _rows_sum_to_one(node.inputs[0], constants)):
        return None
    return Refusal(
        f"a shift does not pass {title(node)}: the rows beside it are not known to sum to 1",
        _name(node),
    )


def _rows_sum_to_one(a: ir.Value | None, constants: ConstantEvaluator) -> bool:
    """Whether a Softmax along the last axis makes ``a``, and nothing changes its numbers since."""
    node = None if a is None else a.producer()
    while node is not None and node.op_type in ("Identity", "Dropout") and _is_standard(node):
        mode = node.inputs[2] if len(node.inputs) > 2 else None
        array = None if mode is None else constants.array(mode)
        if mode is not None and (array is None or array.any()):
            return False
        a = node.inputs[0]
        node = None if a is None else a.producer()
    if node is None or node.op_type != "Softmax" or not _is_standard(node):
        return False
    if a is None or a.shape is None or "axis" not in node.attributes:
        return False
    return node.attributes.get_int("axis", -1) in (-1, len(a.shape) - 1)


def _is_standard(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def _is_inner(value: ir.Value) -> bool:
    return len(readers(value)) == 1 and not value.is_graph_output()


def _name(node: ir.Node) -> str:
    return node.name or ""


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"which channels {node.op_type} {node.name!r} moves where is not known before a run",
        _name(node),
    )


def _several_axes(node: ir.Node) -> Refusal:
    return Refusal(
        f"{node.op_type} {node.name!r} spreads its channels over several axes", _name(node)
    )
