"""Multiply-accumulates (MACs) of a graph, by its ops; two FLOPs each.

What is counted are products with what is summed afterwards: convolutions, matrix products and
recurrences. Elementwise ops, sums and normalisations are not, as is usual for this number: torch's
``FlopCounterMode`` counts the same ops, and two FLOPs for each MAC. With the names of the ONNX
operator specifications (Conv-22, ConvTranspose-22, Gemm-13, MatMul-13, LSTM-22, Attention-23):

- Conv: each output element sums (C / group) · kernel products.
- ConvTranspose: each input element goes into (M / group) · kernel sums.
- Gemm, MatMul: each output element sums K products.
- RNN, GRU, LSTM: each step of each sequence multiplies by all of W and of R.
- Einsum of two operands: one product for each combination of its indices.
- Attention: (query · key) and (weights · value) for each head and pair of positions.
"""

from __future__ import annotations

__all__ = ["Macs", "count_macs"]

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from bnfuse.inspecting.amount import Amount, UnknownSizeError, amount_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    Sizes = Sequence[int | ir.SymbolicDim]


@dataclass
class Macs:
    """What a graph multiplies in one run.

    Attributes:
        by_op: MACs of each op type that has some.
        uncounted: Nodes whose MACs are not known, by op type: a size is unknown, the op lies in the
            body of a loop or a branch, or in a domain of its own.
    """

    by_op: dict[str, Amount] = field(default_factory=dict)
    uncounted: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> Amount:
        """All of them."""
        return sum(self.by_op.values(), Amount())


def count_macs(graph: ir.Graph) -> Macs:
    """Count the MACs of a graph whose shapes were inferred."""
    found = Macs()
    for node in graph.all_nodes():
        if node.domain not in ("", "ai.onnx"):
            found.uncounted[f"{node.domain}.{node.op_type}"] += 1
        elif node.op_type in _COUNTED:
            try:
                if node.graph is not graph:
                    raise UnknownSizeError
                amount = _COUNTED[node.op_type](node)
            except (UnknownSizeError, IndexError):
                # IndexError: fewer inputs or dimensions than the op has; running it says so.
                found.uncounted[node.op_type] += 1
            else:
                found.by_op[node.op_type] = found.by_op.get(node.op_type, Amount()) + amount
    return found


def _sizes(value: ir.Value | None) -> Sizes:
    if value is None or value.shape is None:
        raise UnknownSizeError
    return tuple(value.shape)


def _numbers(sizes: Sizes) -> int:
    if not all(isinstance(size, int) for size in sizes):
        raise UnknownSizeError
    return prod(size for size in sizes if isinstance(size, int))


def _conv(node: ir.Node) -> Amount:
    weight = _sizes(node.inputs[3 if node.op_type == "QLinearConv" else 1])
    return amount_of(_sizes(node.outputs[0]), _numbers(weight[1:]))


def _conv_transpose(node: ir.Node) -> Amount:
    return amount_of(_sizes(node.inputs[0]), _numbers(_sizes(node.inputs[1])[1:]))


def _gemm(node: ir.Node) -> Amount:
    inner = _sizes(node.inputs[0])[0 if node.attributes.get_int("transA", 0) else 1]
    return amount_of((*_sizes(node.outputs[0]), inner))


def _matmul(node: ir.Node) -> Amount:
    return amount_of((*_sizes(node.outputs[0]), _sizes(node.inputs[0])[-1]))


def _recurrent(node: ir.Node) -> Amount:
    weights = (_numbers(_sizes(value)) for value in node.inputs[1:3])
    return amount_of(_sizes(node.inputs[0])[:2], sum(weights))


def _einsum(node: ir.Node) -> Amount:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if "." in equation or len(terms) != 2:
        raise UnknownSizeError
    sizes: dict[str, int | ir.SymbolicDim] = {}
    for indices, value in zip(terms, node.inputs, strict=False):
        sizes.update(zip(indices, _sizes(value), strict=False))
    return amount_of(sizes.values())


def _attention(node: ir.Node) -> Amount:
    query, key, value = (_sizes(item) for item in node.inputs[:3])
    if len(query) != 4 or any(item is not None for item in node.inputs[4:6]):
        # Heads in one dimension, or keys from before: the sizes are not those of the inputs.
        raise UnknownSizeError
    pairs = (*query[:3], key[2])
    return amount_of((*pairs, query[3])) + amount_of((*pairs, value[3]))


_COUNTED = {
    **dict.fromkeys(("Conv", "ConvInteger", "DeformConv", "QLinearConv"), _conv),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "Einsum": _einsum,
    "Attention": _attention,
}
