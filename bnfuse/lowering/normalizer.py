"""A normaliser with the scale and shift that it ends with now.

One that did not change keeps its very constants. One that gave its scale and shift away keeps a
scale of ones, as the operators ask for, which all such normalisers of one size share.
"""

from __future__ import annotations

__all__ = ["lower_normalizer"]

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.access import given, input_of
from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.nodes import release
from bnfuse.lowering.derive import DerivedConstant

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.normalizer import Normalizer

Array = NDArray[np.float64]
_DOUBLE_UNITS = 8 * float(np.finfo(np.float64).eps)


def lower_normalizer(
    node: ir.Node, normalizer: Normalizer, initializers: Initializers
) -> tuple[DerivedConstant, ...]:
    """Give ``node`` the constants that it ends with now, if they changed.

    Returns:
        Its new constants and what they should be, derived from the stored ones.

    Raises:
        FoldError: A new constant differs from its derivation.
    """
    release(node)
    if not normalizer.is_changed:
        return ()
    affine, stored = normalizer.affine, normalizer.place.stored
    scale_stem, shift_stem = _stems(node)
    stem = scale_stem if affine.has_scale else "ones"
    scale = initializers.add(stored(affine.scale), normalizer.dtype, after=stem)
    node.replace_input_with(1, scale)
    constants = [scale]
    if normalizer.shifts and (affine.has_shift or node.op_type != "LayerNormalization"):
        stem = shift_stem if affine.has_shift else "zeros"
        shift = initializers.add(stored(affine.shift), normalizer.dtype, after=stem)
        node.resize_inputs(3)
        node.replace_input_with(2, shift)
        constants.append(shift)
    else:
        node.resize_inputs(2)
    derived = tuple(_derive(normalizer, constants))
    for constant, value in zip(derived, constants, strict=False):
        assert value.const_value is not None
        constant.check(value.const_value.numpy(), _DOUBLE_UNITS)
    return derived


def _stems(node: ir.Node) -> tuple[str, str]:
    """What new constants are called after: the old ones."""
    shift, stem = given(node, 2), input_of(node, 1).name or "scale"
    if shift is None:
        return stem, f"{stem.removesuffix('.weight')}.bias"
    return stem, shift.name or "bias"


def _derive(normalizer: Normalizer, constants: list[ir.Value]) -> Iterator[DerivedConstant]:
    """Apply what was taken step by step to what the model stores."""
    if not normalizer.taken:
        return
    start = ChannelAffine.of(None) if normalizer.given else normalizer.stored
    scale, shift, unit = start.scale, start.shift, start.magnitude
    for step in normalizer.taken:
        unit = np.abs(step.scale) * unit + step.magnitude
        scale, shift = step.scale * scale, step.scale * shift + step.shift
    parts = ((scale, np.abs(scale)), (shift, unit))
    for value, (vector, size) in zip(constants, parts, strict=False):
        yield DerivedConstant(
            tensor=value.name or "",
            value=normalizer.place.stored(vector),
            unit=normalizer.place.stored(size),
            rule="absorb",
            node=normalizer.name,
        )
