"""Whether new constants are numbers of the dtype that stores them, one by one and together."""

from __future__ import annotations

__all__ = ["refuse_affine", "refuse_copy", "refuse_linear", "refuse_repeats"]

from typing import TYPE_CHECKING, Literal

from bnfuse.folding.plan import Absorb, Compose, Edit, Recompute, Refusal, Repad, Rescale
from bnfuse.lifting.limits import Limits, fits
from bnfuse.lifting.nodes import affine_of, linear_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import Constant
    from bnfuse.lifting.linear import LinearMap

_SMALL = 1 << 16
"""Bytes that a file may grow by for one constant without a question."""
_GROWTH = 2
"""How many times what it is made from a constant may take when it is stored."""


def refuse_copy(constant: Constant) -> Refusal | None:
    """Refuse to store a constant that makes the file much larger: expanded, or a tied embedding."""
    size, name = constant.nbytes, constant.name
    if size <= _SMALL:
        return None
    if size > _GROWTH * constant.stored_bytes:
        made = f"the constant {name!r} is made from {constant.stored_bytes:,} bytes"
        return Refusal(f"{made} and would be stored as {size:,}", name)
    if constant.is_tied:
        return Refusal(f"what {name!r} is made from is read elsewhere: {size:,} bytes more", name)
    return None


def refuse_linear(before: LinearMap, after: LinearMap) -> Refusal | None:
    """Refuse constants that overflow, and those of a channel that would be lost to zero."""
    if after.weight_changed and not before.weight_changed:
        refusal = refuse_copy(before.weight.constant)
        if refusal is not None:
            return refusal
    dtype = before.weight.constant.dtype
    limits, what = Limits.of(dtype), dtype.name.lower()
    for was, now in zip(before.channel_bounds(), after.channel_bounds(), strict=True):
        if limits.overflows(now):
            return Refusal(f"a weight of {before.label!r} would overflow {what}", before.name)
        if limits.vanishes(now[~limits.vanishing(was)]):
            return Refusal(f"a channel of {before.label!r} would vanish in {what}", before.name)
    if limits.overflows(after.offset):
        return Refusal(f"a bias of {before.label!r} would overflow {what}", before.name)
    return None


def refuse_affine(
    node: ir.Node, others: Iterable[tuple[Literal["after", "before"], ChannelAffine]]
) -> Refusal | None:
    """Refuse what an Affine node cannot take, one after the other, and stay one Affine."""
    lifted = affine_of(node)
    assert lifted is not None
    joined, label = lifted.affine, lifted.sites[0].label
    if lifted.is_fixed:
        return Refusal(f"{label!r} beside it keeps its number: {lifted.anchor}", node.name or "")
    for side, other in others:
        if not joined.composes_with(other):
            return Refusal(f"{label!r} beside it runs along another axis", node.name or "")
        joined = joined.then(other) if side == "after" else other.then(joined)
    if not fits(joined, node.outputs[0].dtype):
        return Refusal(f"joined with {label!r} its constants would not fit", node.name or "")
    return None


def refuse_repeats(edits: Sequence[Edit]) -> Refusal | None:
    """Refuse a plan by what its several edits of one node do together; each alone is fine."""
    by_node: dict[ir.Node, list[Edit]] = {}
    for edit in edits:
        by_node.setdefault(edit.node, []).append(edit)
    for node, several in by_node.items():
        refusal = _refuse_several(node, several) if len(several) > 1 else None
        if refusal is not None:
            return refusal
    return None


def _refuse_several(node: ir.Node, edits: Sequence[Edit]) -> Refusal | None:
    places = [edit.position for edit in edits if isinstance(edit, Recompute)]
    unique = sum(isinstance(edit, Repad | Rescale) for edit in edits)
    if unique > 1 or len(set(places)) < len(places):
        return Refusal(f"two ways lead to {node.op_type} {node.name!r}", node.name or "")
    linear = before = linear_of(node)
    for edit in edits:
        if isinstance(edit, Absorb) and linear is not None:
            take = linear.after if edit.side == "after" else linear.before
            linear = take(edit.affine, edit.rule)
    if before is not None and linear is not None:
        return refuse_linear(before, linear)
    composed = [(edit.side, edit.affine) for edit in edits if isinstance(edit, Compose)]
    return refuse_affine(node, composed) if composed else None
