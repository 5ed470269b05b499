"""Whether two nodes are the same op in the same words: attributes, parameters and bodies."""

from __future__ import annotations

__all__ = ["demand_same"]

from typing import Any

import numpy as np
import onnx

from bnfuse.checker.nodes import PARAMETERS, RANDOM, Node, need, plain, words
from bnfuse.checker.step import Step

_CHANGED = words(
    "AveragePool BatchNormalization GroupNormalization Hardmax LogSoftmax Resize RoiAlign Scan "
    "Softmax TopK Upsample"
)
"""Ops whose meaning changed between operator sets; the others only gained types."""


def demand_same(step: Step) -> None:
    """Demand the same op in the same words, parameters by their numbers."""
    a, b, op = step.a, step.b, step.a.op
    need(op not in RANDOM, f"{op} draws")
    # Whole windows of an AveragePool are what they were.
    changed = op in _CHANGED and (
        op != "AveragePool" or a.attributes["ceil_mode"] or min(a.opset, b.opset) < 10
    )
    need(
        not changed or _since(a) == _since(b), f"{op} means something else in another operator set"
    )
    parameters = PARAMETERS.get(op, ())
    need("::" not in op or a.opset == b.opset, f"{op} is of another operator set")
    names = {*a.attributes, *b.attributes} - set(parameters)
    if op == "Reshape" and step.is_constant(1) and all(map(np.all, step.constants(1))):
        names -= {"allowzero"}
    for name in names:
        need(_attribute(a, name, b) == _attribute(b, name, a), f"{name} of {op} differs")
    need(len(a.outputs) == len(b.outputs), f"{op} has other outputs")
    given = [[bool(name) for name in node.inputs] for node in (a, b)]
    optional = parameters or op == "LayerNormalization"
    need(optional or given[0] == given[1], f"{op} has other inputs")
    for place, name in enumerate(parameters, 1):
        if name != "value":
            computed = place < min(len(a.inputs), len(b.inputs)) and not step.is_constant(place)
            if not computed or not step.known.equal(a.inputs[place], b.inputs[place]):
                step.parameter(name)
    opsets = [step.original.opsets, step.candidate.opsets]
    need(not a.bodies or opsets[0] == opsets[1], f"the body of {op} is of another operator set")
    for body in a.bodies:
        need(not _ops(body) & {*RANDOM}, f"the body of {op} draws")
        for name in _captured(body):
            need(step.known.equal(name, name), f"the body of {op} reads {name!r}")


def _since(node: Node) -> int:
    return int(onnx.defs.get_schema(node.op, node.opset).since_version)


def _attribute(node: Node, name: str, other: Node) -> Any:
    """An attribute, or its default in the newer of both operator sets."""
    value = node.attributes.get(name)
    if value is None and "::" not in node.op and other.opset > node.opset:
        schema = onnx.defs.get_schema(node.op, other.opset).attributes.get(name)
        if schema is not None and schema.default_value.name:
            value = plain(onnx.helper.get_attribute_value(schema.default_value))
    return value


def _ops(graph: onnx.GraphProto) -> set[str]:
    """The ops of a body, and of those in it."""
    inner = (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
    return {node.op_type for node in graph.node}.union(*map(_ops, inner))


def _captured(graph: onnx.GraphProto) -> set[str]:
    """The values of outer graphs that a body reads."""
    own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    read: set[str] = set()
    for node in graph.node:
        read.update(i for i in node.input if i and i not in own)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                read.update(_captured(attribute.g) - own)
        own.update(node.output)
    read.update(o.name for o in graph.output if o.name not in own)
    return read
