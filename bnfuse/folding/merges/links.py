"""The nodes that are convolutions, whatever they are called: the links of a chain.

An average pool is a depthwise kernel of equal weights, a Pad with zeros one tap that stands off the
border, a norm one tap of its scale, and a matrix product a convolution without positions. What a
merge costs follows from shapes alone; the weights are read when it is carried out.
"""

from __future__ import annotations

__all__ = ["Link", "read_link", "read_map"]

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.folding.merges.geometry import Axis, Footprint, axes_of
from bnfuse.folding.merges.kernel import Kernel, windows
from bnfuse.graph.access import given
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
    """A Pad that writes zeros around the positions, as a Conv pads by itself."""
    zeros = _spatial_zeros(node, 2 + len(like.axes), constants)
    if zeros is None:
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


def _spatial_zeros(
    node: ir.Node, rank: int, constants: ConstantEvaluator
) -> list[tuple[int, int]] | None:
    """Zeros before and after each spatial axis, or ``None`` where it pads otherwise.

    Cropping, padding of the batch or the channels, by anything but 0, or by what is computed at
    run time is no Conv's padding.
    """
    attributes = node.attributes
    if attributes.get_string("mode", "constant") != "constant":
        return None
    amounts, value, chosen = (constants.array(given(node, place)) for place in (1, 2, 3))
    if any(map(constants.varies, node.inputs[1:])):
        return None
    if len(node.inputs) < 2:
        pads = list(attributes.get_ints("pads", attributes.get_ints("paddings", [])))
    else:
        pads = [] if amounts is None else [int(n) for n in amounts]
    number = attributes.get_float("value", 0.0) if value is None else float(value.reshape(-1)[0])
    axes = list(range(rank)) if chosen is None else [int(n) % rank for n in chosen]
    if min(pads, default=0) < 0 or number != 0.0 or len(pads) != 2 * len(axes):
        return None
    pairs = [(0, 0)] * rank
    for axis, before, behind in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        pairs[axis] = (before, behind)
    return pairs[2:] if pairs[:2] == [(0, 0), (0, 0)] else None


def _label(node: ir.Node) -> str:
    return f"{node.op_type} {node.name}"
