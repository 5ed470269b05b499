"""Ops that are defined by other ops: written out where one of two models has them and one has not.

The definitions are those of the ONNX operator specification, and of ONNX Runtime's own operators
(domain ``com.microsoft``). Where both models have an op, its own law says more, so it stays.
"""

from __future__ import annotations

__all__ = ["DEFINITIONS", "SWAPPED", "Writer", "Writing", "name_of"]

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_RUNTIME = "com.microsoft"
SWAPPED = f"{_RUNTIME}::Swapped of the checker"
"""A Transpose of the last two axes, whatever the rank."""


class Writer:
    """Writes the nodes that stand for one node.

    Attributes:
        node: The node.
        given: Its attributes.
        opset: Of ONNX's own operators.
        nodes: What was written.
        tensors: The constants that were written.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        dtype: int,
        opset: int,
        stored: Mapping[str, onnx.TensorProto],
    ) -> None:
        self.node = node
        self.given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._dtype, self.opset, self._stored = dtype, opset, stored

    def input(self, place: int) -> str:
        """The name of an input; empty where it is left out."""
        return self.node.input[place] if place < len(self.node.input) else ""

    def op(
        self, kind: str, *inputs: str, last: bool = False, result: str = "", **attributes: Any
    ) -> str:
        """A node; the ``last`` gives the result, or one gives a ``result`` of several."""
        name = self.node.output[0] if last else result or self._name()
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def number(self, value: float) -> str:
        """A constant of the model's float type."""
        return self._tensor(np.asarray(value, helper.tensor_dtype_to_np_dtype(self._dtype)))

    def stored(self, name: str) -> np.ndarray[Any, Any] | None:
        """A small constant of the model; ``None`` for what is none."""
        tensor = self._stored.get(name)
        if tensor is None or np.prod(tensor.dims, dtype=int) > 64 or tensor.external_data:
            return None
        return numpy_helper.to_array(tensor)

    def part(self, x: str, axis: int, begin: int, size: int, result: str = "") -> str:
        """Elements along an axis."""
        end = begin + size or 2**31 - 1
        numbers = (self._tensor(np.array([n], np.int64)) for n in (begin, end, axis))
        return self.op("Slice", x, *numbers, result=result)

    def without(self, x: str, axis: int) -> None:
        """The result, which lacks an axis of one element."""
        self.op("Squeeze", x, self._tensor(np.array([axis], np.int64)), last=True)

    def mean(self, x: str) -> str:
        """The mean over the last axis."""
        if self.opset < 18:
            return self.op("ReduceMean", x, axes=[-1])
        return self.op("ReduceMean", x, self._tensor(np.array([-1], np.int64)))

    def _tensor(self, array: np.ndarray[Any, Any]) -> str:
        self.tensors.append(numpy_helper.from_array(array, self._name()))
        return self.tensors[-1].name

    def _name(self) -> str:
        return f"{self.node.output[0]}/{len(self.nodes) + len(self.tensors)}"


Definition = Callable[[Writer], bool]
"""Writes a node's definition; ``False`` where it has none."""


def _text(value: Any, default: str) -> str:
    return default if value is None else value.decode()


def _activated(w: Writer, x: str) -> bool:
    """The activation that ONNX Runtime puts behind a linear map."""
    kind, given = _text(w.given.get("activation"), ""), w.given.get("activation_params") or []
    if kind == "HardSigmoid":
        return _hard_sigmoid(w, x, *given)
    if kind == "Clip":
        w.op("Clip", x, *map(w.number, given), last=True)
    elif kind == "LeakyRelu":
        w.op(kind, x, last=True, alpha=given[0])
    else:
        w.op(kind, x, last=True)
    return kind in ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip")


def _fused_conv(w: Writer) -> bool:
    kept = {k: v for k, v in w.given.items() if not k.startswith("activation")}
    x = w.op("Conv", *(i for i in w.node.input[:3] if i), **kept)
    if w.input(3):
        x = w.op("Add", x, w.input(3))
    return _activated(w, x)


def _fused_gemm(w: Writer) -> bool:
    kept = {k: v for k, v in w.given.items() if not k.startswith("activation")}
    params = {k: v for k, v in w.given.items() if k.startswith("activation_")}
    w.given["activation_params"] = list(params.values())
    return _activated(w, w.op("Gemm", *w.node.input, **kept))


def _fused_matmul(w: Writer) -> bool:
    if any(w.given.get(name) for name in ("transBatchA", "transBatchB")):
        return False
    x, y = (
        w.op("Swapped of the checker", name, domain=_RUNTIME) if w.given.get(flag) else name
        for name, flag in zip(w.node.input, ("transA", "transB"), strict=True)
    )
    product = w.op("MatMul", x, y)
    w.op("Mul", product, w.number(w.given.get("alpha", 1.0)), last=True)
    return True


def _hard_sigmoid(w: Writer, x: str, alpha: float = 0.2, beta: float = 0.5) -> bool:
    moved = w.op("Add", w.op("Mul", x, w.number(alpha)), w.number(beta))
    w.op("Clip", moved, w.number(0.0), w.number(1.0), last=True)
    return True


def _own_hard_sigmoid(w: Writer) -> bool:
    return _hard_sigmoid(w, w.input(0), w.given.get("alpha", 0.2), w.given.get("beta", 0.5))


def _hard_swish(w: Writer) -> bool:
    x = w.input(0)
    moved = w.op("Add", w.op("Mul", x, w.number(1.0 / 6.0)), w.number(0.5))
    w.op("Mul", x, w.op("Clip", moved, w.number(0.0), w.number(1.0)), last=True)
    return True


def _swish(w: Writer) -> bool:
    x, alpha = w.input(0), w.given.get("alpha", 1.702 if w.node.domain else 1.0)
    w.op("Mul", x, w.op("Sigmoid", w.op("Mul", x, w.number(alpha))), last=True)
    return True


def _mish(w: Writer) -> bool:
    w.op("Mul", w.input(0), w.op("Tanh", w.op("Softplus", w.input(0))), last=True)
    return True


def _erf_gelu(w: Writer, x: str) -> bool:
    inner = w.op("Erf", w.op("Mul", x, w.number(1.0 / math.sqrt(2.0))))
    half = w.op("Mul", x, w.number(0.5))
    w.op("Mul", half, w.op("Add", inner, w.number(1.0)), last=True)
    return True


def _tanh_gelu(w: Writer, x: str) -> bool:
    cubed = w.op("Mul", w.op("Mul", w.op("Mul", x, x), x), w.number(0.044715))
    inner = w.op("Mul", w.op("Add", x, cubed), w.number(math.sqrt(2.0 / math.pi)))
    half = w.op("Mul", x, w.number(0.5))
    w.op("Mul", half, w.op("Add", w.op("Tanh", inner), w.number(1.0)), last=True)
    return True


def _gelu(w: Writer) -> bool:
    x = w.op("Add", w.input(0), w.input(1)) if w.input(1) else w.input(0)
    tanh = w.node.op_type == "FastGelu" or _text(w.given.get("approximate"), "none") == "tanh"
    return (_tanh_gelu if tanh else _erf_gelu)(w, x)


def _centred(w: Writer, x: str, scale: str, shift: str, centre: bool = True) -> bool:
    """A normalisation over the last axis."""
    moved = w.op("Sub", x, w.mean(x)) if centre else x
    variance = w.mean(w.op("Mul", moved, moved))
    epsilon = w.number(w.given.get("epsilon", 1e-5))
    deviation = w.op("Sqrt", w.op("Add", variance, epsilon))
    normal = w.op("Div", moved, deviation)
    scaled = w.op("Mul", normal, scale, last=not shift)
    if shift:
        w.op("Add", scaled, shift, last=True)
    return True


def _layer_norm(w: Writer) -> bool:
    plain = w.given.get("axis", -1) == -1 and sum(map(bool, w.node.output)) == 1
    centre = w.node.op_type == "LayerNormalization"
    return plain and _centred(w, w.input(0), w.input(1), w.input(2), centre)


def _skip_layer_norm(w: Writer) -> bool:
    outputs = [name for name in w.node.output if name]
    if len(outputs) > 1 + (len(w.node.output) > 3):
        return False
    simplified = w.node.op_type.startswith("SkipSimplified")
    bias = w.input(3 if simplified else 4)
    parts = [name for name in (w.input(0), w.input(1), bias) if name]
    x = parts[0]
    for part in parts[1:]:
        x = w.op("Add", x, part)
    if len(w.node.output) > 3 and w.node.output[3]:
        w.nodes.append(helper.make_node("Identity", [x], [w.node.output[3]]))
    return _centred(w, x, w.input(2), "" if simplified else w.input(3), not simplified)


def _split(w: Writer) -> bool:
    sizes = w.stored(w.input(1))
    if sizes is None or len(sizes) != len(w.node.output):
        return False
    begins = np.cumsum(sizes) - sizes
    for name, begin, size in zip(w.node.output, begins, sizes, strict=True):
        if not size:
            return False
        w.part(w.input(0), w.given.get("axis", 0), int(begin), int(size), name)
    return True


def _gather_one(w: Writer) -> bool:
    index, axis = w.stored(w.input(1)), w.given.get("axis", 0)
    if index is None or index.ndim or w.opset < 13:
        return False
    w.without(w.part(w.input(0), axis, int(index), 1), axis)
    return True


DEFINITIONS: dict[str, Definition] = {
    "com.microsoft::FusedConv": _fused_conv,
    "com.microsoft::FusedGemm": _fused_gemm,
    "com.microsoft::FusedMatMul": _fused_matmul,
    "com.microsoft::QuickGelu": _swish,
    "com.microsoft::Gelu": _gelu,
    "com.microsoft::BiasGelu": _gelu,
    "com.microsoft::FastGelu": _gelu,
    "com.microsoft::SkipLayerNormalization": _skip_layer_norm,
    "com.microsoft::SkipSimplifiedLayerNormalization": _skip_layer_norm,
    "SimplifiedLayerNormalization": _layer_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "Gelu": _gelu,
    "HardSigmoid": _own_hard_sigmoid,
    "HardSwish": _hard_swish,
    "Swish": _swish,
    "Mish": _mish,
    "Split": _split,
    "Gather": _gather_one,
}
"""Each op's definition; of an attribute that has none, the op stays."""


def name_of(node: onnx.NodeProto) -> str:
    """The op of a node, with its domain before it where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


class Writing:
    """Writes out the nodes of one graph.

    Attributes:
        tensors: The constants that came with them.
    """

    def __init__(
        self,
        dtype: int,
        opset: int,
        kinds: Collection[str],
        stored: Mapping[str, onnx.TensorProto],
    ) -> None:
        """Prepare.

        Args:
            dtype: The float type that the model is of; 0 where there are several.
            opset: Of ONNX's own operators.
            kinds: Keys of :data:`DEFINITIONS`; nothing else is written out.
            stored: The graph's constants.
        """
        self.tensors: list[onnx.TensorProto] = []
        self._dtype, self._opset, self._stored = dtype, opset, stored
        self._kinds = kinds if dtype else ()

    def out(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The node, or what it is defined by."""
        writer = Writer(node, self._dtype, self._opset, self._stored)
        if name_of(node) not in self._kinds or not DEFINITIONS[name_of(node)](writer):
            return [node]
        self.tensors += writer.tensors
        return writer.nodes
