"""Carry an affine through ops that only rearrange elements: the constants are rearranged with them.

Transpose, Reshape, Flatten, Squeeze and Unsqueeze compute nothing, so ``A(op(x)) = op(A'(x))``
where ``A'`` has each element's own constants. A channel shuffle (Reshape, Transpose, Reshape)
spreads one channel axis over two and joins them again: consecutive rearrangements are therefore
taken in one go, and the constants need to be per-channel only at the far end.
"""

from __future__ import annotations

__all__ = ["Rearranged", "perm_of", "undo"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.folding.axes import Spread, spread_of
from bnfuse.folding.plan import Answer
from bnfuse.folding.rules.row import Crossing
from bnfuse.lifting.readers import readers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.folding.plan import Refusal, Response
    from bnfuse.lifting.constants import ConstantEvaluator


@dataclass(frozen=True)
class Rearranged:
    """``A(op(x)) = op(A'(x))`` with the constants of each element."""

    ops: tuple[str, ...]
    joins = False

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Walk up the rearrangements until the constants are per-channel."""
        del index
        at = Crossing(node, constants)
        spread = None if at.y.shape is None else spread_of(affine, len(at.y.shape))
        passed: list[ir.Node] = []
        while True:
            spread = None if spread is None else undo(at.node, spread)
            if spread is None:
                raise _unknown(at)
            found = spread.affine()
            if found is not None:
                return Answer(pull=((at.x, found),), passed=tuple(passed))
            producer = at.x.producer()
            if producer is None or not self._moves(producer) or not _is_inner(at.x):
                raise _several_axes(at)
            at = Crossing(producer, constants)
            passed.append(producer)

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """Walk down the rearrangements until the constants are per-channel."""
        ((place, affine),) = lost.items()
        at = Crossing(node, constants)
        rank = None if at.x.shape is None or place != 0 else len(at.x.shape)
        spread = None if rank is None else spread_of(affine, rank)
        passed: list[ir.Node] = []
        while True:
            spread = None if spread is None else _do(at.node, spread)
            if spread is None:
                raise _unknown(at)
            found = spread.affine()
            if found is not None:
                return Answer(push=((at.y, found),), passed=tuple(passed))
            uses = readers(at.y)
            if not _is_inner(at.y) or uses[0].idx != 0 or not self._moves(uses[0].node):
                raise _several_axes(at)
            passed.append(at.node)
            at = Crossing(uses[0].node, constants)

    def _moves(self, node: ir.Node) -> bool:
        return node.op_type in (*self.ops, "Identity") and node.domain in ("", "ai.onnx")


def undo(node: ir.Node, spread: Spread) -> Spread | None:
    """The constants of ``node``'s input from those of its output."""
    x, y, perm = node.inputs[0], node.outputs[0], perm_of(node)
    if x is None or x.shape is None or y.shape is None:
        return None
    if node.op_type == "Transpose":
        return spread.transposed([(perm or []).index(i) for i in range(len(perm or []))])
    return spread if node.op_type == "Identity" else spread.reshaped(y.shape, x.shape)


def _do(node: ir.Node, spread: Spread) -> Spread | None:
    """The constants of ``node``'s output from those of its input."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return None
    if node.op_type == "Transpose":
        return spread.transposed(perm_of(node) or [])
    return spread if node.op_type == "Identity" else spread.reshaped(x.shape, y.shape)


def perm_of(node: ir.Node) -> list[int] | None:
    """The permutation of a Transpose; ``None`` if it is none and the rank is not known."""
    x = node.inputs[0]
    if "perm" in node.attributes:
        return list(node.attributes.get_ints("perm", []))
    return None if x is None or x.shape is None else list(reversed(range(len(x.shape))))


def _is_inner(value: ir.Value) -> bool:
    return len(readers(value)) == 1 and not value.is_graph_output()


def _unknown(at: Crossing) -> Refusal:
    return at.refusal("which channels", " moves where is not known before a run")


def _several_axes(at: Crossing) -> Refusal:
    return at.refusal("", " spreads its channels over several axes")
