"""A norm of a batch that was folded into the channels, as PyTorch exports a tracked InstanceNorm.

It reshapes ``x`` (N, C, …) to (1, N · C, …) and tiles each parameter N times. Channel ``n · C + c``
has the constants of ``c``, so it is the norm of ``x`` itself, reshaped::

    BN(reshape(x); tile(p, N)) = reshape(BN(x; p))
"""

from __future__ import annotations

__all__ = ["unfold_batches"]

from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.channel import static_dim
from bnfuse.graph.rewire import output_like, substitute_sequence
from bnfuse.graph.size_entries import dims_of

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator


def unfold_batches(graph: ir.Graph, constants: ConstantEvaluator) -> None:
    """Move each such norm before its Reshape, in place."""
    for node in tuple(graph):
        if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
            continue
        reshape = _reshape(node)
        parameters = [_repeated(value, constants) for value in node.inputs[1:5]]
        if reshape is None or None in parameters or len(node.outputs) != 1:
            continue
        x, target = reshape.inputs
        assert x is not None
        if any(v is None or v.shape != (static_dim(x.shape, 1),) for v in parameters):
            continue
        normed = ir.Value(type=x.type, shape=x.shape)
        norm = ir.Node(
            node.domain,
            node.op_type,
            [x, *parameters],
            attributes=list(node.attributes.values()),
            outputs=[normed],
            name=node.name,
            doc_string=node.doc_string,
            metadata_props=dict(node.metadata_props),
        )
        folded = ir.Node(
            reshape.domain,
            "Reshape",
            [normed, target],
            attributes=list(reshape.attributes.values()),
            outputs=[output_like(node.outputs[0])],
            name=reshape.name,
            doc_string=reshape.doc_string,
            metadata_props=dict(reshape.metadata_props),
        )
        substitute_sequence(node, [norm, folded])
        graph.remove(reshape, safe=True)


def _reshape(norm: ir.Node) -> ir.Node | None:
    """The Reshape from (N, C, …) to (1, N · C, …) before a norm that alone reads it."""
    y = norm.inputs[0]
    node = None if y is None else y.producer()
    if node is None or node.op_type != "Reshape" or node.domain not in ("", "ai.onnx"):
        return None
    x = node.inputs[0]
    if x is None or y is None or y.is_graph_output() or len(y.uses()) != 1:
        return None
    before, after = (None if v.shape is None else list(v.shape) for v in (x, y))
    if before is None or after is None or len(before) != len(after) or after[0] != 1:
        return None
    rest = dims_of(ir.Shape(before[2:]))
    return node if rest is not None and rest == dims_of(ir.Shape(after[2:])) else None


def _repeated(value: ir.Value | None, constants: ConstantEvaluator) -> ir.Value | None:
    """The constant that is tiled a number of times that is known only at run time."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Tile" or node.domain not in ("", "ai.onnx"):
        return None
    assert value is not None
    x = node.inputs[0]
    if x is None or not constants.is_constant(x) or constants.is_constant(value):
        return None
    return x
