"""BatchNormalization with running statistics, as one :class:`ChannelAffine`.

``y = (x - mean) / sqrt(var + epsilon) · scale + B`` along axis 1 (ONNX operator specification,
BatchNormalization-15).
"""

from __future__ import annotations

__all__ = ["DEFAULT_EPSILON", "read_batch_norm"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import NotPerChannel
from bnfuse.lifting.batch_statistics import batch_statistics

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

DEFAULT_EPSILON = 1e-5
_MODE_BY_OUTPUTS = 7
"""From this opset on the op trains if it has more than one output; before, unless ``is_test``."""
_MODE_BY_ATTRIBUTE = 14
"""From this opset on it trains if ``training_mode`` says so."""


def read_batch_norm(
    node: ir.Node, constants: ConstantEvaluator
) -> ChannelAffine | NotPerChannel | None:
    """Read ``node``, or say why it is no constant map; ``None`` for any other op."""
    if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
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
    return ChannelAffine.of(1, scale, beta - centred, magnitude=np.abs(centred) + np.abs(beta))


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
