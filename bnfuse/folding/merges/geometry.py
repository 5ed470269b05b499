"""What is known of a convolution without reading its weight: where its taps lie.

Along one axis ``y[p] = Σ_j M_j · x[s · p + q_j]`` over offsets ``q_j = j · d - a``, where x is zero
outside. Convolutions of one input add up on the finest grid that holds all their offsets, and one
after another sees ``x[s₁ · s₂ · p + s₁ · q₂ + q₁]``: again a convolution.
"""

from __future__ import annotations

__all__ = ["Axis", "Footprint", "axes_of"]

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.sizes import Window, windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class Axis(Window):
    """How a kernel slides along one spatial axis, over an input with zeros around it."""

    @property
    def margin(self) -> int:
        """Padding less what the kernel takes: equal margins and strides give equal sizes."""
        return self.begin + self.end - self.span

    @property
    def step(self) -> int:
        """What the offsets are multiples of, one of them apart; 0 for a single tap."""
        return self.dilation if self.taps > 1 else 0

    def after(self, first: Axis) -> Axis:
        """This one applied to what ``first`` gives."""
        step = math.gcd(first.stride * self.step, first.step) or 1
        return Axis(
            (first.stride * self.span + first.span) // step + 1,
            first.stride * self.stride,
            step,
            first.begin + first.stride * self.begin,
            first.end + first.stride * self.end,
        )

    def pads_as(self, first: Axis) -> bool:
        """Whether ``first``, carried on past its ends, gives the zeros that this one pads with.

        Past its ends ``first`` must see nothing but its own padding. The output before the first
        lies ``stride`` further out; where the input ends within the last stride is not known.
        """
        before = self.begin == 0 or first.span - first.begin < first.stride
        behind = self.end == 0 or first.end >= first.span
        return before and behind

    def union(self, other: Axis) -> Axis | None:
        """The axis that holds the taps of both; ``None`` where they give different positions."""
        if self.stride != other.stride or self.margin != other.margin:
            return None
        step = math.gcd(self.step, other.step, self.begin - other.begin) or 1
        begin = max(self.begin, other.begin)
        span = begin + max(self.span - self.begin, other.span - other.begin)
        return Axis(span // step + 1, self.stride, step, begin, self.margin + span - begin)


@dataclass(frozen=True)
class Footprint:
    """A convolution's axes, channels and groups.

    Attributes:
        axes: One for each spatial axis.
        group: Number of groups.
        outputs: Output channels.
        inputs: Input channels.
    """

    axes: tuple[Axis, ...]
    group: int
    outputs: int
    inputs: int

    @classmethod
    def identity(cls, shape: ir.Shape | None) -> Footprint | None:
        """One tap for each channel of an image of this shape; ``None`` if it is of none."""
        if shape is None or len(shape) < 3 or not isinstance(shape[1], int):
            return None
        return cls((Axis(1),) * (len(shape) - 2), shape[1], shape[1], shape[1])

    def along(self, axes: tuple[Axis, ...]) -> Footprint:
        """The same channels with a kernel of other axes."""
        return replace(self, axes=axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's sizes."""
        return tuple(axis.taps for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (G, O/G, I/G, *kernel) of the weight."""
        return (self.group, self.outputs // self.group, self.inputs // self.group, *self.kernel)

    @property
    def weights(self) -> int:
        """How many numbers the weight holds."""
        return math.prod(self.shape)

    @property
    def pads(self) -> bool:
        """Whether any position sees a zero that stands for no input."""
        return any(axis.begin or axis.end for axis in self.axes)

    def after(self, first: Footprint) -> Footprint:
        """This one applied to what ``first`` gives."""
        axes = (axis.after(other) for axis, other in zip(self.axes, first.axes, strict=True))
        group = math.gcd(self.group, first.group)
        return Footprint(tuple(axes), group, self.outputs, first.inputs)

    def union(self, other: Footprint) -> Footprint | str:
        """The one that holds the taps of both; or why there is none."""
        if (self.outputs, self.inputs) != (other.outputs, other.inputs):
            return "their channels differ"
        axes = [axis.union(their) for axis, their in zip(self.axes, other.axes, strict=True)]
        held = tuple(axis for axis in axes if axis is not None)
        if len(held) < len(axes):
            return "their strides or paddings differ"
        return Footprint(held, math.gcd(self.group, other.group), self.outputs, self.inputs)

    def attributes(self) -> list[ir.Attr]:
        """A Conv's attributes."""
        return [
            ir.AttrInt64s("kernel_shape", self.kernel),
            ir.AttrInt64s("strides", [axis.stride for axis in self.axes]),
            ir.AttrInt64s("dilations", [axis.dilation for axis in self.axes]),
            ir.AttrInt64s(
                "pads", [axis.begin for axis in self.axes] + [axis.end for axis in self.axes]
            ),
            ir.AttrInt64("group", self.group),
        ]


def axes_of(frame: ir.Node, kernel: Sequence[int]) -> tuple[Axis, ...] | None:
    """The axes of a Conv or a pool; ``None`` where its padding depends on the input's size.

    A padding of fewer than no zeros, which some runtimes take to crop, is none that it knows.
    """
    automatic, windows = (
        frame.attributes.get_string("auto_pad", "NOTSET"),
        windows_of(frame, kernel),
    )
    if automatic == "VALID":
        return tuple(Axis(*window[:3]) for window in windows)
    if automatic != "NOTSET" or any(min(window.begin, window.end) < 0 for window in windows):
        return None
    return tuple(Axis(*window) for window in windows)
