"""Whether new constants are numbers of the dtype that stores them, and values keep their digits.

A value that gains a shift for the sake of one reader has it taken away again by the others, and the
rounding of the larger value stays behind. What a norm's running statistics tell of its input is
what the size is held to.
"""

from __future__ import annotations

__all__ = [
    "check_affine",
    "check_copy",
    "check_free",
    "check_gain",
    "check_growth",
    "check_linear",
    "check_repeats",
]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.folding.plan import Edit, Rebound, Recompute, Refusal, Take
from bnfuse.graph.limits import Limits, fits
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.nodes import affine_at, affine_of, held_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bnfuse.folding.plan import Plan
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import Constant
    from bnfuse.lifting.linear import Side

_SMALL = 1 << 16
"""Bytes that a file may grow by for one constant without a question."""
_COPIES = 2
"""How many times what it is made from a constant may take when it is stored."""
_FULL_PRECISION = 4
"""Bytes of a number whose rounding does not show beside that of the net itself."""
_GROWTH = {
    ir.DataType.DOUBLE: (1e4, 1e5),
    ir.DataType.FLOAT: (3.0, 30.0),
    ir.DataType.FLOAT16: (2.0, 8.0),
    ir.DataType.BFLOAT16: (2.0, 8.0),
}
"""How many times larger than in the model a value's rounding errors may become: the root of the
mean square over its channels, and the worst channel. Half precision rounds the value itself coarser
than what is summed to it; in float32 it is the sums that most of the error comes from."""


def check_copy(constant: Constant) -> None:
    """Refuse to store a constant that makes the file much larger: expanded, or a tied embedding."""
    size, name = constant.nbytes, constant.name
    if size <= _SMALL:
        return
    if size > _COPIES * constant.stored_bytes:
        made = f"the constant {name!r} is made from {constant.stored_bytes:,} bytes"
        raise Refusal(f"{made} and would be stored as {size:,}")
    if constant.is_tied:
        raise Refusal(f"what {name!r} is made from is read elsewhere: {size:,} bytes more")


def check_linear(before: LinearMap, after: LinearMap) -> None:
    """Refuse constants that overflow, and those of a channel that would be lost to zero."""
    if after.weight_changed and not before.weight_changed:
        check_copy(before.weight.constant)
    dtype = before.weight.constant.dtype
    limits, what = Limits.of(dtype), dtype.name.lower()
    for was, now in zip(before.channel_bounds(), after.channel_bounds(), strict=True):
        if limits.overflows(now):
            raise Refusal(f"a weight of {before.label!r} would overflow {what}")
        if limits.vanishes(now[~limits.vanishing(was)]):
            raise Refusal(f"a channel of {before.label!r} would vanish in {what}")
    if limits.overflows(after.offset):
        raise Refusal(f"a bias of {before.label!r} would overflow {what}")


def check_affine(node: ir.Node, others: Iterable[tuple[Side, ChannelAffine]]) -> None:
    """Refuse what an Affine node cannot take, one after the other, and stay one Affine."""
    lifted = affine_at(node)
    joined, label = lifted.affine, lifted.title
    if lifted.is_fixed:
        raise Refusal(f"{label!r} beside it keeps its number: {lifted.anchor}")
    for side, other in others:
        if not joined.composes_with(other):
            raise Refusal(f"{label!r} beside it runs along another axis")
        joined = joined.then(other) if side == "after" else other.then(joined)
    if not fits(joined, node.outputs[0].dtype):
        raise Refusal(f"joined with {label!r} its constants would not fit")


def check_repeats(edits: Sequence[Edit]) -> None:
    """Refuse a plan by what its several edits of one node do together; each alone is fine."""
    by_node: dict[ir.Node, list[Edit]] = {}
    for edit in edits:
        by_node.setdefault(edit.node, []).append(edit)
    for node, several in by_node.items():
        if len(several) > 1:
            _check_several(node, several)


def _check_several(node: ir.Node, edits: Sequence[Edit]) -> None:
    places = [edit.position for edit in edits if isinstance(edit, Rebound | Recompute)]
    takes = [(edit.side, edit.affine) for edit in edits if isinstance(edit, Take)]
    held = before = held_by(node)
    if isinstance(before, LinearMap) and isinstance(held, LinearMap):
        for side, affine in takes:
            held = held.taking(side, affine)
        check_linear(before, held)
    elif affine_of(node) is not None:
        check_affine(node, takes)
    elif len(takes) > 1 or len(set(places)) < len(places):
        raise Refusal(f"two ways lead to {node.op_type} {node.name!r}")


def check_growth(plan: Plan) -> None:
    """Refuse what moves values so far from 0 that the digits their other readers need are lost."""
    before: dict[ir.Node, ChannelAffine] = {}
    for edit in plan.edits:
        if edit not in plan.corrections or affine_of(edit.node) is None:
            continue
        if isinstance(edit, Take) and edit.side == "before":
            first = before.get(edit.node)
            before[edit.node] = edit.affine if first is None else edit.affine.then(first)
    for node, affine in before.items():
        check_gain(node, affine)


def check_gain(node: ir.Node, before: ChannelAffine) -> None:
    """Refuse an input of an Affine from which ``before`` makes what it reads now, as above."""
    lifted, x = affine_of(node), node.inputs[0]
    if lifted is None or lifted.moments is None or x is None or x.dtype is None:
        return
    moments = lifted.moments.after(before)
    growth, what = moments.growth(), x.dtype.name.lower()
    mean, largest = float(np.sqrt(np.mean(growth**2))), float(np.max(growth))
    allowed_mean, allowed = _GROWTH.get(x.dtype, (np.inf, np.inf))
    if mean > allowed_mean or largest > allowed:
        raise Refusal(
            f"a channel of {x.name!r} would be {largest:.2g} times as large as "
            f"{lifted.title!r} knows it, by a shift that its other readers take away "
            f"again, and {what} has not the digits for that"
        )
    if moments.largest() > Limits.of(x.dtype).largest:
        raise Refusal(f"{x.name!r} might overflow {what}")


def check_free(edit: Edit) -> None:
    """Refuse an edit that is no place for what costs nothing where it is.

    A Mul or Add that would have to be added, or that stays in any case, is no such place; nor is a
    weight in half precision, which would be rounded a second time.
    """
    if not isinstance(edit, Take):
        return
    linear, x = edit.taker, edit.node.inputs[0]
    if not isinstance(linear, LinearMap):
        raise Refusal(f"{edit.target} stays in any case")
    dtype = linear.weight.constant.dtype
    if dtype.itemsize < _FULL_PRECISION:
        what = f"the weight of {linear.label!r}"
        raise Refusal(f"{what} would be rounded to {dtype.name.lower()} once more")
    if not edit.affine.has_shift or linear.op_type != "MatMul" or linear.has_bias:
        return
    is_matrix = x is not None and x.shape is not None and len(x.shape) == 2
    # A product of two matrices is lowered to a Gemm, which has a bias for nothing.
    if not is_matrix or linear.constant_on_left:
        raise Refusal(f"MatMul {linear.label!r} has no bias, so the shift would cost an Add")
