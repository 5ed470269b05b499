"""The entries of tensors that hold sizes: numbers where they are known, dimensions by their names.

``Shape(x)`` is a constant as far as the shape of ``x`` is known, and so is what is cut out of it:
``x.shape[1]`` is one although the batch is not.
"""

from __future__ import annotations

__all__ = ["Dim", "dims_of", "entries_of", "known_sizes"]

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator

Dim = int | str
_Entries = list[Dim | None]
_DEPTH = 24
_AS_THEY_ARE = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def dims_of(shape: ir.Shape | None) -> list[Dim] | None:
    """The lengths of a shape, or their names; ``None`` unless each has one."""
    return _complete(_lengths(shape))


def entries_of(value: ir.Value, constants: ConstantEvaluator) -> list[Dim] | None:
    """An integer tensor's entries in order, sizes by their names; ``None`` unless all are known."""
    return _complete(_entries(value, constants, _DEPTH))


def known_sizes(value: ir.Value, constants: ConstantEvaluator) -> NDArray[np.int64] | None:
    """What a Shape, or a Gather or Slice of one, gives on every run; ``None`` where it may vary."""
    node = value.producer()
    if node is None or node.op_type not in ("Gather", "Shape", "Slice"):
        return None
    if value.dtype not in (None, ir.DataType.INT64):
        return None
    entries = _entries(value, constants, _DEPTH)
    numbers = [entry for entry in entries or [] if isinstance(entry, int)]
    if entries is None or len(numbers) < len(entries):
        return None
    shape: tuple[int, ...] = (len(numbers),)
    if node.op_type == "Gather":
        index = None if node.inputs[1] is None else constants.array(node.inputs[1])
        shape = shape if index is None else index.shape
    return np.array(numbers, dtype=np.int64).reshape(shape)


def _complete(entries: _Entries | None) -> list[Dim] | None:
    known = [entry for entry in entries or [] if entry is not None]
    return known if entries is not None and len(known) == len(entries) else None


def _entries(value: ir.Value, constants: ConstantEvaluator, depth: int) -> _Entries | None:
    node = value.producer()
    if node is not None and (depth == 0 or node.domain not in ("", "ai.onnx")):
        return None
    if node is not None and node.op_type == "Shape":
        return _shape_entries(node)
    array = constants.array(value)
    if array is not None:
        return [int(n) for n in np.asarray(array).reshape(-1)]
    if node is None:
        return None
    if node.op_type == "Concat":
        pieces = [None if v is None else _entries(v, constants, depth - 1) for v in node.inputs]
        known = [piece for piece in pieces if piece is not None]
        return [d for piece in known for d in piece] if len(known) == len(pieces) else None
    x = node.inputs[0] if node.inputs else None
    if x is None or node.op_type not in _AS_THEY_ARE | {"Gather", "Slice"}:
        return None
    first = _entries(x, constants, depth - 1)
    if first is None or node.op_type in _AS_THEY_ARE:
        return first
    return (
        _gathered(node, first, constants)
        if node.op_type == "Gather"
        else _sliced(node, first, constants)
    )


def _gathered(node: ir.Node, entries: _Entries, constants: ConstantEvaluator) -> _Entries | None:
    index = None if node.inputs[1] is None else constants.array(node.inputs[1])
    if index is None or any(not -len(entries) <= i < len(entries) for i in index.reshape(-1)):
        return None
    return [entries[int(i)] for i in index.reshape(-1)]


def _sliced(node: ir.Node, entries: _Entries, constants: ConstantEvaluator) -> _Entries | None:
    # Before opset 10 the bounds are attributes.
    if "starts" in node.attributes:
        bounds = [node.attributes.get_ints(name, [])[0] for name in ("starts", "ends")]
        return entries[bounds[0] : bounds[1]]
    given: list[Any] = [None if v is None else constants.array(v) for v in node.inputs[1:]]
    if len(given) < 2 or any(array is None for array in given):
        return None
    step = int(given[3].reshape(-1)[0]) if len(given) > 3 else 1
    return entries[slice(int(given[0].reshape(-1)[0]), int(given[1].reshape(-1)[0]), step)]


def _shape_entries(node: ir.Node) -> _Entries | None:
    x = node.inputs[0]
    lengths = None if x is None else _lengths(x.shape)
    if lengths is None:
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", len(lengths))
    return lengths[start:end]


def _lengths(shape: ir.Shape | None) -> _Entries | None:
    if shape is None:
        return None
    return [dim if isinstance(dim, int) else dim.value for dim in shape]
