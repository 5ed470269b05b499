"""The nodes that are convolutions, whatever they are called: the links of a chain.

An average pool is a depthwise kernel of equal weights, a Pad with zeros one tap that stands off the
border, a norm one tap of its scale, and a matrix product a convolution without positions. What a
merge costs follows from shapes alone; the weights are read when it is carried out.

Links one after another, from one input to one output, are one convolution together. That is exact
where the second link pads only what the first would have made zero by itself: with zeros at its
border the first must add nothing, and past its ends see nothing but its own padding. So a k×k
before any unpadded map, and a 1×1 without a bias before any map.
"""

from __future__ import annotations

__all__ = ["Chain", "Link", "read_link", "read_map"]

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.folding.merges.geometry import Axis, Footprint, axes_of
from bnfuse.folding.merges.kernel import Kernel, windows
from bnfuse.graph.access import given
from bnfuse.graph.sizes import padded_by
from bnfuse.lifting.nodes import affine_of, linear_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lifting.nodes import LiftedAffine
    from bnfuse.lifting.sites import Site

Array = NDArray[np.float64]
_CANCELLED = 8 * float(np.finfo(np.float64).eps)
"""Relative to its terms, what a sum that is 0 may come to in a few roundings."""


@dataclass(frozen=True, eq=False)
class Link:
    """One node as a convolution of its first input.

    Attributes:
        node: The node.
        footprint: Where its taps lie.
        label: What a person calls it.
        flops: Additions and multiplications for each position of its output.
        kernel: Gives its numbers; a stored weight is read anew each time.
        own: What it makes of one image (I, …), by its own definition; ``None`` for a linear map,
            whose definition the kernel is.
        linear: The linear map, if it is one.
        sites: The norms of the model that it stands for.
        has_offset: Whether it adds anything to zeros.
    """

    node: ir.Node
    footprint: Footprint
    label: str
    flops: int
    kernel: Callable[[], Kernel]
    own: Callable[[Array], Array] | None = None
    linear: LinearMap | None = None
    sites: tuple[Site, ...] = ()
    has_offset: bool = False


def read_link(node: ir.Node, constants: ConstantEvaluator) -> Link | None:
    """``node`` as a convolution of its first input with positions, if it is one."""
    if linear_of(node) is not None:
        link = read_map(node)
        return link if link is not None and link.footprint.axes else None
    x = node.inputs[0] if node.inputs else None
    like = None if x is None else Footprint.identity(x.shape)
    if like is None:
        return None
    lifted = affine_of(node)
    if lifted is not None:
        return _norm(node, lifted, like)
    if node.domain == "" and node.op_type == "AveragePool":
        return _average(node, like)
    if node.domain == "" and node.op_type == "Pad":
        return _pad(node, like, constants)
    return None


def read_map(node: ir.Node) -> Link | None:
    """A Conv, or a matrix product, as a convolution; ``None`` for any other node."""
    linear = linear_of(node)
    if linear is None or linear.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    is_conv, layout = linear.op_type == "Conv", linear.layout
    axes = axes_of(linear.source.frame, layout.shape[2:]) if is_conv else ()
    if axes is None:
        return None
    footprint = Footprint(axes, layout.group, layout.outputs, layout.inputs)
    # What a bias that cancels leaves in float64 is no bias.
    left_over = _CANCELLED * linear.offset_magnitude
    size = "×".join(map(str, footprint.kernel))
    return Link(
        node,
        footprint,
        f"{size} {linear.title}" if is_conv else linear.title,
        2 * footprint.weights,
        lambda: Kernel.of(footprint, linear.exact_weight(), linear.offset, linear.offset_magnitude),
        linear=linear,
        has_offset=bool(np.any(np.abs(linear.offset) > left_over)),
    )


def _norm(node: ir.Node, lifted: LiftedAffine, like: Footprint) -> Link | None:
    affine = lifted.affine
    if affine.axis not in (None, 1) or not affine.is_finite:
        return None
    return Link(
        node,
        like,
        f"norm {lifted.title}",
        2 * like.weights,
        lambda: Kernel.of(like, *affine.expanded(like.outputs)),
        lambda x: affine.along(0)(x),
        sites=lifted.all_sites,
        has_offset=affine.has_shift,
    )


def _average(node: ir.Node, like: Footprint) -> Link | None:
    """Where every window has the same weights."""
    axes = axes_of(node, node.attributes.get_ints("kernel_shape", []))
    overhangs = bool(node.attributes.get_int("ceil_mode", 0))
    if axes is None or overhangs:
        return None
    padded = any(axis.begin or axis.end for axis in axes)
    if padded and not node.attributes.get_int("count_include_pad", 0):
        return None
    footprint = like.along(axes)
    return Link(
        node,
        footprint,
        _label(node),
        footprint.weights + footprint.outputs,
        lambda: Kernel.of(footprint, 1.0 / math.prod(footprint.kernel)),
        lambda x: windows(x, footprint).mean(axis=tuple(range(x.ndim, 2 * x.ndim - 1))),
    )


def _pad(node: ir.Node, like: Footprint, constants: ConstantEvaluator) -> Link | None:
    """A Pad that writes zeros around the positions, as a Conv pads by itself.

    Cropping, padding of the batch or the channels, by anything but 0, or by what is computed at
    run time is no Conv's padding.
    """
    attributes, amounts = node.attributes, padded_by(node, constants)
    if amounts is None or attributes.get_string("mode", "constant") != "constant":
        return None
    value = constants.array(given(node, 2))
    number = attributes.get_float("value", 0.0) if value is None else float(value.reshape(-1)[0])
    if constants.varies(given(node, 2)) or number != 0.0 or min(map(min, amounts)) < 0:
        return None
    (batch, channels, *zeros) = amounts
    if batch != (0, 0) or channels != (0, 0):
        return None
    footprint = like.along(tuple(Axis(1, 1, 1, *pair) for pair in zeros))
    return Link(
        node,
        footprint,
        _label(node),
        0,
        lambda: Kernel.of(footprint, 1.0),
        lambda x: np.pad(x, [(0, 0), *zeros]),
    )


def _label(node: ir.Node) -> str:
    return f"{node.op_type} {node.name}"


@dataclass(frozen=True, eq=False)
class Chain:
    """Links in the order of the data flow; without any it is the identity.

    Attributes:
        links: The links.
        identity: Where it is the identity, the one tap that this is.
    """

    links: tuple[Link, ...]
    identity: Footprint | None = None

    @property
    def label(self) -> str:
        """What a person calls it."""
        return " then ".join(link.label for link in self.links) or "the identity"

    @property
    def linears(self) -> tuple[LinearMap, ...]:
        """The convolutions among the links."""
        return tuple(link.linear for link in self.links if link.linear is not None)

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """The links' nodes, the last one first: nothing reads a node that follows it."""
        return tuple(link.node for link in reversed(self.links))

    @property
    def sites(self) -> tuple[Site, ...]:
        """The norms among the links."""
        return tuple(site for link in self.links for site in link.sites)

    @cached_property
    def footprint(self) -> Footprint | str:
        """Where the taps of all links together lie; or why they are no one convolution."""
        if self.identity is not None:
            return self.identity
        joined, has_offset = self.links[0].footprint, self.links[0].has_offset
        for link in self.links[1:]:
            own = link.footprint
            if own.pads and has_offset:
                return f"{link.label} pads with zeros, which the bias before it must not reach"
            if not all(a.pads_as(b) for a, b in zip(own.axes, joined.axes, strict=True)):
                return f"{link.label} pads with zeros where what is before it is none"
            joined = own.after(joined)
            has_offset = has_offset or link.has_offset
        return joined

    @cached_property
    def flops(self) -> int:
        """What all links cost for each position of the last one's output."""
        return sum(
            round(link.flops * _positions_of(self.links[i:])) for i, link in enumerate(self.links)
        )

    def kernel(self) -> Kernel:
        """The one convolution with its numbers."""
        kernels = self.kernels()
        joined = kernels[0]
        for kernel in kernels[1:]:
            joined = kernel.after(joined)
        return joined

    def kernels(self) -> list[Kernel]:
        """The numbers of each link, read anew."""
        if self.identity is not None:
            return [Kernel.of(self.identity, 1.0)]
        return [link.kernel() for link in self.links]


def _positions_of(links: tuple[Link, ...]) -> float:
    """How many positions the first link's output has for each of the last one's.

    Where a size is known only at run time, as many as the strides skip.
    """
    if not links[0].footprint.axes:
        return 1
    first, last = (_positions(link.node.outputs[0]) for link in (links[0], links[-1]))
    if first is not None and last:
        return first / last
    return math.prod(axis.stride for link in links[1:] for axis in link.footprint.axes)


def _positions(value: ir.Value) -> int | None:
    if value.shape is None:
        return None
    sizes = [n for n in value.shape[2:] if isinstance(n, int)]
    return math.prod(sizes) if len(sizes) == len(value.shape) - 2 else None
