"""Derive every folded constant a second time, by another road, and hold the stored one to it.

The fold composes scales in a canonical view of the weight and multiplies once. Here the stored
tensor is walked group by group in its own layout and every absorption is applied to it in turn.
The two share no indexing, so an axis, a group or an order that is wrong in one shows.
"""

from __future__ import annotations

__all__ = ["Derivation", "DerivedConstant"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from bnfuse.errors import FoldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.lifting.layout import Layout
    from bnfuse.lifting.linear import Absorbed, LinearMap
    from bnfuse.lowering.linear import StoredConstants

Array = NDArray[np.float64]
_SLACK_UNITS = 1.001
"""Rounding to nearest is half a unit; through float32 on the way to bfloat16 a little more."""


@dataclass(frozen=True, eq=False)
class DerivedConstant:
    """One stored constant and what it should be.

    Attributes:
        tensor: The initialiser's name.
        value: float64 of the initialiser's shape: the exact constant.
        unit: float64 of the same shape: what a rounding unit of it is measured against.
        rule: The rules that made it.
        node: The linear op that it belongs to.
    """

    tensor: str
    value: Array
    unit: Array
    rule: str
    node: str


@dataclass(frozen=True, eq=False)
class Derivation:
    """How one linear map's constants follow from the stored ones."""

    linear: LinearMap
    stored: StoredConstants

    def constants(self) -> Iterator[DerivedConstant]:
        """Derive the weight and the bias anew, from the stored tensors."""
        linear = self.linear
        weight = linear.weight.constant.array() * linear.weight.gain
        offset, magnitude = linear.stored_offset, np.abs(linear.stored_offset)
        for step in linear.history:
            if step.side == "after":
                weight, offset, magnitude = _after(linear.layout, step, weight, offset, magnitude)
            else:
                weight, offset, magnitude = _before(linear.layout, step, weight, offset, magnitude)
        rule = ", ".join(dict.fromkeys(step.rule for step in linear.history))
        if linear.weight_changed:
            name = self.stored.weight.name or ""
            yield DerivedConstant(name, weight, np.abs(weight), rule, linear.name)
        if self.stored.bias is not None:
            shape = _shape(self.stored.bias)
            yield DerivedConstant(
                self.stored.bias.name or "",
                offset.reshape(shape),
                magnitude.reshape(shape),
                rule,
                linear.name,
            )

    def check(self) -> None:
        """Hold the stored constants to the derived ones.

        Raises:
            FoldError: One of them is further away than rounding explains.
        """
        for derived, value in zip(self.constants(), self._stored_values(), strict=True):
            tensor = value.const_value
            assert tensor is not None
            stored = tensor.numpy()
            info: Any = ml_dtypes.finfo(stored.dtype)  # type: ignore[no-untyped-call]
            unit = float(info.eps) / 2 * _SLACK_UNITS + self._double_units
            floor = float(info.smallest_subnormal)
            error = np.abs(stored.astype(np.float64) - derived.value)
            if not np.all(error <= unit * derived.unit + floor):
                raise FoldError(
                    f"{derived.tensor!r} of {derived.node!r} differs from its independent "
                    f"derivation (rule: {derived.rule}).",
                    "This is a bug in bnfuse: please report it with the model.",
                )

    @property
    def _double_units(self) -> float:
        """What two orders of summation in float64 may differ by, relative to the terms."""
        layout = self.linear.layout
        terms = layout.taps * max(layout.inputs // layout.group, 1)
        return float(np.finfo(np.float64).eps) * (terms + 2) * (len(self.linear.history) + 1)

    def _stored_values(self) -> Iterator[ir.Value]:
        if self.linear.weight_changed:
            yield self.stored.weight
        if self.stored.bias is not None:
            yield self.stored.bias


def _after(
    layout: Layout, step: Absorbed, weight: Array, offset: Array, magnitude: Array
) -> tuple[Array, Array, Array]:
    scaled = weight.copy()
    scale, shift, unit = step.affine.expanded(layout.outputs)
    for channels, block in _blocks(layout, outputs=True):
        along = _along(scale[channels], layout.out_axis, weight.ndim)
        scaled[block] = weight[block] * along
    return scaled, scale * offset + shift, np.abs(scale) * magnitude + unit


def _before(
    layout: Layout, step: Absorbed, weight: Array, offset: Array, magnitude: Array
) -> tuple[Array, Array, Array]:
    scaled, offset, magnitude = weight.copy(), offset.copy(), magnitude.copy()
    scale, shift, unit = step.affine.expanded(layout.inputs)
    blocks = zip(_blocks(layout, outputs=False), _blocks(layout, outputs=True), strict=True)
    kernel = tuple(axis for axis in range(weight.ndim) if axis != layout.out_axis)
    for (channels, block), (outputs, _) in blocks:
        part = weight[block]
        scaled[block] = part * _along(scale[channels], layout.in_axis, weight.ndim)
        shifted = part * _along(shift[channels], layout.in_axis, weight.ndim)
        sizes = np.abs(part) * _along(unit[channels], layout.in_axis, weight.ndim)
        offset[outputs] += shifted.sum(axis=kernel)
        magnitude[outputs] += sizes.sum(axis=kernel)
    return scaled, offset, magnitude


def _blocks(layout: Layout, *, outputs: bool) -> Iterator[tuple[slice, tuple[slice, ...]]]:
    """For each group: its channels on that side, and its part of the stored weight."""
    divided = layout.in_axis if layout.transposed else layout.out_axis
    count = layout.outputs if outputs else layout.inputs
    for group in range(layout.group):
        channels = count // layout.group
        length = layout.shape[divided] // layout.group
        block = [slice(None)] * len(layout.shape)
        block[divided] = slice(group * length, (group + 1) * length)
        yield slice(group * channels, (group + 1) * channels), tuple(block)


def _along(vector: Array, axis: int, rank: int) -> Array:
    return vector.reshape(tuple(-1 if i == axis else 1 for i in range(rank)))


def _shape(value: ir.Value) -> Any:
    assert value.const_value is not None
    return value.const_value.numpy().shape
