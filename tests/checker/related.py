"""Two graphs of one op, the second on ``scale · x + shift``: what its law makes of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from bnfuse.checker.check import Cut, Proving
from bnfuse.checker.graph import Graph
from bnfuse.checker.relations import Relation

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Op:
    """An op on ``x`` and constants.

    Attributes:
        kind: Its type.
        inputs: ``"x"`` where ``x`` goes in, an array for a constant, ``None`` where left out.
        attributes: Of the node.
        outputs: How many results it has.
        moved: Other constants in the candidate, by their place.
        dims: The declared shape of ``x``.
    """

    kind: str
    inputs: tuple[Any, ...] = ("x",)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    moved: dict[int, Any] = field(default_factory=dict)
    dims: tuple[int | str, ...] = (2, 4, 6, 6)
    opset: int = 20


def relate(op: Op, relation: Relation, folder: Path) -> tuple[Proving, list[tuple[str, str]]]:
    """Both graphs with ``x`` related by ``relation``, and the pairs of their results."""
    shape = [1] * len(op.dims)
    if relation.axis is not None:
        shape[relation.axis] = -1
    before = [
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["moved"]),
    ]
    numbers = {"scale": relation.scale.reshape(shape), "shift": relation.shift.reshape(shape)}
    paths = folder / "a.onnx", folder / "b.onnx"
    onnx.save(_model(op, "x", [], {}), paths[0])
    onnx.save(_model(op, "moved", before, numbers), paths[1])
    proving = Proving(Graph.read(paths[0]), Graph.read(paths[1]))
    proving.begin()
    proving.admit(Cut("x", "moved", "linear", relation, (("x", "x"),)))
    return proving, [(f"y{i}", f"y{i}") for i in range(op.outputs)]


def follow(proving: Proving) -> None:
    """Apply the law of each node of the op, which may be written out as several."""
    nodes = proving.original.nodes, proving.candidate.nodes[2:]
    for node, other in zip(*nodes, strict=True):
        proving.same_op(node.outputs[0], other.outputs[0])


def _model(op: Op, x: str, before: list[Any], numbers: dict[str, Array]) -> onnx.ModelProto:
    names, constants = [], dict(numbers)
    for place, given in enumerate(op.inputs):
        chosen = op.moved.get(place, given) if x != "x" else given
        if isinstance(chosen, str):
            names.append(x)
        elif chosen is None:
            names.append("")
        else:
            names.append(f"c{place}")
            constants[f"c{place}"] = np.asarray(chosen)
    outputs = [f"y{i}" for i in range(op.outputs)]
    node = helper.make_node(op.kind, names, outputs, **op.attributes)
    graph = helper.make_graph(
        [*before, node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, op.dims)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", op.opset)])
    model.ir_version = 10
    inferred = onnx.shape_inference.infer_shapes(model)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)
    return model


def holds(proving: Proving, pair: tuple[str, str], x: Array) -> bool:
    """Whether the relation that is known of a pair of results holds at ``x``."""
    relation = proving.relation_of(*pair)
    assert relation is not None
    a, b = (
        ReferenceEvaluator(graph.proto).run([name], {"x": x})[0]
        for graph, name in zip((proving.original, proving.candidate), pair, strict=True)
    )
    shape = [1] * a.ndim
    if relation.axis is not None:
        shape[relation.axis] = -1
    want = relation.scale.reshape(shape) * a + relation.shift.reshape(shape)
    return bool(np.allclose(want, b, rtol=1e-9, atol=1e-9, equal_nan=True))
