"""Ops that hand one of their inputs on unchanged, for every input: what stands behind them is seen.

PyTorch's exporter writes ``x[:, i]`` as a Slice of every axis to its end and then a Gather, an
assignment to a part of every row as a ScatterND over all rows, and ``torch.where`` with a condition
that is fixed in inference, as ``self.training`` is, as a Where with a constant.
"""

from __future__ import annotations

__all__ = ["skip_no_ops"]

from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import is_op, made_by
from bnfuse.graph.channel import static_dim
from bnfuse.graph.rewire import rename_to
from bnfuse.graph.sizes import dims_of, entries_of, same_shape
from bnfuse.graph.slices import is_whole, slices_of

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator


def skip_no_ops(graph: ir.Graph, constants: ConstantEvaluator) -> bool:
    """Let what reads such an op read its input, in place; whether there was one."""
    changed = False
    for node in tuple(graph):
        if not is_op(node) or constants.is_constant(node.outputs[0]):
            continue
        if node.op_type == "MatMul":
            changed |= _multiply_unexpanded(node)
        x, y = _handed_on(node, constants), node.outputs[0]
        if x is None or x.dtype != y.dtype:
            continue
        if y.is_graph_output():
            changed |= rename_to(x, node)
            continue
        y.replace_all_uses_with(x)
        graph.remove(node, safe=True)
        changed = True
    return changed


def _multiply_unexpanded(product: ir.Node) -> bool:
    """Let a product repeat its matrix itself: ``W.expand(n, -1, -1) @ x`` is ``W @ x``."""
    changed = False
    for place, value in enumerate(product.inputs):
        expand, other = made_by(value, "Expand"), product.inputs[1 - place]
        matrix = None if expand is None else expand.inputs[0]
        shapes = [None if v is None else v.shape for v in (matrix, value, other)]
        if matrix is None or any(shape is None or len(shape) < 2 for shape in shapes):
            continue
        small, repeated, by = (list(shape or ()) for shape in shapes)
        if same_shape(ir.Shape(small[-2:]), ir.Shape(repeated[-2:])) and same_shape(
            ir.Shape(repeated[:-2]), ir.Shape(by[:-2])
        ):
            product.replace_input_with(place, matrix)
            changed = True
    return changed


def _handed_on(node: ir.Node, constants: ConstantEvaluator) -> ir.Value | None:
    """The input that an op hands on."""
    if node.op_type == "Slice":
        return node.inputs[0] if _takes_all(node, constants) else None
    if node.op_type == "Where":
        return _chosen(node, constants)
    if node.op_type == "ScatterND" and node.attributes.get_string("reduction", "none") == "none":
        data, indices, updates = node.inputs
        if data is None or updates is None or not same_shape(data.shape, updates.shape):
            return None
        return updates if _counts_rows(indices, data, constants) else None
    return None


def _chosen(node: ir.Node, constants: ConstantEvaluator) -> ir.Value | None:
    condition, chosen, other = node.inputs
    # The runtime number of elements does not matter where they are all the same.
    always = None if condition is None else constants.pattern(condition)
    if always is None or always.size == 0 or always.any() != always.all():
        return None
    value = chosen if always.all() else other
    return value if value and same_shape(value.shape, node.outputs[0].shape) else None


def _takes_all(node: ir.Node, constants: ConstantEvaluator) -> bool:
    """Whether a Slice takes every axis from its beginning to its end, in its order."""
    x, slices = node.inputs[0], slices_of(node, constants)
    if x is None or slices is None:
        return False
    return all(is_whole(taken, static_dim(x.shape, axis)) for axis, taken in slices.items())


def _counts_rows(indices: ir.Value | None, data: ir.Value, constants: ConstantEvaluator) -> bool:
    """Whether indices (N, 1) of a ScatterND count all N rows of ``data``, in order."""
    unsqueezed = made_by(indices, "Unsqueeze")
    if indices is None or unsqueezed is None or indices.shape is None or len(indices.shape) != 2:
        return False
    counted = made_by(unsqueezed.inputs[0], "Range")
    # A whole Slice of the Range was skipped before.
    if counted is None or static_dim(indices.shape, 1) != 1 or data.shape is None:
        return False
    start, _, delta = (None if v is None else constants.array(v) for v in counted.inputs)
    if start is None or delta is None or start != 0 or delta != 1:
        return False
    length = counted.inputs[1]
    rows = dims_of(ir.Shape(data.shape[:1]))
    return length is not None and rows is not None and entries_of(length, constants) == rows
