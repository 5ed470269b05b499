"""Derive every folded constant a second time, by another road, and hold the stored one to it.

The fold composes scales in a canonical view of the weight and multiplies once. Here the stored
tensor is walked slab by slab in its own layout, each element's channels are numbered, and every
absorption is applied in turn. The two share no indexing, so an axis, a group or an order that is
wrong in one shows. A slab is small enough to stay in the processor's cache.
"""

from __future__ import annotations

__all__ = ["Derivation", "DerivedConstant", "FoldedWeight"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import FoldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lifting.weight import Layout

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_SLAB = 1 << 16
"""Elements of a slab: half a megabyte of float64."""

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

    def check(self, stored: NDArray[Any], double_units: float) -> None:
        """Hold the stored constant to it.

        Args:
            stored: The constant as it was rounded.
            double_units: What two orders of computing it in float64 may differ by, relatively.

        Raises:
            FoldError: It is further away than rounding explains.
        """
        if not _Allowed.of(stored.dtype, double_units).holds(stored, self.value, self.unit):
            raise _differing(self.tensor, self.node, self.rule)


@dataclass(frozen=True, eq=False)
class Derivation:
    """How one linear map's constants follow from the stored ones.

    Attributes:
        linear: The map.
        weight: What is stored of its weight; computed when it is read, where it changed.
        bias: What is stored of its bias.
    """

    linear: LinearMap
    weight: ir.Value
    bias: ir.Value | None

    def constants(self) -> Iterator[DerivedConstant]:
        """Derive the weight and the bias anew, from the stored tensors."""
        linear, walk = self.linear, _Walk(self.linear)
        if linear.weight_changed:
            weight = np.empty(linear.layout.shape)
            for where, part in walk.slabs():
                weight[where] = part
            name, tensor = self.weight.name or "", _tensor(self.weight)
            weight = weight.reshape(tensor.shape.numpy())
            yield DerivedConstant(name, weight, np.abs(weight), self._rule, linear.name)
        elif walk.sums:
            walk.go()
        if self.bias is not None:
            yield self._bias(self.bias, walk)

    def check(self, weight: NDArray[Any] | None) -> None:
        """Hold constants to the derived ones.

        Args:
            weight: The weight as it was rounded; ``None`` where it is the model's own.

        Raises:
            FoldError: One of them is further away than rounding explains.
        """
        walk = _Walk(self.linear)
        if weight is not None:
            allowed = _Allowed.of(weight.dtype, self._double_units)
            for where, part in walk.slabs():
                if not allowed.holds(weight[where], part, part):
                    raise self._differs(self.weight.name)
        elif walk.sums:
            walk.go()
        if self.bias is not None:
            stored = _tensor(self.bias).numpy()
            self._bias(self.bias, walk).check(stored, self._double_units)

    def _bias(self, bias: ir.Value, walk: _Walk) -> DerivedConstant:
        shape, stored = _tensor(bias).shape.numpy(), self.linear.stored_bias
        offset, magnitude = (stored(vector).reshape(shape) for vector in walk.offset())
        return DerivedConstant(bias.name or "", offset, magnitude, self._rule, self.linear.name)

    @property
    def _rule(self) -> str:
        return "absorb" if self.linear.history else ""

    @property
    def _double_units(self) -> float:
        """What two orders of summation in float64 may differ by, relative to the terms."""
        layout = self.linear.layout
        terms = layout.taps * max(layout.inputs // layout.group, 1)
        return float(np.finfo(np.float64).eps) * (terms + 2) * (len(self.linear.history) + 1)

    def _differs(self, name: str | None) -> FoldError:
        return _differing(name, self.linear.name, self._rule)


class FoldedWeight(ir.LazyTensor):
    """The weight of a changed linear map, computed when it is asked for.

    The last moment is when it is written, so a model's folded weights are never in memory together.
    Each is read, multiplied in float64, rounded once and held to its derivation, one by one.

    Attributes:
        derivations: What it is held to whenever it is computed.
    """

    __slots__ = ("_linear", "derivations")

    def __init__(self, linear: LinearMap, name: str) -> None:
        shape = ir.Shape(linear.stored_shape)
        super().__init__(self._fold, linear.weight.constant.dtype, shape, name=name)
        self._linear = linear
        self.derivations: list[Derivation] = []

    def __repr__(self) -> str:
        # The base class shows the function, which shows this again.
        return f"FoldedWeight<{self.dtype},{self.shape}>(name={self.name!r})"

    def _fold(self) -> ir.TensorProtocol:
        """Compute it.

        Raises:
            FoldError: It differs from a derivation.
        """
        exact = self._linear.layout.stored(self._linear.exact_weight())
        rounded = np.ascontiguousarray(exact.astype(self.dtype.numpy()))
        for derivation in self.derivations:
            derivation.check(rounded)
        shaped = rounded.reshape(self.shape.numpy())
        return ir.Tensor(shaped, dtype=self.dtype, name=self.name)


def _differing(tensor: str | None, node: str, rule: str) -> FoldError:
    return FoldError(
        f"{tensor!r} of {node!r} differs from its independent derivation (rule: {rule}).",
        "This is a bug in bnfuse: please report it with the model.",
    )


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    tensor = value.const_value
    assert tensor is not None
    return tensor


@dataclass(frozen=True)
class _Allowed:
    """How far a stored number may be from the exact one: ``unit · |terms| + floor``."""

    unit: float
    floor: float
    memory: _Memory

    @classmethod
    def of(cls, dtype: np.dtype[Any], double_units: float) -> _Allowed:
        info: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        unit = float(info.eps) / 2 * _SLACK_UNITS + double_units
        return cls(unit, float(info.smallest_subnormal), _Memory())

    def holds(self, stored: NDArray[Any], exact: Array, terms: Array) -> bool:
        error, allowed = self.memory.like(stored, 2)
        np.copyto(error, stored)
        error -= exact
        np.abs(error, out=error)
        np.abs(terms, out=allowed)
        allowed *= self.unit
        allowed += self.floor
        return bool(np.all(error <= allowed))


class _Memory:
    """Float64 arrays that are used again and again: fresh memory costs more than the arithmetic."""

    def __init__(self) -> None:
        self._kept: tuple[Array, ...] = ()

    def like(self, array: NDArray[Any], count: int = 1) -> tuple[Array, ...]:
        """As many of the shape of ``array``, good until the next call."""
        if not self._kept or self._kept[0].shape != array.shape:
            self._kept = tuple(np.empty(array.shape) for _ in range(count))
        return self._kept


class _Walk:
    """One walk over the stored weight that applies the history as it goes.

    Attributes:
        sums: For each absorbed shift before the map, by its place in the history: the sum over
            each output channel's weights times the shift, and that of their magnitudes.
    """

    def __init__(self, linear: LinearMap) -> None:
        self._linear = linear
        self._memory = _Memory()
        self._outputs = _channels(linear.layout, outputs=True)
        self._inputs = _channels(linear.layout, outputs=False)
        self.sums: dict[int, tuple[Array, Array]] = {
            place: (np.zeros(linear.layout.outputs), np.zeros(linear.layout.outputs))
            for place, step in enumerate(linear.history)
            if step.side == "before" and np.any(step.affine.magnitude)
        }

    def slabs(self) -> Iterator[tuple[tuple[slice, ...], Array]]:
        """Each slab's place in the tensor and its derived numbers, good until the next slab."""
        layout = self._linear.layout
        stored = self._linear.weight.constant.stored()
        lead = min(layout.out_axis, layout.in_axis)
        rows = max(1, _SLAB * layout.shape[lead] // max(stored.size, 1))
        for start in range(0, layout.shape[lead], rows):
            where = (*[slice(None)] * lead, slice(start, start + rows))
            (part,) = self._memory.like(stored[where])
            np.copyto(part, stored[where])
            if self._linear.weight.gain != 1.0:
                part *= self._linear.weight.gain
            self._apply(part, _cut(self._outputs, where), _cut(self._inputs, where))
            yield where, part

    def go(self) -> None:
        """Walk for the sums alone."""
        for _ in self.slabs():
            pass

    def offset(self) -> tuple[Array, Array]:
        """The bias, and the sum of the absolute terms of each of its numbers, after the walk."""
        layout = self._linear.layout
        offset = self._linear.stored_offset
        magnitude = np.abs(offset)
        for place, step in enumerate(self._linear.history):
            if step.side == "after":
                scale, shift, unit = step.affine.expanded(layout.outputs)
                offset = scale * offset + shift
                magnitude = np.abs(scale) * magnitude + unit
            elif place in self.sums:
                shifted, size = self.sums[place]
                offset, magnitude = offset + shifted, magnitude + size
        return offset, magnitude

    def _apply(self, part: Array, outputs: Index, inputs: Index) -> None:
        layout = self._linear.layout
        for place, step in enumerate(self._linear.history):
            if step.side == "after":
                part *= step.affine.expanded(layout.outputs)[0][outputs]
                continue
            scale, shift, unit = step.affine.expanded(layout.inputs)
            if place in self.sums:
                shifted, size = self.sums[place]
                _sum_outputs(shifted, part * shift[inputs], outputs)
                _sum_outputs(size, np.abs(part) * unit[inputs], outputs)
            part *= scale[inputs]


def _sum_outputs(total: Array, terms: Array, outputs: Index) -> None:
    """Add each term to the entry of its output channel."""
    spread = np.broadcast_to(outputs, terms.shape).ravel()
    total += np.bincount(spread, terms.ravel(), minlength=total.size)


def _channels(layout: Layout, *, outputs: bool) -> Index:
    """The number of the channel that each element belongs to, to broadcast against the weight.

    One axis runs over the channels of all groups. The other runs over one group's, so its count
    starts anew with each group, by as much as the group is further on.
    """
    axis = layout.out_axis if outputs else layout.in_axis
    divided = layout.in_axis if layout.transposed else layout.out_axis
    rank, length = len(layout.shape), layout.shape[axis]
    index = _along(np.arange(length), axis, rank)
    if axis == divided or layout.group == 1:
        return index
    group = np.arange(layout.shape[divided]) // (layout.shape[divided] // layout.group)
    return index + _along(group * length, divided, rank)


def _cut(index: Index, where: tuple[slice, ...]) -> Index:
    """The part of an index that belongs to a slab; along an axis of length 1 it is the whole."""
    return index if index.shape[len(where) - 1] == 1 else index[where]


def _along(vector: Index, axis: int, rank: int) -> Index:
    return vector.reshape(tuple(-1 if i == axis else 1 for i in range(rank)))
