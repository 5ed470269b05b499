"""Through ops that only rearrange elements: the constants are rearranged with them.

Transpose, Reshape, Flatten, Squeeze and Unsqueeze compute nothing, so ``A(op(x)) = op(A'(x))``
where ``A'`` has each element's own constants. A channel shuffle (Reshape, Transpose, Reshape)
spreads one channel axis over two and joins them again: consecutive rearrangements are therefore
taken in one go, and the constants need to be per-channel only at the far end.
"""

from __future__ import annotations

__all__ = ["MoveThroughLayout", "perm_of", "undo"]


from typing import TYPE_CHECKING

from bnfuse.folding.axes import Spread, spread_of
from bnfuse.folding.plan import Answer, Refusal, Response

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator
from bnfuse.lifting.readers import readers


class MoveThroughLayout:
    """Transpose, Reshape, Flatten, Squeeze, Unsqueeze."""

    op_types = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Walk up the rearrangements until the constants are per-channel."""
        del index, constants
        y = node.outputs[0]
        if y.shape is None:
            return _unknown(node)
        spread: Spread | None = spread_of(affine, len(y.shape))
        passed: list[ir.Node] = []
        while True:
            x = node.inputs[0]
            assert x is not None
            assert spread is not None
            spread = undo(node, spread)
            if spread is None:
                return _unknown(node)
            found = spread.affine()
            if found is not None:
                return Answer(pull=((x, found),), passed=tuple(passed))
            producer = x.producer()
            if producer is None or not self._moves(producer) or not _is_inner(x):
                return _several_axes(node)
            node = producer
            passed.append(node)

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Walk down the rearrangements until the constants are per-channel."""
        del constants
        x = node.inputs[index]
        if index != 0 or x is None or x.shape is None:
            return _unknown(node)
        spread: Spread | None = spread_of(affine, len(x.shape))
        passed: list[ir.Node] = []
        while True:
            y = node.outputs[0]
            assert spread is not None
            spread = _do(node, spread)
            if spread is None:
                return _unknown(node)
            found = spread.affine()
            if found is not None:
                return Answer(push=((y, found),), passed=tuple(passed))
            uses = readers(y)
            if len(uses) != 1 or not _is_inner(y) or not self._moves(uses[0].node):
                return _several_axes(node)
            if uses[0].idx != 0:
                return _several_axes(node)
            passed.append(node)
            node = uses[0].node

    def _moves(self, node: ir.Node) -> bool:
        return node.op_type in (*self.op_types, "Identity") and node.domain in ("", "ai.onnx")


def undo(node: ir.Node, spread: Spread) -> Spread | None:
    """The constants of ``node``'s input from those of its output."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return None
    if node.op_type == "Transpose":
        perm = perm_of(node) or []
        return spread.transposed([perm.index(i) for i in range(len(perm))])
    if node.op_type == "Identity":
        return spread
    return spread.reshaped(y.shape, x.shape)


def _do(node: ir.Node, spread: Spread) -> Spread | None:
    """The constants of ``node``'s output from those of its input."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return None
    if node.op_type == "Transpose":
        return spread.transposed(perm_of(node) or [])
    if node.op_type == "Identity":
        return spread
    return spread.reshaped(x.shape, y.shape)


def perm_of(node: ir.Node) -> list[int] | None:
    """The permutation of a Transpose; ``None`` if it is none and the rank is not known."""
    x = node.inputs[0]
    if "perm" in node.attributes:
        return list(node.attributes.get_ints("perm", []))
    return None if x is None or x.shape is None else list(reversed(range(len(x.shape))))


def _is_inner(value: ir.Value) -> bool:
    return len(readers(value)) == 1 and not value.is_graph_output()


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"which channels {node.op_type} {node.name!r} moves where is not known before a run",
        node.name or "",
    )


def _several_axes(node: ir.Node) -> Refusal:
    return Refusal(
        f"{node.op_type} {node.name!r} spreads its channels over several axes", node.name or ""
    )
