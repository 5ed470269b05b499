"""Inputs that are masks, read from the graph: of 0 and 1, whatever type they are given in.

A mask that is not boolean hides scores by ``(1 - mask) * -1e9``. Any other number in it adds
infinities or drowns every score, and then nothing can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from bnfuse.verifying.samples.index_tables import SAME_VALUES, constant_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["mask_inputs"]

# A score that this is subtracted from counts no more.
_HIDING = 1e3


def mask_inputs(proto: onnx.ModelProto) -> frozenset[str]:
    """Return the inputs of ``proto`` that are subtracted from 1 to hide where they are 0."""
    constants = constant_tensors(proto)
    source = {item.name: item.name for item in proto.graph.input if item.name not in constants}
    inverted: dict[str, str] = {}
    found: set[str] = set()
    for node in proto.graph.node:
        for known in (source, inverted):
            if node.op_type in SAME_VALUES and node.input[0] in known:
                known[node.output[0]] = known[node.input[0]]
        if node.op_type == "Sub" and node.input[1] in source:
            if _size(constants, node.input[0]) == 1.0:
                inverted[node.output[0]] = source[node.input[1]]
            continue
        scaled = node.op_type == "Mul" and any(_size(constants, n) >= _HIDING for n in node.input)
        if scaled or (node.op_type == "Cast" and _to(node) == onnx.TensorProto.BOOL):
            found.update(inverted[name] for name in node.input if name in inverted)
    return frozenset(found)


def _to(node: onnx.NodeProto) -> int:
    return int(next(item.i for item in node.attribute if item.name == "to"))


def _size(constants: Mapping[str, onnx.TensorProto], name: str) -> float:
    """Return the absolute value of a scalar constant, or 0.0 for anything else."""
    tensor = constants.get(name)
    if tensor is None or int(np.prod(tensor.dims)) != 1:
        return 0.0
    return abs(float(onnx.numpy_helper.to_array(tensor).reshape(-1)[0]))
