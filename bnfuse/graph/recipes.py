"""How constants are made, kept apart from the graph, which may lose the nodes that make them."""

from __future__ import annotations

__all__ = ["Recipe", "flattening", "recipe_of"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.source import Source

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_NEVER_CONSTANT = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike", "If", "Loop", "Scan"}
    # Eight bits that a fold would write out as floats are no longer a quantised model.
    | {"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"}
)
_ATTRIBUTES = frozenset(
    {ir.AttributeType.FLOAT, ir.AttributeType.FLOATS, ir.AttributeType.INT, ir.AttributeType.INTS}
    | {ir.AttributeType.STRING, ir.AttributeType.TENSOR}
)


@dataclass(frozen=True, eq=False)
class Recipe:
    """One output of a node, computed from other values.

    Attributes:
        source: The node.
        index: Which of its outputs.
    """

    source: Source
    index: int

    @property
    def op_type(self) -> str:
        """The operator."""
        return self.source.op_type

    @property
    def inputs(self) -> list[ir.Value]:
        """What must be known."""
        return [value for value in self.source.inputs if value is not None]

    def of_its_data(self) -> Recipe:
        """What an Expand or a Tile repeats."""
        return Recipe(_one_input(self.source, "Identity"), 0)

    def key(self, roots: dict[ir.Value, ir.Value]) -> Hashable:
        """What tells it apart from another recipe, its inputs being known by their roots."""
        inputs = tuple(None if v is None else roots.get(v, v) for v in self.source.inputs)
        attributes = self.source.frame.attributes.values()
        return (self.op_type, self.index, inputs, frozenset((a.name, _key(a)) for a in attributes))


def recipe_of(node: ir.Node, value: ir.Value) -> Recipe | None:
    """How ``value`` is made, if it is a number whenever what its node reads is one."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _NEVER_CONSTANT:
        return None
    if not isinstance(value.type, ir.TensorType | None) or value.dtype is ir.DataType.STRING:
        return None
    if any(a.type not in _ATTRIBUTES or a.is_ref() for a in node.attributes.values()):
        return None
    source = Source.of(node)
    if node.op_type == "CastLike":
        # It reads its second input's type, which is known before a run.
        like = value.dtype or (None if node.inputs[1] is None else node.inputs[1].dtype)
        if like is None:
            return None
        return Recipe(_one_input(source, "Cast", [ir.AttrInt64("to", int(like))]), 0)
    return Recipe(source, node.outputs.index(value))


def flattening(value: ir.Value, axis: int) -> Recipe:
    """A Flatten of a value, which stands in no graph."""
    frame = ir.Node("", "Flatten", [], attributes=[ir.AttrInt64("axis", axis)])
    return Recipe(Source("Flatten", "", "", (value,), frame, {}, None, ""), 0)


def _one_input(source: Source, op_type: str, attributes: Sequence[ir.Attr] = ()) -> Source:
    """An op of the first thing that a node reads."""
    frame = ir.Node("", op_type, [], attributes=attributes)
    return replace(source, op_type=op_type, inputs=source.inputs[:1], frame=frame, outputs=1)


def _key(attribute: ir.Attr) -> Hashable:
    value = attribute.value
    if isinstance(value, list | tuple):
        return tuple(value)
    return value if isinstance(value, int | float | str) else id(value)
