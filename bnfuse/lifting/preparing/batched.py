"""A norm of a batch that was folded into the channels, as PyTorch exports a tracked InstanceNorm.

It reshapes ``x`` (N, C, …) to (1, N · C, …) and tiles each parameter N times. Channel ``n · C + c``
has the constants of ``c``, so it is the norm of ``x`` itself, reshaped:
``BN(reshape(x); tile(p, N)) = reshape(BN(x; p))``.
"""

from __future__ import annotations

__all__ = ["unfold_batches"]

from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import input_of, is_op
from bnfuse.graph.channel import static_dim
from bnfuse.graph.rewire import output_like, substitute
from bnfuse.graph.sizes import dims_of
from bnfuse.graph.source import Source

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator


def unfold_batches(graph: ir.Graph, constants: ConstantEvaluator) -> None:
    """Move each norm of a batch that was folded into the channels before its Reshape, in place."""
    for node in tuple(graph):
        if not is_op(node, "BatchNormalization"):
            continue
        reshape = _reshape(node)
        parameters = [_repeated(value, constants) for value in node.inputs[1:5]]
        if reshape is None or len(node.outputs) != 1:
            continue
        x, target = reshape.inputs
        assert x is not None
        if any(v is None or v.shape != (static_dim(x.shape, 1),) for v in parameters):
            continue
        normed = ir.Value(type=x.type, shape=x.shape)
        norm = Source.of(node).emit([x, *parameters], normed)
        folded = Source.of(reshape).emit([normed, target], output_like(node.outputs[0]))
        substitute(node, norm, folded)
        graph.remove(reshape, safe=True)


def _reshape(norm: ir.Node) -> ir.Node | None:
    """The Reshape from (N, C, …) to (1, N · C, …) before a norm that alone reads it."""
    y = input_of(norm)
    node = y.producer()
    if not is_op(node, "Reshape") or y.is_graph_output() or len(y.uses()) != 1:
        return None
    before, after = input_of(node).shape, y.shape
    if before is None or after is None or len(before) != len(after) or after[0] != 1:
        return None
    rest = dims_of(ir.Shape(before[2:]))
    return node if rest is not None and rest == dims_of(ir.Shape(after[2:])) else None


def _repeated(value: ir.Value | None, constants: ConstantEvaluator) -> ir.Value | None:
    """The constant that is tiled a number of times that is known only at run time."""
    node = None if value is None else value.producer()
    if value is None or not is_op(node, "Tile") or constants.is_constant(value):
        return None
    return node.inputs[0] if constants.is_constant(input_of(node)) else None
