"""Where a graph decides by floats which rows it takes, and which node of a candidate does the same.

A ``TopK`` of two nearly equal scores may fall either way, and every box that is gathered by it
follows. Such nodes are paired between the two models, so that each run can be measured against
the truth of the rows that it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from bnfuse.verifying.flips import COMPARISONS, Decision

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Choice", "choices"]

_EXTREMES = frozenset({"ArgMax", "ArgMin"})
_DECIDING = COMPARISONS | _EXTREMES | {"Ceil", "Floor", "NonMaxSuppression", "Round"}
_FLOATS = frozenset(
    number
    for name, number in onnx.TensorProto.DataType.items()
    if name in {"BFLOAT16", "DOUBLE"} or name.startswith("FLOAT")
)
_INTEGRAL = (
    COMPARISONS
    | _EXTREMES
    | {"And", "Equal", "IsInf", "IsNaN", "NonMaxSuppression", "NonZero", "Not", "Or", "Shape",
       "Size", "Xor"}
)  # fmt: skip
# What tells an op's type, where it is not its first input.
_TELLING = {"CastLike": 1, "OneHot": 2, "Where": 1}


@dataclass(frozen=True)
class Choice:
    """One decision of the original.

    Attributes:
        decision: What it decides by.
        name: The integers, booleans or whole floats that come of it, in the original.
        other: The same in the candidate.
        scores: The floats that it compares, where the candidate's go by the same name.
    """

    decision: Decision
    name: str
    other: str
    scores: str = ""


def choices(original: onnx.ModelProto, candidate: onnx.ModelProto) -> tuple[Choice, ...]:
    """Return the decisions that both models take, in the order of the original.

    They are paired by name; where there is none alike, those of one kind by their order, if both
    models have as many.
    """
    mine, others = ([*_deciding(model.graph)] for model in (original, candidate))
    named = {(node.op_type, _taken(node)): node for node in others}
    seen = {item.name for model in (original, candidate) for item in model.graph.output}
    made = {name for node in original.graph.node for name in node.output}
    found = []
    for node in mine:
        kind, name = node.op_type, _taken(node)
        other = named.get((kind, name))
        if other is None:
            alike = [item for item in others if item.op_type == kind]
            same = [item for item in mine if item.op_type == kind]
            if len(alike) != len(same):
                continue
            other = alike[[_taken(item) for item in same].index(name)]
        attributes = {item.name: item.i for item in node.attribute}
        decision = Decision(
            kind,
            tuple(item for item in node.input if item),
            attributes.get("axis", 0 if kind in _EXTREMES else -1),
            bool(attributes.get("keepdims", 1)),
            bool(attributes.get("center_point_box", 0)),
        )
        place = 1 if kind == "NonMaxSuppression" else 0
        scores = node.input[place]
        hidden = scores == other.input[place] and scores in made and scores not in seen
        seen.add(scores)
        found.append(Choice(decision, name, _taken(other), scores if hidden else ""))
    return tuple(found)


def _deciding(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    floats = _float_values(graph)
    for node in graph.node:
        op = node.op_type
        if not node.input or node.input[0] not in floats:
            continue
        if op == "TopK":
            decides = len(node.output) > 1 and bool(node.output[1])
        elif op == "Cast":
            decides = _kind(node) not in _FLOATS
        else:
            decides = op in _DECIDING
        if decides:
            yield node


def _kind(node: onnx.NodeProto) -> int:
    return int(next(item.i for item in node.attribute if item.name == "to"))


def _taken(node: onnx.NodeProto) -> str:
    return str(node.output[1 if node.op_type == "TopK" else 0])


def _float_values(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the floats in a graph, by the ops that make them."""
    floats = {item.name for item in graph.input if item.type.tensor_type.elem_type in _FLOATS} | {
        item.name for item in graph.initializer if item.data_type in _FLOATS
    }
    for node in graph.node:
        if _makes_floats(node, floats):
            floats.update(node.output[:1] if node.op_type == "TopK" else node.output)
    return floats


def _makes_floats(node: onnx.NodeProto, floats: set[str]) -> bool:
    if node.op_type in _INTEGRAL:
        return False
    attributes = {item.name: item for item in node.attribute}
    if node.op_type == "Cast":
        return _kind(node) in _FLOATS
    if node.op_type in {"Constant", "ConstantOfShape"}:
        if "value" in attributes:
            return attributes["value"].t.data_type in _FLOATS
        return node.op_type == "ConstantOfShape" or any("float" in name for name in attributes)
    place = _TELLING.get(node.op_type, 0)
    return len(node.input) > place and node.input[place] in floats
