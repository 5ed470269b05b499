"""The nodes that are convolutions, whatever they are called: the links of a chain.

An average pool is a depthwise kernel of equal weights, a Pad with zeros one tap that stands off the
border, a norm one tap of its scale. What a merge costs follows from shapes alone; the weights are
read when it is carried out.
"""

from __future__ import annotations

__all__ = ["Link", "read_link"]

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.folding.merges.geometry import Axis, Footprint, axes_of
from bnfuse.folding.merges.kernel import Kernel, convolve, windows
from bnfuse.folding.merges.pads import spatial_zeros
from bnfuse.lifting.nodes import affine_of, linear_of

if TYPE_CHECKING:
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lifting.sites import Site

Array = NDArray[np.float64]
_CANCELLED = 8 * float(np.finfo(np.float64).eps)
"""Relative to its terms, what a sum that is 0 may come to in a few roundings."""


@dataclass(frozen=True, eq=False)
class Link(ABC):
    """One node as a convolution of its first input.

    Attributes:
        node: The node.
        footprint: Where its taps lie.
    """

    node: ir.Node
    footprint: Footprint

    @property
    def linear(self) -> LinearMap | None:
        """The Conv, if it is one."""
        return None

    @property
    def sites(self) -> tuple[Site, ...]:
        """The norms of the model that it stands for."""
        return ()

    @property
    def has_offset(self) -> bool:
        """Whether it adds anything to zeros."""
        return False

    @property
    def flops(self) -> int:
        """Additions and multiplications for each position of its output."""
        return 2 * self.footprint.weights

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.node.op_type} {self.node.name}"

    @abstractmethod
    def kernel(self) -> Kernel:
        """Its numbers; a stored weight is read anew each time."""

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """What it makes of one image (I, …), by its own definition."""

    def _depthwise(self, weights: Array) -> Kernel:
        zeros = np.zeros(self.footprint.outputs)
        return Kernel(self.footprint, weights, zeros, zeros)


class _Conv(Link):
    @property
    def linear(self) -> LinearMap:
        return _linear(self.node)

    @property
    def has_offset(self) -> bool:
        # What a bias that cancels leaves in float64 is no bias.
        size = _CANCELLED * self.linear.offset_magnitude
        return bool(np.any(np.abs(self.linear.offset) > size))

    @property
    def label(self) -> str:
        size = "×".join(str(n) for n in self.footprint.kernel)
        return f"{size} Conv {self.linear.label}"

    def kernel(self) -> Kernel:
        linear = self.linear
        weight = linear.exact_weight()
        shaped = weight.reshape(*weight.shape[:3], *self.footprint.kernel)
        return Kernel(self.footprint, shaped, linear.offset, linear.offset_magnitude)

    def __call__(self, x: Array) -> Array:
        own = self.kernel()
        return convolve(x, own.weight, self.footprint) + _column(own.offset, x)


class _AveragePool(Link):
    @property
    def flops(self) -> int:
        return self.footprint.weights + self.footprint.outputs

    def kernel(self) -> Kernel:
        shape = (self.footprint.outputs, 1, 1, *self.footprint.kernel)
        return self._depthwise(np.full(shape, 1.0 / math.prod(self.footprint.kernel)))

    def __call__(self, x: Array) -> Array:
        mean: Array = windows(x, self.footprint).mean(axis=tuple(range(x.ndim, 2 * x.ndim - 1)))
        return mean


class _Pad(Link):
    @property
    def flops(self) -> int:
        return 0

    def kernel(self) -> Kernel:
        ones = (1,) * len(self.footprint.axes)
        return self._depthwise(np.ones((self.footprint.outputs, 1, 1, *ones)))

    def __call__(self, x: Array) -> Array:
        return np.pad(x, [(0, 0), *((axis.begin, axis.end) for axis in self.footprint.axes)])


class _Affine(Link):
    @property
    def _affine(self) -> ChannelAffine:
        lifted = affine_of(self.node)
        assert lifted is not None
        return lifted.affine

    @property
    def sites(self) -> tuple[Site, ...]:
        lifted = affine_of(self.node)
        assert lifted is not None
        return lifted.all_sites

    @property
    def has_offset(self) -> bool:
        return self._affine.has_shift

    @property
    def label(self) -> str:
        return f"norm {self.sites[0].label}"

    def kernel(self) -> Kernel:
        scale, shift, magnitude = self._affine.expanded(self.footprint.outputs)
        ones = (1,) * len(self.footprint.axes)
        return Kernel(self.footprint, scale.reshape(-1, 1, 1, *ones), shift, magnitude)

    def __call__(self, x: Array) -> Array:
        scale, shift, _ = self._affine.expanded(len(x))
        return _column(scale, x) * x + _column(shift, x)


def read_link(node: ir.Node, constants: ConstantEvaluator) -> Link | None:
    """``node`` as a convolution of its first input, if it is one."""
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        return _read_conv(node, linear)
    x = node.inputs[0] if node.inputs else None
    if x is None or x.shape is None or len(x.shape) < 3 or not isinstance(x.shape[1], int):
        return None
    channels, rank = x.shape[1], len(x.shape) - 2
    if lifted is not None:
        if lifted.affine.axis not in (None, 1) or not lifted.affine.is_finite:
            return None
        return _Affine(node, Footprint((Axis(1),) * rank, channels, channels, channels))
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "AveragePool":
        axes = _pool_axes(node)
        return None if axes is None else _AveragePool(node, _per_channel(axes, channels))
    if node.op_type == "Pad":
        zeros = spatial_zeros(node, constants)
        if zeros is None:
            return None
        return _Pad(node, _per_channel(tuple(Axis(1, 1, 1, *pair) for pair in zeros), channels))
    return None


def _read_conv(node: ir.Node, linear: LinearMap) -> Link | None:
    if linear.op_type != "Conv":
        return None
    layout = linear.layout
    axes = axes_of(linear.source.frame, layout.shape[2:])
    if axes is None:
        return None
    return _Conv(node, Footprint(axes, layout.group, layout.outputs, layout.inputs))


def _pool_axes(node: ir.Node) -> tuple[Axis, ...] | None:
    """An average's axes, where every window has the same weights."""
    axes = axes_of(node, node.attributes.get_ints("kernel_shape", []))
    overhangs = bool(node.attributes.get_int("ceil_mode", 0))
    if axes is None or overhangs:
        return None
    padded = any(axis.begin or axis.end for axis in axes)
    counted = bool(node.attributes.get_int("count_include_pad", 0))
    return None if padded and not counted else axes


def _per_channel(axes: tuple[Axis, ...], channels: int) -> Footprint:
    return Footprint(axes, channels, channels, channels)


def _column(vector: Array, x: Array) -> Array:
    return vector.reshape(-1, *(1,) * (x.ndim - 1))


def _linear(node: ir.Node) -> LinearMap:
    linear = linear_of(node)
    assert linear is not None
    return linear
