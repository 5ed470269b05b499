"""Inputs that are masks, read from the graph: of 0 and 1, whatever type they are given in.

A mask that is not boolean hides scores by ``(1 - mask) * -1e9``. Any other number in it adds
infinities or drowns every score, and then nothing can be compared. A boolean, or an integer that is
cast to one, hides scores by ``where(mask, scores, -1e9)``, or by its negation; any number does by
``where(mask == 0, -1e9, scores)``, unless something else reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.runtime.floats import is_float
from bnfuse.verifying.runtime.onnx_models import constant_tensors

if TYPE_CHECKING:
    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = ["mask_inputs"]

# A score that this is subtracted from counts no more.
_HIDING = 1e3


def mask_inputs(model: OnnxSource) -> dict[str, bool]:
    """Return the inputs of ``model`` that hide scores, each with what it is where it hides none.

    ``True`` is an input that hides where it is 0, ``False`` one that hides where it is 1.
    """
    proto = model.graph
    constants = constant_tensors(proto)
    types = {
        item.name: item.type.tensor_type.elem_type
        for item in proto.graph.input
        if item.name not in constants
    }
    floats = {
        name
        for name, kind in types.items()
        if kind and is_float(onnx.helper.tensor_dtype_to_np_dtype(kind))
    }
    # The inputs that each value comes from, and whether it shows where they do.
    known = {name: {name: True} for name in types}
    found: dict[str, bool] = {}
    # What is compared with a number is a mask only if it is nothing else: padding may be 0, too.
    compared: set[str] = set()
    read: set[str] = set()
    for node in proto.graph.node:
        op, output = node.op_type, node.output[0]
        numbers = [_scalar(model, constants.get(item)) for item in node.input]
        told = [known.get(item, {}) for item in node.input]
        if op == "Where":
            hidden = [number is not None and number <= -_HIDING for number in numbers]
            if hidden[1] != hidden[2]:
                found |= {source: shows == hidden[2] for source, shows in told[0].items()}
            read.update(*told[1:])
        elif op == "Mul" and max(abs(number or 0.0) for number in numbers) >= _HIDING:
            found |= {source: True for by in told for source, shows in by.items() if not shows}
        elif op == "Not" or (op == "Sub" and numbers[0] == 1.0):
            known[output] = {source: not shows for source, shows in told[-1].items()}
        elif op == "Equal" and {0.0, 1.0}.intersection(numbers):
            one = 1.0 in numbers
            known[output] = {source: shows == one for by in told for source, shows in by.items()}
            compared.update(known[output])
        elif op == "Cast" and _to(node) == onnx.TensorProto.BOOL:
            found |= {source: True for source, shows in told[0].items() if not shows}
            # A float that is cast may be anything: only one that is subtracted from 1 is a mask.
            known[output] = {
                source: shows
                for source, shows in told[0].items()
                if not shows or source not in floats
            }
        elif op in {"And", "Or"}:
            known[output] = told[1] | told[0]
        elif told and has(op, Fact.SAME_NUMBERS | Fact.PICKS):
            known[output] = told[0]
        elif not has(op, Fact.SIZES):
            read.update(*told)
    return {name: shows for name, shows in found.items() if name not in compared & read}


def _to(node: onnx.NodeProto) -> int:
    return int(next(item.i for item in node.attribute if item.name == "to"))


def _scalar(model: OnnxSource, tensor: onnx.TensorProto | None) -> float | None:
    """Return the value of a scalar constant, or None for anything else."""
    if tensor is None or int(np.prod(tensor.dims)) != 1:
        return None
    value = model.value(tensor)
    return None if value is None else float(value.reshape(-1)[0])
