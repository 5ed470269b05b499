"""Carry an affine through ops that rearrange elements, or mix them along one axis of a matrix.

Transpose, Reshape, Flatten, Squeeze and Unsqueeze compute nothing, so ``A(op(x)) = op(A'(x))``
where ``A'`` has each element's own constants. A channel shuffle (Reshape, Transpose, Reshape)
spreads one channel axis over two and joins them again: consecutive rearrangements are therefore
taken in one go, and the constants need to be per-channel only at the far end.

So is a product of two run-time matrices, since the heads of an attention part the channels before
it and join them behind it: ``A · (V · diag(s)) = (A · V) · diag(s)``, ``(diag(s) · A) · V =
diag(s) · (A · V)``, and where each row of ``A`` sums to 1, as behind a Softmax of its rows,
``A · (V + 1 · t) = A · V + 1 · t``.
"""

from __future__ import annotations

__all__ = ["Rearranged", "perm_of", "rearranged"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.folding.axes import Spread
from bnfuse.folding.plan import Answer
from bnfuse.graph.access import given, input_of, is_op, readers
from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.folding.plan import Refusal, Response
    from bnfuse.folding.rule import Crossing
    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Rearranged:
    """``A(op(x)) = op(A'(x))`` with the constants of each element."""

    ops: tuple[str, ...]
    joins = False

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """Walk up until the constants are per-channel."""
        spread = _spread(at, affine, at.y)
        passed: list[ir.Node] = []
        while True:
            at = replace(at, place=_carrier(at.node, spread))
            spread = _moved(at, spread, back=True)
            found = spread.per_channel()
            if found is not None:
                return Answer(pull=((at.x, found),), passed=tuple(passed))
            producer = at.x.producer()
            if not is_op(producer, *self.ops, "Identity") or not _is_inner(at.x):
                raise _several_axes(at)
            at = replace(at, node=producer, place=0, output=0)
            passed.append(producer)

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """Walk down until the constants are per-channel."""
        spread = _spread(at, lost[at.place], at.x)
        passed: list[ir.Node] = []
        while True:
            spread = _moved(at, spread, back=False)
            found = spread.per_channel()
            if found is not None:
                return Answer(push=((at.y, found),), passed=tuple(passed))
            uses = readers(at.y)
            if not _is_inner(at.y) or not is_op(uses[0].node, *self.ops, "Identity"):
                raise _several_axes(at)
            passed.append(at.node)
            at = replace(at, node=uses[0].node, place=uses[0].idx)


def rearranged(node: ir.Node, spread: Spread, *, back: bool) -> Spread | None:
    """The constants of one end of a rearrangement from those of the other; ``None`` if unknown."""
    x, y = input_of(node).shape, node.outputs[0].shape
    if x is None or y is None:
        return None
    if node.op_type == "Transpose":
        perm = perm_of(node) or []
        return spread.transposed([perm.index(i) for i in range(len(perm))] if back else perm)
    if node.op_type == "Identity":
        return spread
    return spread.reshaped(y, x) if back else spread.reshaped(x, y)


def perm_of(node: ir.Node) -> list[int] | None:
    """The permutation of a Transpose; ``None`` if it is none and the rank is not known."""
    x = node.inputs[0]
    if "perm" in node.attributes:
        return list(node.attributes.get_ints("perm", []))
    return None if x is None or x.shape is None else list(reversed(range(len(x.shape))))


def _spread(at: Crossing, affine: ChannelAffine, value: ir.Value) -> Spread:
    if value.shape is None:
        raise _unknown(at)
    return Spread.of(affine, len(value.shape))


def _carrier(node: ir.Node, spread: Spread) -> int:
    """Which input the constants of the output are those of: a product has its rows of the first."""
    rows = spread.which.ndim - 2
    return 0 if node.op_type != "MatMul" or rows in spread.axes else 1


def _moved(at: Crossing, spread: Spread, *, back: bool) -> Spread:
    """The constants of the input from those of the output, or the other way round."""
    if at.node.op_type == "MatMul":
        moved = _through_product(at, spread, back=back)
    else:
        moved = rearranged(at.node, spread, back=back) if at.place == 0 else None
    if moved is None:
        raise _unknown(at)
    return moved


def _through_product(at: Crossing, spread: Spread, *, back: bool) -> Spread | None:
    x, y, shape = at.x.shape, at.y.shape, spread.which.shape
    if x is None or y is None:
        return None
    _check_product(at, spread, len(y) if back else len(x))
    raised = len(y) - len(x)
    if not back:
        return spread.shaped((1,) * raised + shape)
    if any(a < raised or static_dim(x, a - raised) != shape[a] for a in spread.axes):
        return None
    return spread.shaped(shape[raised:])


def _check_product(at: Crossing, spread: Spread, rank: int) -> None:
    """Refuse constants of a factor, or of the product, that do not pass a product of this rank."""
    if any(x is None or x.shape is None or len(x.shape) < 2 for x in at.node.inputs):
        raise _unknown(at)
    # Of a factor the axis that is summed over, of the product the other factor's.
    if rank - (1 if at.place == 0 else 2) in spread.axes:
        raise at.refusal("its constants run along an axis that", " does not keep")
    if spread.affine.has_shift and not (at.place == 1 and _rows_sum_to_one(at)):
        rows = ": the rows beside it are not known to sum to 1"
        raise at.refusal("a shift does not pass", rows)


def _rows_sum_to_one(at: Crossing) -> bool:
    """Whether the first factor is a Softmax along its last axis, as it came out of that."""
    a = at.node.inputs[0]
    node = None if a is None else a.producer()
    while is_op(node, "Identity", "Dropout"):
        mode = at.constants.array(given(node, 2))
        if given(node, 2) is not None and (mode is None or mode.any()):
            return False
        a = node.inputs[0]
        node = None if a is None else a.producer()
    if not is_op(node, "Softmax") or a is None or a.shape is None or "axis" not in node.attributes:
        return False
    return node.attributes.get_int("axis", -1) in (-1, len(a.shape) - 1)


def _is_inner(value: ir.Value) -> bool:
    return len(readers(value)) == 1 and not value.is_graph_output()


def _unknown(at: Crossing) -> Refusal:
    return at.refusal("which channels", " moves where is not known before a run")


def _several_axes(at: Crossing) -> Refusal:
    return at.refusal("", " spreads its channels over several axes")
