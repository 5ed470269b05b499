"""An affine that is left, as the cheapest standard op that computes it."""

from __future__ import annotations

__all__ = ["lower_affine"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import input_of
from bnfuse.graph.rewire import output_like
from bnfuse.lowering.misread import misreads_batch_norm

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    x = input_of(node)
    form = _product_and_sum(lifted) or _cheapest(lifted.affine, x, node.outputs[0])
    keeps = bool(lifted.anchor) or _computes_wider(lifted)
    misread = misreads_batch_norm(x)
    if misread and form == ("BatchNormalization",):
        form = ("Mul", "Add")
    misread &= any(origin.source.op_type == "BatchNormalization" for origin in lifted.origins)
    if lifted.origins and (keeps or len(lifted.origins) <= len(form)) and not misread:
        return _as_it_was(lifted, x, node.outputs[0])
    start, y, dtype = x, node.outputs[0], node.outputs[0].dtype or x.dtype
    assert dtype is not None
    nodes: list[ir.Node] = []
    for op_type in form:
        if op_type == form[-1]:
            output = output_like(y)
        else:
            name = initializers.names.after(f"{y.name}.scaled")
            output = ir.Value(name=name, type=y.type, shape=y.shape)
        operands = [
            initializers.add(vector, dtype, after=f"{lifted.title}.{what}")
            for what, vector in _operands(op_type, lifted.affine, start.shape)
        ]
        # With variance 1 and epsilon 0 the op divides by exactly 1.
        is_norm = op_type == "BatchNormalization"
        nodes.append(
            ir.Node(
                "",
                op_type,
                [x, *operands],
                attributes=[ir.AttrFloat32("epsilon", 0.0)] if is_norm else [],
                outputs=[output],
                name=f"{node.name}.{op_type}",
                metadata_props=dict(node.metadata_props),
            )
        )
        x = output
    return nodes


def _operands(
    op_type: str, affine: ChannelAffine, shape: ir.Shape | None
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """The constants of an op, and what each is called; of a Mul or Add shaped to broadcast."""
    assert shape is not None or affine.axis is None or op_type == "BatchNormalization"
    rank = 0 if shape is None else len(shape)
    if op_type == "Mul":
        yield "scale", affine.shaped(affine.scale, rank)
    elif op_type == "Add":
        yield "shift", affine.shaped(affine.shift, rank)
    elif op_type == "BatchNormalization":
        yield "scale", affine.scale
        yield "shift", affine.shift
        yield "mean", np.zeros_like(affine.shift)
        yield "variance", np.ones_like(affine.scale)


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
