"""Whether new constants are numbers of the dtype that stores them, one by one and together."""

from __future__ import annotations

__all__ = ["check_affine", "check_copy", "check_linear", "check_repeats"]

from typing import TYPE_CHECKING, Literal

from bnfuse.folding.plan import Absorb, Compose, Edit, Rebound, Recompute, Refusal, Rescale
from bnfuse.graph.limits import Limits, fits
from bnfuse.lifting.nodes import affine_of, linear_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import Constant
    from bnfuse.lifting.linear import LinearMap

_SMALL = 1 << 16
"""Bytes that a file may grow by for one constant without a question."""
_GROWTH = 2
"""How many times what it is made from a constant may take when it is stored."""


def check_copy(constant: Constant) -> None:
    """Refuse to store a constant that makes the file much larger: expanded, or a tied embedding."""
    size, name = constant.nbytes, constant.name
    if size <= _SMALL:
        return
    if size > _GROWTH * constant.stored_bytes:
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


def check_affine(
    node: ir.Node, others: Iterable[tuple[Literal["after", "before"], ChannelAffine]]
) -> None:
    """Refuse what an Affine node cannot take, one after the other, and stay one Affine."""
    lifted = affine_of(node)
    assert lifted is not None
    joined, label = lifted.affine, lifted.sites[0].label
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
    rescaled = sum(isinstance(edit, Rescale) for edit in edits)
    if rescaled > 1 or len(set(places)) < len(places):
        raise Refusal(f"two ways lead to {node.op_type} {node.name!r}")
    linear = before = linear_of(node)
    for edit in edits:
        if isinstance(edit, Absorb) and linear is not None:
            take = linear.after if edit.side == "after" else linear.before
            linear = take(edit.affine, edit.rule)
    if before is not None and linear is not None:
        check_linear(before, linear)
    composed = [(edit.side, edit.affine) for edit in edits if isinstance(edit, Compose)]
    if composed:
        check_affine(node, composed)
