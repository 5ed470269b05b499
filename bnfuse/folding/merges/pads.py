"""A Pad that writes zeros around the positions, as a Conv pads by itself."""

from __future__ import annotations

__all__ = ["spatial_zeros"]

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator


def spatial_zeros(
    node: ir.Node, constants: ConstantEvaluator
) -> tuple[tuple[int, int], ...] | None:
    """Zeros before and after each spatial axis, or ``None`` where it pads otherwise.

    Cropping, padding of the batch or the channels, by anything but 0, or by what is computed at
    run time is no Conv's padding.
    """
    x = node.inputs[0]
    if x is None or x.shape is None or node.attributes.get_string("mode", "constant") != "constant":
        return None
    given, rank = _pads(node, constants), len(x.shape)
    if given is None or min(given, default=0) < 0 or _value(node, constants) != 0.0:
        return None
    axes = _axes(node, rank, constants)
    if axes is None or len(given) != 2 * len(axes):
        return None
    pairs = [(0, 0)] * rank
    for axis, before, behind in zip(axes, given[: len(axes)], given[len(axes) :], strict=True):
        pairs[axis] = (before, behind)
    if pairs[:2] != [(0, 0), (0, 0)]:
        return None
    return tuple(pairs[2:])


def _pads(node: ir.Node, constants: ConstantEvaluator) -> list[int] | None:
    if len(node.inputs) < 2:
        return list(node.attributes.get_ints("pads", node.attributes.get_ints("paddings", [])))
    array = None if node.inputs[1] is None else constants.array(node.inputs[1])
    return None if array is None else [int(n) for n in array]


def _axes(node: ir.Node, rank: int, constants: ConstantEvaluator) -> list[int] | None:
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return list(range(rank))
    array = constants.array(node.inputs[3])
    return None if array is None else [int(n) % rank for n in array]


def _value(node: ir.Node, constants: ConstantEvaluator) -> float | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        array = constants.array(node.inputs[2])
        return None if array is None else float(np.asarray(array).reshape(-1)[0])
    return node.attributes.get_float("value", 0.0)
