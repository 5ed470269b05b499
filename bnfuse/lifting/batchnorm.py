"""BatchNormalization with running statistics, as one :class:`ChannelAffine`.

``y = (x - mean) / sqrt(var + epsilon) · scale + B`` along axis 1 (ONNX operator specification,
BatchNormalization-15).
"""

from __future__ import annotations

__all__ = ["read_batch_norm"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.lifting.channel import NotPerChannel

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator

_DEFAULT_EPSILON = 1e-5


def read_batch_norm(
    node: ir.Node, constants: ConstantEvaluator
) -> ChannelAffine | NotPerChannel | None:
    """Read ``node``, or say why it is no constant map; ``None`` for any other op."""
    if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
        return None
    if node.attributes.get_int("training_mode", 0):
        return NotPerChannel("training_mode is 1: it takes its statistics from each batch")
    if not node.attributes.get_int("spatial", 1):
        return NotPerChannel("spatial is 0: its statistics vary over the positions too")
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return NotPerChannel("its statistics are outputs that something uses")
    parameters = [constants.array(v) for v in node.inputs[1:5] if v is not None]
    if len(parameters) != 4 or any(p is None for p in parameters):
        return NotPerChannel("its parameters are computed at run time")
    gamma, beta, mean, variance = (np.asarray(p, dtype=np.float64) for p in parameters)
    # The attribute is stored as float32: the double nearest to that is what runs.
    epsilon = float(np.float32(node.attributes.get_float("epsilon", _DEFAULT_EPSILON)))
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
        centred = mean * scale
    return ChannelAffine.of(1, scale, beta - centred, magnitude=np.abs(centred) + np.abs(beta))
