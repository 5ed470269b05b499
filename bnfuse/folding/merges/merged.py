"""The linear map that several become: its constants, whether they fit, and the proof that they do.

The new weight is kept in float64 until it is stored, so it is rounded once. Before it is accepted,
the parts one by one and the whole are applied to random images and must agree.
"""

from __future__ import annotations

__all__ = ["agree", "merged_conv", "misfit"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import FoldError
from bnfuse.folding.merges.kernel import convolve
from bnfuse.graph.limits import Limits
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.weight import StoredWeight
from bnfuse.lifting.weight_layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.folding.merges.chain import Chain
    from bnfuse.folding.merges.kernel import Kernel
    from bnfuse.graph.constants import ConstantEvaluator

Array = NDArray[np.float64]
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
    return merged_map(
        "Conv", frame, stored, layout, kernel.offset, kernel.magnitude, heir, constants
    )


def merged_map(
    op_type: str,
    frame: ir.Node,
    stored: Array,
    layout: Layout,
    offset: Array,
    magnitude: Array,
    heir: LinearMap,
    constants: ConstantEvaluator,
    *,
    on_left: bool = False,
    axes: tuple[int, int] = (1, 1),
) -> LinearMap:
    """A linear map with these constants.

    Args:
        op_type: Conv, Gemm or MatMul.
        frame: A node without inputs that holds its attributes.
        stored: float64, the weight as the op wants it.
        layout: Where its channels lie.
        offset: float64 (O,).
        magnitude: float64 (O,), the sum of the absolute terms of ``offset``.
        heir: The part whose name, module and weight's name it takes.
        constants: Where the new weight is remembered in full precision.
        on_left: Whether the weight is the left factor.
        axes: The axes of the channels in the input and in the output.
    """
    old = heir.weight.constant
    value = ir.Value(name=old.name, type=ir.TensorType(old.dtype), shape=ir.Shape(stored.shape))
    constants.remember(value, stored)
    constant = constants.constant(value)
    assert constant is not None
    return LinearMap(
        op_type=op_type,
        source=replace(heir.source, op_type=op_type, frame=frame, inputs=()),
        bias_source=None,
        weight=StoredWeight(constant, layout),
        bias=None,
        constant_on_left=on_left,
        input_axis=axes[0],
        output_axis=axes[1],
        rows=np.ones(layout.outputs),
        columns=np.ones(layout.inputs),
        offset=offset,
        offset_magnitude=magnitude,
        stored_offset=offset,
        is_merged=True,
    )


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


def agree(chains: Sequence[Chain], identities: int, merged: Kernel, name: str) -> None:
    """Hold a merged kernel to the sum of the chains it stands for, and of so many identities.

    Raises:
        FoldError: They differ.
    """
    rng = np.random.default_rng(0)
    footprint = merged.footprint
    # A stride is to end once on the last position and once before it.
    for more in range(2 if any(axis.stride > 1 for axis in footprint.axes) else 1):
        size = [axis.stride + axis.span + axis.dilation + more for axis in footprint.axes]
        x = rng.standard_normal((footprint.inputs, *size))
        whole = convolve(x, merged.weight, footprint)
        whole += merged.offset.reshape(-1, *(1,) * len(size))
        parts = [chain(x) for chain in chains] + [x] * identities
        expected = np.sum(parts, axis=0)
        scale = max(float(np.max(np.abs(part), initial=1e-300)) for part in parts)
        if whole.shape != expected.shape or np.max(np.abs(whole - expected)) > _TOLERANCE * scale:
            raise FoldError(
                f"the maps that {name!r} was merged from differ from the one they merge into.",
                "This is a bug in bnfuse: please report it with the model.",
            )
