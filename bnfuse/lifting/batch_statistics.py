"""Statistics that are computed from the batch at run time, told by the axes of their mean."""

from __future__ import annotations

__all__ = ["batch_statistics"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

_FURTHEST = 24
"""Nodes looked at before a value: a variance is seven ops behind its mean."""


def batch_statistics(node: ir.Node) -> str | None:
    """Why a norm that ends in ``node`` cannot be folded, if a mean over the batch goes into it."""
    pending, seen = [node], {node}
    while pending and len(seen) < _FURTHEST:
        current = pending.pop(0)
        if current.op_type == "ReduceMean" and _is_over_batch(current):
            return (
                f"its statistics are computed from the batch at run time (ReduceMean "
                f"{current.name!r}): there are no constants of it to fold"
            )
        for value in current.inputs:
            maker = value.producer() if value is not None else None
            if maker is not None and maker not in seen:
                seen.add(maker)
                pending.append(maker)
    return None


def _is_over_batch(mean: ir.Node) -> bool:
    """Whether the first axis is among those that a mean is taken over, beside others or alone."""
    axes = list(mean.attributes.get_ints("axes", []))
    given = mean.inputs[1] if len(mean.inputs) > 1 else None
    if given is not None and given.const_value is not None:
        axes = [int(axis) for axis in given.const_value.numpy().reshape(-1)]
    x = mean.inputs[0]
    rank = len(x.shape) if x is not None and x.shape is not None else None
    return 0 in axes or (rank is not None and -rank in axes)
