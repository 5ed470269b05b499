"""Shapes computed at run time, followed symbolically where ONNX's inference gives up.

``x.view(n, -1)``, ``expand_as`` and ``repeat`` become Reshape, Expand and Tile by a tensor that is
cut out of ``Shape(x)``. Its entries are dimensions by name, and with them the result's shape.
"""

from __future__ import annotations

__all__ = ["infer_run_time_shapes"]

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.size_entries import Dim, dims_of, entries_of

_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div"})
_LIKE_THEIR_INPUT = frozenset({"GroupNormalization"})
_FOLLOWED = _ELEMENTWISE | {"Reshape", "Expand", "Tile"}


def infer_run_time_shapes(graph: ir.Graph, constants: ConstantEvaluator) -> bool:
    """Fill in the shapes of Reshape, Expand, Tile and arithmetic; whether any became known."""
    changed = False
    for node in graph:
        changed = _is_like_its_input(node) or changed
        if node.op_type not in _FOLLOWED or node.domain not in ("", "ai.onnx"):
            continue
        y = node.outputs[0]
        if len(node.inputs) != 2 or _is_known(y.shape):
            continue
        shape = _result(node, constants)
        if shape is not None:
            first = node.inputs[0]
            y.shape = ir.Shape(shape)
            y.type = y.type or (None if first is None else first.type)
            changed = True
    return changed


def _is_like_its_input(node: ir.Node) -> bool:
    """Fill in what inference says nothing of; whether it became known."""
    if node.op_type not in _LIKE_THEIR_INPUT or node.domain not in ("", "ai.onnx"):
        return False
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is not None:
        return False
    y.shape, y.type = x.shape, y.type or x.type
    return True


def _result(node: ir.Node, constants: ConstantEvaluator) -> list[Dim] | None:
    x, steering = node.inputs[0], node.inputs[1]
    assert steering is not None
    before = None if x is None else dims_of(x.shape)
    if node.op_type in _ELEMENTWISE:
        other = dims_of(steering.shape)
        return None if before is None or other is None else _broadcast(before, other)
    given = entries_of(steering, constants)
    if before is None or given is None:
        return None
    if node.op_type == "Reshape":
        return _reshaped(before, given, node.attributes.get_int("allowzero", 0) == 1)
    if node.op_type == "Expand":
        return _broadcast(before, given)
    tiled = [_times(length, count) for length, count in zip(before, given, strict=False)]
    known = [dim for dim in tiled if dim is not None]
    return known if len(known) == len(before) == len(given) else None


def _reshaped(before: Sequence[Dim], given: Sequence[Dim], allow_zero: bool) -> list[Dim] | None:
    copied = [
        before[i] if d == 0 and not allow_zero and i < len(before) else d
        for i, d in enumerate(given)
    ]
    if copied.count(-1) != 1:
        return list(copied) if -1 not in copied else None
    left, right = list(before), [d for d in copied if d != -1]
    for dim in [d for d in right if isinstance(d, str)]:
        if dim not in left:
            return None
        left.remove(dim)
        right.remove(dim)
    if any(isinstance(dim, str) for dim in left):
        symbols = [dim for dim in left if isinstance(dim, str)]
        numbers = int(np.prod([d for d in left if isinstance(d, int)]))
        rest = int(np.prod([d for d in right if isinstance(d, int)]))
        if len(symbols) != 1 or numbers != rest:
            return None
        missing: Dim = symbols[0]
    else:
        total = int(np.prod([d for d in left if isinstance(d, int)]))
        rest = int(np.prod([d for d in right if isinstance(d, int)]))
        if rest == 0 or total % rest:
            return None
        missing = total // rest
    return [missing if d == -1 else d for d in copied]


def _broadcast(before: Sequence[Dim], given: Sequence[Dim]) -> list[Dim] | None:
    rank = max(len(before), len(given))
    left = [1] * (rank - len(before)) + list(before)
    right = [1] * (rank - len(given)) + list(given)
    result: list[Dim] = []
    for one, two in zip(left, right, strict=True):
        if two == 1 or one == two:
            result.append(one)
        elif one == 1:
            result.append(two)
        else:
            return None
    return result


def _times(length: Dim, count: Dim) -> Dim | None:
    if length == 1:
        return count
    if count == 1:
        return length
    return length * count if isinstance(length, int) and isinstance(count, int) else None


def _is_known(shape: ir.Shape | None) -> bool:
    # A name that inference made up stands for a dimension that nothing else can be compared to.
    return shape is not None and all(
        isinstance(dim, int) or (dim.value is not None and not dim.value.startswith("unk__"))
        for dim in shape
    )
