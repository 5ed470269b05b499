"""The linear map that several become: its constants, whether they fit, and the proof that they do.

The new weight is kept in float64 until it is stored, so it is rounded once. Before it is accepted,
the parts one by one and the whole are applied to random images and must agree.
"""

from __future__ import annotations

__all__ = ["agree", "merged_conv", "merged_product", "misfit"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.errors import FoldError
from bnfuse.graph.limits import Limits
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.weight import Layout, StoredWeight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.folding.merges.kernel import Array, Kernel
    from bnfuse.folding.merges.links import Chain
    from bnfuse.graph.constants import ConstantEvaluator

_TOLERANCE = 1e-11


def merged_conv(kernel: Kernel, heir: LinearMap, constants: ConstantEvaluator) -> LinearMap:
    """A Conv with this kernel.

    Args:
        kernel: Its numbers.
        heir: The part whose name, module and weight's name it takes.
        constants: Where the new weight is remembered in full precision.
    """
    footprint = kernel.footprint
    stored = kernel.weight.reshape(footprint.outputs, -1, *footprint.kernel)
    layout = Layout(stored.shape, out_axis=0, in_axis=1, group=footprint.group)
    # A node without inputs lends its attribute container and consumes nothing.
    frame = ir.Node("", "Conv", [], attributes=footprint.attributes())
    weight = _weight(stored, layout, heir, constants)
    source = replace(heir.source, op_type="Conv", frame=frame, inputs=())
    new = LinearMap.of(source, weight, None, kernel.offset)
    return replace(new, offset_magnitude=kernel.magnitude, is_merged=True)


def merged_product(
    kernel: Kernel, first: LinearMap, second: LinearMap, constants: ConstantEvaluator
) -> LinearMap:
    """One matrix product in the place of two, with the constant where the second has it."""
    on_left = second.constant_on_left
    matrix = kernel.weight[0]
    stored = np.ascontiguousarray(matrix if on_left else matrix.T)
    layout = Layout(stored.shape, out_axis=1 - on_left, in_axis=int(on_left))
    op_type = "MatMul" if first.op_type == second.op_type == "MatMul" else "Gemm"
    attributes = _attributes(op_type, first.input_axis, on_left)
    frame = ir.Node("", op_type, [], attributes=attributes)
    source = replace(second.source, op_type=op_type, frame=frame, inputs=())
    weight, axes = (
        _weight(stored, layout, second, constants),
        (first.input_axis, second.output_axis),
    )
    new = LinearMap.of(source, weight, None, kernel.offset, axes, on_left=on_left)
    return replace(new, offset_magnitude=kernel.magnitude, is_merged=True)


def _attributes(op_type: str, input_axis: int, on_left: bool) -> list[ir.Attr]:
    """A Gemm reads its other factor as (inputs, n) on the right and as (n, inputs) on the left."""
    if op_type == "MatMul":
        return []
    transposed = int(input_axis == 1) if on_left else int(input_axis == 0)
    return [ir.AttrInt64("transB" if on_left else "transA", transposed)]


def _weight(
    stored: Array, layout: Layout, heir: LinearMap, constants: ConstantEvaluator
) -> StoredWeight:
    old = heir.weight.constant
    value = ir.Value(name=old.name, type=ir.TensorType(old.dtype), shape=ir.Shape(stored.shape))
    constants.remember(value, stored)
    constant = constants.constant(value)
    assert constant is not None
    return StoredWeight(constant, layout)


def misfit(merged: LinearMap, last: LinearMap | None = None) -> str | None:
    """Why the constants are no numbers of the weight's type, if they are not.

    Args:
        merged: The new map.
        last: The last of a sequence: a channel that was not lost in it must not get lost.
    """
    dtype = merged.weight.constant.dtype
    limits, what = Limits.of(dtype), dtype.name.lower()
    rows, _ = merged.channel_bounds()
    if limits.overflows(rows):
        return f"a weight would overflow {what}"
    if limits.overflows(merged.offset):
        return f"a bias would overflow {what}"
    if last is not None:
        was, _ = last.channel_bounds()
        if limits.vanishes(rows[~limits.vanishing(was)]):
            return f"a channel would vanish in {what}"
    return None


def agree(chains: Sequence[Chain], merged: Kernel, name: str) -> None:
    """Hold a merged kernel to the sum of the chains it stands for.

    They may differ by rounding alone, relative to the sums of the absolute terms.

    Raises:
        FoldError: They differ.
    """
    rng = np.random.default_rng(0)
    footprint = merged.footprint
    kernels = [chain.kernels() for chain in chains]
    # A stride is to end once on the last position and once before it.
    for more in range(2 if any(axis.stride > 1 for axis in footprint.axes) else 1):
        size = [axis.stride + axis.span + axis.dilation + more for axis in footprint.axes]
        x = rng.standard_normal((footprint.inputs, *size))
        whole, scale, made = merged(x), 1e-300, []
        for chain, numbers in zip(chains, kernels, strict=True):
            part, terms = x, np.abs(x)
            for link, kernel in zip(chain.links, numbers, strict=False):
                part = kernel(part) if link.own is None else link.own(part)
                terms = kernel.sizes(terms)
            made.append(part)
            scale = max(scale, float(np.max(terms, initial=0.0)))
        expected = np.sum(made, axis=0)
        if whole.shape != expected.shape or np.max(np.abs(whole - expected)) > _TOLERANCE * scale:
            raise FoldError(
                f"the maps that {name!r} was merged from differ from the one they merge into.",
                "This is a bug in bnfuse: please report it with the model.",
            )
