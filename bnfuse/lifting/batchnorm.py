"""BatchNormalization with running statistics, as one :class:`ChannelAffine`.

``y = (x - mean) / sqrt(var + epsilon) · scale + B`` along axis 1 (ONNX operator specification,
BatchNormalization-15).
"""

from __future__ import annotations

__all__ = ["DEFAULT_EPSILON", "batch_statistics", "read_batch_norm"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.access import given, is_op
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import NotPerChannel
from bnfuse.lifting.elementwise import AffineRead
from bnfuse.lifting.sites import Step

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

DEFAULT_EPSILON = 1e-5
_MODE_BY_OUTPUTS = 7
"""From this opset on the op trains if it has more than one output; before, unless ``is_test``."""
_MODE_BY_ATTRIBUTE = 14
"""From this opset on it trains if ``training_mode`` says so."""
_FURTHEST = 24
"""Nodes looked at before a value: a variance is seven ops behind its mean."""


def read_batch_norm(
    node: ir.Node, constants: ConstantEvaluator
) -> AffineRead | NotPerChannel | None:
    """Read ``node``, or say why it is no constant map; ``None`` for any other op."""
    if not is_op(node, "BatchNormalization"):
        return None
    training = _training(node)
    if training:
        return NotPerChannel(f"{training}: it takes its statistics from each batch")
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return NotPerChannel("its statistics are outputs that something uses")
    if not node.attributes.get_int("spatial", 1):
        return NotPerChannel("spatial is 0: its statistics vary over the positions too")
    parameters = [constants.array(v) for v in node.inputs[1:5] if v is not None]
    if len(parameters) != 4 or any(p is None for p in parameters):
        return NotPerChannel(batch_statistics(node) or "its parameters are computed at run time")
    gamma, beta, mean, variance = (np.asarray(p, dtype=np.float64) for p in parameters)
    # The attribute is stored as float32: the double nearest to that is what runs.
    epsilon = float(np.float32(node.attributes.get_float("epsilon", DEFAULT_EPSILON)))
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
        centred = mean * scale
    affine = ChannelAffine.of(1, scale, beta - centred, np.abs(centred) + np.abs(beta))
    return AffineRead(affine, Step.of(node, scales=True, shifts=True, per_channel=True))


def _training(node: ir.Node) -> str:
    """What makes the op take its statistics from each batch; empty where nothing does."""
    opset = _MODE_BY_ATTRIBUTE if node.graph is None else node.graph.opset_imports.get("", 0)
    if node.attributes.get_int("training_mode", 0):
        return "training_mode is 1"
    if opset < _MODE_BY_OUTPUTS and not node.attributes.get_int("is_test", 0):
        return "is_test is 0"
    if opset < _MODE_BY_ATTRIBUTE and len(node.outputs) > 1:
        return f"before opset {_MODE_BY_ATTRIBUTE} more than one output means training"
    return ""


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
            maker = None if value is None else value.producer()
            if maker is not None and maker not in seen:
                seen.add(maker)
                pending.append(maker)
    return None


def _is_over_batch(mean: ir.Node) -> bool:
    """Whether the first axis is among those that a mean is taken over, beside others or alone."""
    axes = list(mean.attributes.get_ints("axes", []))
    stored = given(mean, 1)
    if stored is not None and stored.const_value is not None:
        axes = [int(axis) for axis in stored.const_value.numpy().reshape(-1)]
    x = mean.inputs[0]
    rank = len(x.shape) if x is not None and x.shape is not None else None
    return 0 in axes or (rank is not None and -rank in axes)
