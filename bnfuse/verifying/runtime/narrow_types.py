"""Inputs and outputs in float types that the runtime's Python interface does not carry.

bfloat16 and the 8-bit floats are subsets of float32. A cast at the model's edge carries their
values through float32 without changing one, so a model with such edges is judged as the model
between two casts that round nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from bnfuse.verifying.runtime.floats import SUPPORTED, is_float
from bnfuse.verifying.runtime.onnx_models import OnnxSource, signature_of

if TYPE_CHECKING:
    from bnfuse.verifying.runtime.onnx_models import Port

__all__ = ["carried", "is_narrow", "widened"]


def is_narrow(port: Port) -> bool:
    """Return whether an input or output is of a float type that has to be carried in float32."""
    dtype = port.dtype
    return dtype is not None and is_float(dtype) and dtype.name not in SUPPORTED


def carried(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the dtype in which values of ``dtype`` enter and leave a session."""
    narrow = is_float(dtype) and dtype.name not in SUPPORTED
    return np.dtype(np.float32) if narrow else dtype


def widened(source: OnnxSource) -> OnnxSource:
    """Return ``source`` with narrow inputs and outputs cast from and to float32, or itself."""
    signature = source.signature
    if not any(is_narrow(port) for port in (*signature.inputs, *signature.outputs)):
        return source
    proto = source.proto()
    narrow = {port.name for port in signature.inputs if is_narrow(port)}
    inner = {name: _fresh(proto, f"{name}_narrow") for name in narrow}
    first: list[onnx.NodeProto] = []
    for info in proto.graph.input:
        if info.name in narrow:
            kind = info.type.tensor_type.elem_type
            first.append(onnx.helper.make_node("Cast", [info.name], [inner[info.name]], to=kind))
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    last = _cast_outputs(proto)
    nodes = [*proto.graph.node]
    del proto.graph.node[:]
    _rename(nodes, inner)
    proto.graph.node.extend([*first, *nodes, *last])
    # What is said of types inside may no longer hold, and no session needs it.
    del proto.graph.value_info[:]
    return OnnxSource(source.label, given=proto)


def _cast_outputs(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    casts = []
    for info, port in zip(proto.graph.output, signature_of(proto).outputs, strict=True):
        if not is_narrow(port):
            continue
        name = _fresh(proto, f"{info.name}_narrow")
        _rename([*proto.graph.node], {info.name: name}, outputs=True)
        casts.append(onnx.helper.make_node("Cast", [name], [info.name], to=onnx.TensorProto.FLOAT))
        info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return casts


def _rename(nodes: list[onnx.NodeProto], names: dict[str, str], outputs: bool = False) -> None:
    """Rename what nodes read, the captures of their subgraphs included, and what they make."""
    for node in nodes:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        if outputs:
            for position, name in enumerate(node.output):
                node.output[position] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename([*attribute.g.node], names)
                for item in attribute.g.output:
                    item.name = names.get(item.name, item.name)


def _fresh(proto: onnx.ModelProto, name: str) -> str:
    taken = {made for node in proto.graph.node for made in (*node.input, *node.output)}
    taken |= {item.name for item in proto.graph.initializer}
    while name in taken:
        name += "_"
    return name
