"""An affine that is left, as the cheapest standard op that computes it."""

from __future__ import annotations

__all__ = ["lower_affine"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.rewire import output_like
from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.nodes import LiftedAffine

_RANKS = range(2, 6)
_POSITIONS = range(3, 6)
_DTYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def lower_affine(node: ir.Node, lifted: LiftedAffine, initializers: Initializers) -> list[ir.Node]:
    """The nodes that compute ``lifted``: nothing, Mul, Add, BatchNormalization, or Mul and Add.

    Where the model's own nodes are as few, they are put back as they were.
    """
    x = node.inputs[0]
    assert x is not None
    form = _product_and_sum(lifted) or _cheapest(lifted.affine, x, node.outputs[0])
    keeps = bool(lifted.anchor) or _computes_wider(lifted)
    misread = _is_misread(x)
    if misread and form == ("BatchNormalization",):
        form = ("Mul", "Add")
    misread &= any(origin.source.op_type == "BatchNormalization" for origin in lifted.origins)
    if lifted.origins and (keeps or len(lifted.origins) <= len(form)) and not misread:
        return _as_it_was(lifted, x, node.outputs[0])
    stored = _Constants(lifted, x, node.outputs[0], initializers)
    if form == ("BatchNormalization",):
        return [_batch_norm(node, x, stored)]
    nodes: list[ir.Node] = []
    for op_type in form:
        last = op_type == form[-1]
        output = output_like(node.outputs[0]) if last else stored.between(node.outputs[0])
        operands = [x] if op_type == "Identity" else [x, stored.of(op_type)]
        nodes.append(_node(node, op_type, operands, output))
        x = output
    return nodes


def _product_and_sum(lifted: LiftedAffine) -> tuple[str, ...]:
    """The form of an anchored affine, which ONNX Runtime looks for; else empty."""
    if not lifted.anchor:
        return ()
    return ("Mul", "Add") if lifted.affine.has_shift else ("Mul",)


def _cheapest(affine: ChannelAffine, x: ir.Value, y: ir.Value) -> tuple[str, ...]:
    """The form that costs least on ONNX Runtime, as `benchmarks/relu_forms.py` measured it.

    Between convolutions BatchNormalization stays in the runtime's blocked layout, where an Add by
    a per-channel constant does not, so it is the form for a lone shift too; Mul does stay.
    """
    if affine.is_identity:
        return ("Identity",)
    if x.shape is None and affine.axis == 1:
        # Of all forms it alone does not ask for the rank.
        return ("BatchNormalization",)
    if not affine.has_shift:
        return ("Mul",)
    dtype, rank = y.dtype or x.dtype, len(x.shape) if x.shape is not None else 0
    takes_batch_norm = affine.axis == 1 and dtype in _DTYPES
    if takes_batch_norm and rank in (_RANKS if affine.has_scale else _POSITIONS):
        return ("BatchNormalization",)
    return ("Mul", "Add") if affine.has_scale else ("Add",)


def _is_misread(x: ir.Value) -> bool:
    """Whether ONNX Runtime would fold a BatchNormalization of ``x`` into a matrix product.

    Up to 1.31 its optimiser does so through a Reshape, without a look at where the Reshape puts
    the channels. It leaves a Mul and an Add alone.
    """
    reshape = x.producer()
    if reshape is None or reshape.op_type != "Reshape" or reshape.inputs[0] is None:
        return False
    product = reshape.inputs[0].producer()
    linear = linear_of(product)
    return (
        linear.op_type == "MatMul"
        if linear
        else product is not None and product.op_type == "MatMul"
    )


def _computes_wider(lifted: LiftedAffine) -> bool:
    """Whether the model casts to a wider type for it: one op in the narrow type rounds more."""
    return any(origin.source.op_type == "Cast" for origin in lifted.origins)


def _as_it_was(lifted: LiftedAffine, x: ir.Value, y: ir.Value) -> list[ir.Node]:
    nodes: list[ir.Node] = []
    for origin in lifted.origins:
        inputs = list(origin.source.inputs)
        inputs[origin.position] = x
        if origin is lifted.origins[-1]:
            output = output_like(y)
        else:
            output = ir.Value(name=origin.output, type=origin.type, shape=y.shape)
        nodes.append(origin.source.emit(inputs, output))
        x = output
    return nodes


@dataclass(frozen=True, eq=False)
class _Constants:
    """The constants of one affine, stored when an op asks for them."""

    lifted: LiftedAffine
    x: ir.Value
    y: ir.Value
    initializers: Initializers

    def of(self, op_type: str) -> ir.Value:
        """The operand of a Mul or an Add, shaped to broadcast."""
        affine = self.lifted.affine
        assert self.x.shape is not None or affine.axis is None
        rank = 0 if self.x.shape is None else len(self.x.shape)
        what, vector = ("scale", affine.scale) if op_type == "Mul" else ("shift", affine.shift)
        return self.vector(what, affine.shaped(vector, rank))

    def vector(self, what: str, vector: NDArray[np.float64]) -> ir.Value:
        """A constant under a name that shows whose it is."""
        dtype = self.y.dtype or self.x.dtype
        assert dtype is not None
        stem = self.lifted.sites[0].label
        return self.initializers.add(vector, dtype, after=f"{stem}.{what}")

    def between(self, y: ir.Value) -> ir.Value:
        """The value between a Mul and an Add."""
        name = self.initializers.names.after(f"{y.name}.scaled")
        return ir.Value(name=name, type=y.type, shape=y.shape)


def _batch_norm(node: ir.Node, x: ir.Value, stored: _Constants) -> ir.Node:
    """One op, and one that keeps ONNX Runtime's convolutions in their blocked layout."""
    affine = stored.lifted.affine
    constants = [
        stored.vector("scale", affine.scale),
        stored.vector("shift", affine.shift),
        stored.vector("mean", np.zeros_like(affine.shift)),
        stored.vector("variance", np.ones_like(affine.scale)),
    ]
    # With variance 1 and epsilon 0 the op divides by exactly 1.
    epsilon = ir.AttrFloat32("epsilon", 0.0)
    output = output_like(node.outputs[0])
    return _node(node, "BatchNormalization", [x, *constants], output, [epsilon])


def _node(
    node: ir.Node,
    op_type: str,
    inputs: list[ir.Value],
    output: ir.Value,
    attributes: list[ir.Attr] | None = None,
) -> ir.Node:
    return ir.Node(
        "",
        op_type,
        inputs,
        attributes=attributes or [],
        outputs=[output],
        name=f"{node.name}.{op_type}",
        metadata_props=dict(node.metadata_props),
    )
