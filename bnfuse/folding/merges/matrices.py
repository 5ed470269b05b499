"""One matrix product after another: Gemm and MatMul by constants.

``(x · W₁ + b₁) · W₂ + b₂ = x · (W₁ · W₂) + (b₁ · W₂ + b₂)``, and the same from the left. It takes
that the channels of the first's output are those of the second's input: a constant on the left
mixes another axis than one on the right, and then there is no one product.
"""

from __future__ import annotations

__all__ = ["follows", "product_flops", "product_of"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import FoldError
from bnfuse.folding.merges.merged import merged_map
from bnfuse.lifting.weight_layout import Layout

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap

Array = NDArray[np.float64]
_OPS = ("Gemm", "MatMul")
_TOLERANCE = 1e-11


def follows(first: LinearMap, second: LinearMap) -> bool:
    """Whether both are matrix products, and the second takes as channels what the first gives."""
    if first.op_type not in _OPS or second.op_type not in _OPS:
        return False
    return first.output_axis == second.input_axis


def product_flops(linear: LinearMap) -> int:
    """Additions and multiplications for each vector that it is applied to."""
    return 2 * linear.layout.inputs * linear.layout.outputs


def product_of(first: LinearMap, second: LinearMap, constants: ConstantEvaluator) -> LinearMap:
    """The two as one product with a constant on the side where the second has it.

    Raises:
        FoldError: The product, applied to random vectors, is not what the two are.
    """
    left, right = _matrix(second), _matrix(first)
    weight = left @ right
    offset = left @ first.offset + second.offset
    magnitude = np.abs(left) @ first.offset_magnitude + second.offset_magnitude
    _agree(first, second, weight, offset)
    on_left = second.constant_on_left
    stored = weight if on_left else weight.T
    op_type = "MatMul" if first.op_type == second.op_type == "MatMul" else "Gemm"
    return merged_map(
        op_type,
        ir.Node("", op_type, [], attributes=_attributes(op_type, first.input_axis, on_left)),
        np.ascontiguousarray(stored),
        Layout(stored.shape, out_axis=1 - on_left, in_axis=int(on_left)),
        offset,
        magnitude,
        second,
        constants,
        on_left=on_left,
        axes=(first.input_axis, second.output_axis),
    )


def _attributes(op_type: str, input_axis: int, on_left: bool) -> list[ir.Attr]:
    """A Gemm reads its other factor as (inputs, n) on the right and as (n, inputs) on the left."""
    if op_type == "MatMul":
        return []
    transposed = int(input_axis == 1) if on_left else int(input_axis == 0)
    return [ir.AttrInt64("transB" if on_left else "transA", transposed)]


def _matrix(linear: LinearMap) -> Array:
    """(O, I), everything pending applied."""
    weight: Array = linear.exact_weight()[0, :, :, 0]
    return weight


def _agree(first: LinearMap, second: LinearMap, weight: Array, offset: Array) -> None:
    """Apply the two, as they are stored, and the product to random vectors."""
    x = np.random.default_rng(0).standard_normal((3, first.layout.inputs))
    h = _applied(first, x)
    apart, whole = _applied(second, h), x @ weight.T + offset
    scale = np.max(np.abs(apart), initial=1e-300) + np.max(np.abs(h), initial=0.0) * np.max(
        np.abs(_matrix(second)), initial=0.0
    )
    if np.max(np.abs(apart - whole), initial=0.0) > _TOLERANCE * scale:
        raise FoldError(
            f"{first.name!r} and {second.name!r} differ from the product that they merge into.",
            "This is a bug in bnfuse: please report it with the model.",
        )


def _applied(linear: LinearMap, x: Array) -> Array:
    """(n, I) to (n, O) by the stored tensor, each pending scale where it stands."""
    stored = linear.weight.constant.array() * linear.weight.gain
    matrix = stored.reshape(stored.shape[-2:])
    scaled = x * linear.columns
    columns = linear.layout.in_axis > linear.layout.out_axis
    product = scaled @ (matrix.T if columns else matrix)
    applied: Array = product * linear.rows + linear.offset
    return applied
