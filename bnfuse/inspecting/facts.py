"""What an ONNX model says of itself: interface, operator sets, ops, constants, MACs."""

from __future__ import annotations

__all__ = ["Facts", "Port", "facts_of"]

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from bnfuse.errors import UsageError
from bnfuse.inspecting.macs import Macs, count_macs
from bnfuse.lifting.preparing.functions import inline_functions
from bnfuse.lifting.preparing.shape_inference import infer_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bnfuse.examples import InputShape

_INDICES = frozenset({"int64", "int32", "uint64", "uint32", "bool", "string"})
"""Element types of shapes, axes and indices: no parameters."""


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: Its name.
        dtype: As in ``float32`` or ``sequence of float32``, or the empty string where it has none.
        shape: A size or the name of one for each dimension, ``?`` where it has neither; ``None``
            where not even their number is declared.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        sizes = "" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name} {self.dtype}{sizes}".strip()


@dataclass(frozen=True)
class Facts:
    """What a model is, as it is stored.

    Attributes:
        ir_version: Of ONNX's file format.
        opsets: The operator set of each domain; the standard one's domain is the empty string.
        producer: Who wrote it, with the version.
        metadata: Its ``metadata_props``.
        inputs: What it takes.
        outputs: What it gives.
        ops: How many nodes of each op type, those in bodies included, constants not counted.
        elements: Numbers stored, by element type.
        macs: What it multiplies in one run.
    """

    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    ops: Mapping[str, int]
    elements: Mapping[str, int]
    macs: Macs

    @property
    def nodes(self) -> int:
        """Its nodes, constants not counted."""
        return sum(self.ops.values())

    @property
    def parameters(self) -> int:
        """Numbers stored that are no shapes or indices: weights, biases and statistics."""
        return sum(count for dtype, count in self.elements.items() if dtype not in _INDICES)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "ir_version": self.ir_version,
            "opsets": {domain or "ai.onnx": version for domain, version in self.opsets.items()},
            "producer": self.producer,
            "metadata": dict(self.metadata),
            "inputs": [_port_json(port) for port in self.inputs],
            "outputs": [_port_json(port) for port in self.outputs],
            "nodes": self.nodes,
            "ops": dict(self.ops),
            "parameters": self.parameters,
            "elements": dict(self.elements),
            "macs": {
                "total": self.macs.total.to_json(),
                "by_op": {op: amount.to_json() for op, amount in self.macs.by_op.items()},
                "uncounted": dict(self.macs.uncounted),
            },
        }


def facts_of(model: ir.Model, shapes: Sequence[InputShape] = ()) -> Facts:
    """Look at a model; it is left as it is.

    Args:
        model: The model.
        shapes: Sizes of the inputs for which MACs are counted; those that it declares otherwise.

    Raises:
        UsageError: A shape is none of an input.
    """
    shaped = model.clone()
    _set_shapes(shaped.graph, shapes)
    inline_functions(shaped)
    infer_shapes(shaped)
    elements: Counter[str] = Counter()
    for tensor in dict(_constants(model)).values():
        elements[_dtype(tensor.dtype)] += tensor.size
    stored = model.graph.initializers
    return Facts(
        ir_version=model.ir_version,
        opsets=dict(model.opset_imports),
        producer=" ".join(p for p in (model.producer_name, model.producer_version) if p),
        metadata=dict(model.metadata_props),
        inputs=tuple(_port(v) for v in model.graph.inputs if v.name not in stored),
        outputs=tuple(map(_port, model.graph.outputs)),
        ops=dict(Counter(_op(n) for n in model.graph.all_nodes() if n.op_type != "Constant")),
        elements=dict(elements),
        macs=count_macs(shaped.graph),
    )


def _set_shapes(graph: ir.Graph, shapes: Sequence[InputShape]) -> None:
    values = [value for value in graph.inputs if value.name not in graph.initializers]
    by_name = {value.name: value for value in values}
    for place, given in enumerate(shapes):
        value = by_name.get(given.name)
        if given.name is None and place < len(values):
            value = values[place]
        declared = None if value is None else value.shape
        sizes = [d.size if d.symbol is None else d.symbol for d in given.dimensions]
        if value is None or (declared is not None and len(declared) != len(sizes)):
            has = ", ".join(f"{_port(v)}" for v in values)
            raise UsageError(
                f"--input-shape gives a shape to no input of the model: it has {has}.",
                "Name the input, as in name=1,3,224,224, with as many sizes as it has.",
            )
        value.shape = ir.Shape(sizes)


def _constants(model: ir.Model) -> Iterable[tuple[int, ir.TensorProtocol]]:
    """Each stored tensor once: initialisers, and what Constant nodes hold."""
    for graph in (model.graph, *model.graph.subgraphs(), *model.functions.values()):
        for value in getattr(graph, "initializers", {}).values():
            if value.const_value is not None:
                yield id(value.const_value), value.const_value
        for node in graph:
            held = node.attributes.get("value") if node.op_type == "Constant" else None
            if held is not None and held.type is ir.AttributeType.TENSOR:
                yield id(held.value), held.as_tensor()


def _op(node: ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _port(value: ir.Value) -> Port:
    # A sequence's shape is that of its elements.
    within = "sequence of " if isinstance(value.type, ir.SequenceType) else ""
    dtype = within + _dtype(value.dtype)
    if value.shape is None:
        return Port(value.name or "", dtype, None)
    sizes = (size if isinstance(size, int) else size.value or "?" for size in value.shape)
    return Port(value.name or "", dtype, tuple(sizes))


def _dtype(dtype: ir.DataType | None) -> str:
    if dtype in (None, ir.DataType.UNDEFINED):
        return ""
    return "string" if dtype is ir.DataType.STRING else str(ir.DataType(dtype).numpy().name)


def _port_json(port: Port) -> dict[str, Any]:
    shape = None if port.shape is None else list(port.shape)
    return {"name": port.name, "dtype": port.dtype, "shape": shape}
