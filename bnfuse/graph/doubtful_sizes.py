"""Sizes that ONNX's inference and the runtimes compute differently: they count as unknown.

``floor(10 · 1.3)`` is 12 or 13 by the type it is computed in. A pool with ``ceil_mode`` may or may
not have a last window that begins in the padding. Where both give one number, that is the size.
"""

from __future__ import annotations

__all__ = ["doubtful_axes", "resize_scales"]

from typing import TYPE_CHECKING

from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_RESIZES = frozenset({"Resize", "Upsample"})
_NEAR = 1e-4
"""How near to a whole number, relative to its size, a product can be rounded to either side."""


def doubtful_axes(node: ir.Node, constants: ConstantEvaluator) -> tuple[int, ...]:
    """The axes of the first output whose length depends on who computes it."""
    if node.domain not in ("", "ai.onnx") or not node.inputs:
        return ()
    if node.op_type in _RESIZES:
        return tuple(_of_resize(node, constants))
    if node.op_type in _POOLS and node.attributes.get_int("ceil_mode", 0) == 1:
        return tuple(_of_pool(node))
    return ()


def _of_resize(node: ir.Node, constants: ConstantEvaluator) -> Iterator[int]:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return
    rank = len(x.shape)
    axes = [axis % rank for axis in node.attributes.get_ints("axes", range(rank))]
    if node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        yield from axes
        return
    for axis, scale in (resize_scales(node, constants) or {}).items():
        length = static_dim(x.shape, axis)
        product = None if length is None else length * float(scale)
        # A product that is whole in exact arithmetic is so in any type.
        if product is not None and 0.0 < abs(product - round(product)) <= _NEAR * max(1.0, product):
            yield axis


def resize_scales(node: ir.Node, constants: ConstantEvaluator) -> dict[int, float] | None:
    """What a Resize or an Upsample scales each axis by; ``None`` where that is not given."""
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    rank = len(x.shape)
    # Upsample's and Resize's of opset 10 are the second input, the others' the third.
    place = 1 if len(node.inputs) == 2 else 2
    given = constants.constant(node.inputs[place]) if len(node.inputs) > place else None
    scales = node.attributes.get_floats("scales", [])
    if given is not None:
        scales = [float(scale) for scale in given.array().reshape(-1)]
    axes = node.attributes.get_ints("axes", range(rank))
    if not scales or len(scales) != len(axes):
        return None
    return {axis % rank: scale for axis, scale in zip(axes, scales, strict=True)}


def _of_pool(node: ir.Node) -> Iterator[int]:
    x = node.inputs[0]
    kernel = list(node.attributes.get_ints("kernel_shape", []))
    ones, zeros = [1] * len(kernel), [0] * 2 * len(kernel)
    strides = node.attributes.get_ints("strides", ones)
    dilations = node.attributes.get_ints("dilations", ones)
    pads = node.attributes.get_ints("pads", zeros)
    automatic = node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "")
    for i, taps in enumerate(kernel):
        length = None if x is None else static_dim(x.shape, i + 2)
        if length is None:
            continue
        before, after = pads[i], pads[i + len(kernel)]
        free = length + before + after - dilations[i] * (taps - 1) - 1
        last = -(-free // strides[i]) * strides[i]
        if free % strides[i] and (automatic or last >= length + before):
            yield i + 2
