"""Where a graph decides by floats which rows it takes, and which node of a candidate does the same.

A ``TopK`` of two nearly equal scores may fall either way, and every box that is gathered by it
follows. Such nodes are paired between the two models, so that each run can be measured against
the truth of the rows that it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.truth.decisions import Decision
from bnfuse.verifying.truth.double_ops import FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnfuse.verifying.truth.torch_decisions import Taken

__all__ = ["Choice", "choices", "module_choices", "takes_decisions"]

# What tells an op's type, where it is not its first input.
_TELLING = {"CastLike": 1, "OneHot": 2, "Where": 1}


@dataclass(frozen=True)
class Choice:
    """One decision of the original.

    Attributes:
        decision: What it decides by.
        name: The integers, booleans or whole floats that come of it, in the original.
        other: The same in the candidate.
        scores: The floats that it compares, if they are to be judged: neither model tells them
            otherwise, and the candidate's stand for the same.
        other_scores: The same in the candidate.
    """

    decision: Decision
    name: str
    other: str
    scores: str = ""
    other_scores: str = ""


def choices(original: onnx.ModelProto, candidate: onnx.ModelProto) -> tuple[Choice, ...]:
    """Return the decisions that both models take, in the order of the original.

    They are paired by name; where there is none alike, those of one kind by their order, if both
    models have as many.
    """
    mine, others = ([*_deciding(model.graph)] for model in (original, candidate))
    named = {(node.op_type, _taken(node)): node for node in others}
    told = {item.name for model in (original, candidate) for item in model.graph.output}
    makers, other_makers = (
        {name: node for node in model.graph.node for name in node.output}
        for model in (original, candidate)
    )
    found = []
    for node, alike in zip(mine, _by_order([node.op_type for node in mine], others), strict=True):
        kind, name = node.op_type, _taken(node)
        other = named.get((kind, name), alike)
        if other is None:
            continue
        place = 1 if kind == "NonMaxSuppression" else 0
        scores, others_scores = node.input[place], other.input[place]
        hidden = (
            not told.intersection((scores, others_scores))
            and [*node.attribute] == [*other.attribute]
            and scores in makers
            and others_scores in other_makers
            and _order(scores, makers) == _order(others_scores, other_makers)
        )
        told.update((scores, others_scores))
        names = (scores, others_scores) if hidden else ("", "")
        found.append(Choice(Decision.of(node), name, _taken(other), *names))
    return tuple(found)


def takes_decisions(model: onnx.ModelProto) -> bool:
    """Return whether a model decides by floats at all."""
    return any(True for _ in _deciding(model.graph))


def module_choices(taken: Sequence[Taken], candidate: onnx.ModelProto) -> tuple[Choice, ...]:
    """Return the decisions that a module takes and its candidate too.

    Those of one kind are paired by their order, if both have as many; a module's are named by their
    position.
    """
    told = {item.name for item in candidate.graph.output}
    others = [*_deciding(candidate.graph)]
    makers = {name: node for node in candidate.graph.node for name in node.output}
    found = []
    nodes = _by_order([item.decision.op for item in taken], others)
    for position, (item, node) in enumerate(zip(taken, nodes, strict=True)):
        if node is None:
            continue
        name, scores = str(position), node.input[0]
        hidden = scores not in told and scores in makers
        told.add(scores)
        names = (item.decision.inputs[0], scores) if hidden else ("", "")
        found.append(Choice(item.decision, name, _taken(node), *names))
    return tuple(found)


def _by_order(
    kinds: Sequence[str], others: Sequence[onnx.NodeProto]
) -> Iterator[onnx.NodeProto | None]:
    """Yield for each decision the candidate's of its kind, by their order, if both have as many."""
    for place, kind in enumerate(kinds):
        alike = [node for node in others if node.op_type == kind]
        yield alike[kinds[:place].count(kind)] if len(alike) == kinds.count(kind) else None


def _order(name: str, makers: Mapping[str, onnx.NodeProto]) -> list[str]:
    """Return the ops right before a value that leave an order as it is.

    Where one model has others there than the other, scores may differ that decide alike.
    """
    found = []
    while (node := makers.get(name)) is not None and has(node.op_type, Fact.RISING | Fact.REORDERS):
        found += [node.op_type] * has(node.op_type, Fact.RISING)
        name = node.input[0]
    return found


def _deciding(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    floats = _float_values(graph)
    for node in graph.node:
        op = node.op_type
        if not node.input or node.input[0] not in floats:
            continue
        if op == "TopK":
            decides = len(node.output) > 1 and bool(node.output[1])
        elif op == "Cast":
            decides = _kind(node) not in FLOATS
        else:
            decides = has(op, Fact.DECIDES)
        if decides:
            yield node


def _kind(node: onnx.NodeProto) -> int:
    return int(next(item.i for item in node.attribute if item.name == "to"))


def _taken(node: onnx.NodeProto) -> str:
    return str(node.output[1 if node.op_type == "TopK" else 0])


def _float_values(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the floats in a graph, by the ops that make them."""
    floats = {item.name for item in graph.input if item.type.tensor_type.elem_type in FLOATS} | {
        item.name for item in graph.initializer if item.data_type in FLOATS
    }
    for node in graph.node:
        if _makes_floats(node, floats):
            floats.update(node.output[:1] if node.op_type == "TopK" else node.output)
    return floats


def _makes_floats(node: onnx.NodeProto, floats: set[str]) -> bool:
    if has(node.op_type, Fact.INTEGRAL):
        return False
    attributes = {item.name: item for item in node.attribute}
    if node.op_type == "Cast":
        return _kind(node) in FLOATS
    if node.op_type in {"Constant", "ConstantOfShape"}:
        if "value" in attributes:
            return attributes["value"].t.data_type in FLOATS
        return node.op_type == "ConstantOfShape" or any("float" in name for name in attributes)
    place = _TELLING.get(node.op_type, 0)
    return len(node.input) > place and node.input[place] in floats
