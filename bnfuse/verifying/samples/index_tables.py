"""What integer inputs may be, read from the graph: rows of the tables they index, or any number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from bnfuse.verifying.truth.double import node_uses

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SAME_VALUES",
    "Lookup",
    "constant_tensors",
    "free_integers",
    "index_limits",
    "lookups",
    "position_ends",
    "same_rows",
    "suspects",
]

SAME_VALUES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Ops whose result holds the numbers of their first input."""
# Ops that keep the rows of a constant table where they are.
_SAME_ROWS = frozenset({"Cast", "DequantizeLinear", "Identity"})

# Ops that read a part of a constant, and how long it is at least to end a sequence.
_PARTS = frozenset({"Gather", "GatherElements", "GatherND", "Slice"})
_SHORTEST, _MOST_ENDS = 12, 4

# An integer that only these read is a number: it sizes nothing and indexes nothing.
_ARITHMETIC = frozenset(
    {"Abs", "Add", "Clip", "Concat", "Max", "Min", "Mul", "Neg", "ReduceMax", "ReduceMin",
     "ReduceSum", "Sign", "Sub"}
)  # fmt: skip
_COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_INTEGERS = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
)


Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Lookup:
    """A constant table that an input indexes.

    Attributes:
        table: The name of the table.
        rows: How many values of the input are rows of it, from 0 on.
    """

    table: str
    rows: int


def lookups(proto: onnx.ModelProto) -> dict[str, list[Lookup]]:
    """Return, for each graph input that indexes constant tables, those tables.

    Follows the input through ops that keep its values, and constants added to them, to
    ``Gather``, and to ``GatherND`` along its first axis.
    """
    constants = constant_tensors(proto)
    sizes = {name: tuple(item.dims) for name, item in constants.items()}
    names = dict(zip(sizes, sizes, strict=True))
    inputs = [item.name for item in proto.graph.input if item.name not in constants]
    source = {name: (name, 0) for name in inputs}
    found: dict[str, list[Lookup]] = {}
    for node in proto.graph.node:
        if not node.input:
            continue
        first, output = node.input[0], node.output[0]
        if node.op_type in SAME_VALUES and first in source:
            source[output] = source[first]
        if node.op_type in _SAME_ROWS and first in sizes:
            sizes[output], names[output] = sizes[first], names[first]
        if node.op_type in {"Add", "Sub"} and first in source:
            added = _scalar(constants.get(node.input[1]))
            if added is not None:
                sign = 1 if node.op_type == "Add" else -1
                source[output] = source[first][0], source[first][1] + sign * added
        if node.op_type not in {"Gather", "GatherND"}:
            continue
        place, shape = source.get(node.input[1]), sizes.get(first)
        if place is None or not shape:
            continue
        name, offset = place
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        rows = shape[axis] - max(offset, 0)
        if rows > 0:
            found.setdefault(name, []).append(Lookup(names[first], rows))
    return found


def index_limits(proto: onnx.ModelProto) -> dict[str, int]:
    """Return, for each graph input that indexes constant tables, the rows of the smallest."""
    return {name: min(item.rows for item in items) for name, items in lookups(proto).items()}


def suspects(one: onnx.ModelProto, two: onnx.ModelProto, name: str) -> Array | None:
    """Return the rows that an input indexes, those first that the two models disagree on most.

    A fold scales and shifts a table's columns. Rows that do not follow what most rows do come
    first; None where the models index different tables.
    """
    mine, others = (_looked_up(model, name) for model in (one, two))
    if not mine or [a.shape for a in mine] != [b.shape for b in others]:
        return None
    worst = np.zeros(min(len(table) for table in mine))
    for a, b in zip(mine, others, strict=True):
        worst = np.maximum(worst, _residual(a, b)[: len(worst)])
    return np.argsort(-worst, kind="stable")


def _residual(one: Array, two: Array) -> Array:
    """Return how far each row of ``two`` lies from scaled and shifted columns of ``one``."""
    x, y = (table.reshape(len(table), -1).astype(np.float64) for table in (one, two))
    if np.array_equal(x, y):
        return np.zeros(len(x))
    x, scale = x - x.mean(axis=0), np.zeros(x.shape[1])
    y = y - y.mean(axis=0)
    power = (x**2).sum(axis=0)
    np.divide((x * y).sum(axis=0), power, out=scale, where=power > 0)
    return np.asarray(np.abs(y - scale * x).max(axis=1, initial=0.0))


def same_rows(one: onnx.ModelProto, two: onnx.ModelProto, name: str) -> bool:
    """Return whether an input indexes the same numbers in both models, bit for bit."""
    mine, others = (_looked_up(model, name) for model in (one, two))
    return len(mine) == len(others) > 0 and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(mine, others, strict=True)
    )


def free_integers(proto: onnx.ModelProto) -> frozenset[str]:
    """Return the integer inputs that are only ever numbers, so that any number is valid.

    They are added, compared and cast to floats, and nothing else: they are no index, no size and
    no divisor.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node_uses(node):
            users.setdefault(name, []).append(node)
    return frozenset(
        item.name
        for item in proto.graph.input
        if item.type.tensor_type.elem_type in _INTEGERS and _is_number(item.name, users)
    )


def _is_number(name: str, users: Mapping[str, list[onnx.NodeProto]]) -> bool:
    return all(
        _is_end(node, name)
        or (
            (node.op_type in _ARITHMETIC or _keeps(node, name))
            and all(_is_number(output, users) for output in node.output)
        )
        for node in users.get(name, ())
    )


def _is_end(node: onnx.NodeProto, name: str) -> bool:
    """Whether what a node makes of an integer is no integer any more."""
    if node.op_type == "Cast":
        to = next(item.i for item in node.attribute if item.name == "to")
        return to not in _INTEGERS
    return node.op_type in _COMPARISONS and name in node.input


def _keeps(node: onnx.NodeProto, name: str) -> bool:
    # As data, not as the shape or the axes.
    return node.op_type in SAME_VALUES and node.input[0] == name and name not in node.input[1:]


def constant_tensors(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the initialisers and the tensors of ``Constant`` nodes by name."""
    found = {item.name: item for item in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], item.t) for item in node.attribute if item.HasField("t"))
    return found


def _scalar(tensor: onnx.TensorProto | None) -> int | None:
    if tensor is None or tensor.data_type not in _INTEGERS or int(np.prod(tensor.dims)) != 1:
        return None
    return int(onnx.numpy_helper.to_array(tensor).item())


def _looked_up(model: onnx.ModelProto, name: str) -> list[Any]:
    constants = constant_tensors(model)
    return [
        onnx.numpy_helper.to_array(constants[item.table]) for item in lookups(model).get(name, ())
    ]


def position_ends(proto: onnx.ModelProto) -> tuple[int, ...]:
    """Return how long constants are that the graph reads a part of by no input, longest first.

    Tables of positions are, and a sequence that is longer than one of them has none for its end.
    """
    constants = constant_tensors(proto)
    indexed = {item.table for items in lookups(proto).values() for item in items}
    sizes = {name: tuple(item.dims) for name, item in constants.items() if name not in indexed}
    found: set[int] = set()
    for node in proto.graph.node:
        shape = sizes.get(node.input[0]) if node.op_type in _PARTS else None
        if shape and not constants.keys() >= set(node.input[1:]) - {""}:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            read = [shape[axis]] if node.op_type == "Gather" else shape
            found.update(size for size in read if size > _SHORTEST)
    return tuple(sorted(found, reverse=True)[:_MOST_ENDS])
