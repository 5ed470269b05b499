"""Take out rearrangements that undo each other: what a norm in the middle leaves behind.

A norm along another axis is written as a Transpose or a Reshape, the norm, and the way back. With
the norm gone the two compute nothing, and keep linear maps apart that could become one. A run of
Transposes is the identity if its permutations cancel; a run of ops that keep the order of the
elements is, if it ends with the shape that it began with. An affine that stands inside such a run
and can go nowhere else stands before it as well, along the axis that is its own there.
"""

from __future__ import annotations

__all__ = ["tidy"]

from typing import TYPE_CHECKING

from bnfuse.folding.axes import Spread
from bnfuse.folding.rules.rearranged import perm_of, rearranged
from bnfuse.graph.access import given, graph_of, input_of, is_op, readers
from bnfuse.graph.rewire import output_like, rename_to, substitute
from bnfuse.lifting.nodes import LiftedAffine, affine_at, affine_of, drop_dead, new_affine

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator

_LAYOUT = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
_FARTHEST = 8
"""Nodes that are looked at above one: no detour is longer, and the whole is linear."""


def tidy(graph: ir.Graph, constants: ConstantEvaluator) -> tuple[str, ...]:
    """Take all detours out of a lifted graph; the names of the values that they led to."""
    reached = []
    for node in tuple(graph):
        if node.graph is None or not is_op(node, *_LAYOUT):
            continue
        y = node.outputs[0]
        if constants.pattern(y) is not None:
            continue
        detour = _detour(node)
        if detour is not None and _take_out(node, *detour):
            reached.append(y.name or "")
    if reached:
        drop_dead(graph)
    return tuple(reached)


def _take_out(
    node: ir.Node, start: ir.Value, affine: ir.Node | None, moved: ChannelAffine | None
) -> bool:
    y = node.outputs[0]
    if affine is not None and moved is not None:
        lifted = affine_at(affine)
        before = LiftedAffine(moved, lifted.own_sites, taken=lifted.taken)
        substitute(node, new_affine(start, output_like(y), before, affine.name or ""))
        return True
    if y.is_graph_output():
        return rename_to(start, node)
    y.replace_all_uses_with(start)
    graph_of(node).remove(node, safe=True)
    return True


def _detour(end: ir.Node) -> tuple[ir.Value, ir.Node | None, ChannelAffine | None] | None:
    """The shortest detour that ends with this node, which leads from a value to that very value.

    Returns:
        The value; the one Affine on the way, if any, and what it is of that value.
    """
    passed: list[ir.Node] = []
    stuck: ir.Node | None = None
    above = 0
    node: ir.Node | None = end
    while node is not None and len(passed) < _FARTHEST:
        x = node.inputs[0]
        if x is None:
            return None
        if affine_of(node) is not None:
            # What else reads it would have it computed twice.
            if stuck is not None or not _may_move(node):
                return None
            stuck, above = node, len(passed)
        elif is_op(node, *_LAYOUT) and _goes_on(passed, node):
            passed.append(node)
            if _is_undone(passed):
                moved = None if stuck is None else _moved(stuck, passed[above:])
                if stuck is None or moved is not None:
                    return x, stuck, moved
        else:
            return None
        node = x.producer()
    return None


def _goes_on(passed: list[ir.Node], node: ir.Node) -> bool:
    """Whether a run stays one of Transposes or one of ops that keep the order."""
    return len({n.op_type == "Transpose" for n in (*passed, node) if _moves(n)}) <= 1


def _moves(node: ir.Node) -> bool:
    return node.op_type != "Identity"


def _is_undone(passed: list[ir.Node]) -> bool:
    """Whether the nodes, from the last to the first, lead back to where they began."""
    moving = [node for node in passed if _moves(node)]
    if not moving:
        return True
    start, end = passed[-1].inputs[0], passed[0].outputs[0]
    if moving[0].op_type != "Transpose":
        return _is_shaped_like(moving[0], start) or _is_same_size(
            None if start is None else start.shape, end.shape
        )
    perm: list[int] | None = None
    for node in moving:
        own = perm_of(node)
        if own is None:
            return False
        perm = own if perm is None else [own[i] for i in perm]
    return perm == sorted(perm or ())


def _is_shaped_like(node: ir.Node, value: ir.Value | None) -> bool:
    """Whether a Reshape asks for the very shape of ``value``."""
    target = given(node, 1) if node.op_type == "Reshape" else None
    shape = None if target is None else target.producer()
    if not is_op(shape, "Shape") or shape.attributes:
        return False
    asked = shape.inputs[0]
    return asked is value or (
        asked is not None and value is not None and _is_same_size(asked.shape, value.shape)
    )


def _is_same_size(one: ir.Shape | None, other: ir.Shape | None) -> bool:
    """Whether two shapes of the same number of elements are known to be the same.

    One dimension need not be known: it is what the others leave of the elements.
    """
    if one is None or other is None or len(one) != len(other):
        return False
    pairs = [(_size(a), _size(b)) for a, b in zip(one, other, strict=True)]
    open_ = [pair for pair in pairs if pair[0] is None or pair[0] != pair[1]]
    if len(open_) != 1:
        return not open_
    # Numbers that differ are a contradiction, and beside a 0 nothing follows.
    return not all(isinstance(size, int) for size in open_[0]) and (0, 0) not in pairs


def _size(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value


def _may_move(node: ir.Node) -> bool:
    y = node.outputs[0]
    return not affine_at(node).anchor and len(readers(y)) == 1 and not y.is_graph_output()


def _moved(affine: ir.Node, nodes: list[ir.Node]) -> ChannelAffine | None:
    """What ``affine`` is before these nodes, the nearest first; ``None`` if not per channel."""
    own, x = affine_at(affine).affine, input_of(affine)
    if x.shape is None or not own.is_finite:
        return None
    spread: Spread | None = Spread.of(own, len(x.shape))
    for node in nodes:
        if spread is not None and _moves(node):
            spread = rearranged(node, spread, back=True)
    return None if spread is None else spread.per_channel()
