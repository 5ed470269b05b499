"""Ops that are defined by other ops: written out where one of two models has them more often.

The definitions are those of the ONNX operator specification, and of ONNX Runtime's own operators
(domain ``com.microsoft``). Where both models have an op equally often, its own law says more, so it
stays; a ``Clip`` has no law and is always written out.
"""

from __future__ import annotations

__all__ = ["DEFINITIONS", "SWAPPED", "Writing", "name_of"]

import ast
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

SWAPPED = "com.microsoft::Swapped of the checker"
"""A Transpose of the last two axes, whatever the rank."""

_NORM = "m = x - Mean(x); m / Sqrt(Mean(m * m) + epsilon) * scale + shift"
_RMS = "x / Sqrt(Mean(x * x) + epsilon) * scale + shift"
_SKIP = float(np.float32(1e-12))
_SIGMOID = "Min(Max(x * alpha + beta, 0.0), 1.0)"
_SWISH = "x * Sigmoid(x * alpha)"
_GELU = "x * 0.5 * (Erf(x * 0.5 ** 0.5) + 1.0)"
_TANH_GELU = "x * 0.5 * (Tanh((x + x * x * x * 0.044715) * (2.0 / pi) ** 0.5) + 1.0)"

_ACTIVATIONS = {
    "Relu": "Relu(x)",
    "Tanh": "Tanh(x)",
    "Sigmoid": "Sigmoid(x)",
    "LeakyRelu": "LeakyRelu(x)",
    "Clip": "Min(Max(x, alpha), beta)",
    "HardSigmoid": _SIGMOID,
}

DEFINITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Clip": ("Min(Max(x, min + y), max + z)", {"min": "", "max": ""}),
    "com.microsoft::FusedConv": ("x = Conv(x, y, z) + w; ", {}),
    "com.microsoft::FusedGemm": ("x = Gemm(x, y, z); ", {}),
    "com.microsoft::FusedMatMul": ("MatMul(x, y) * alpha", {"alpha": 1.0}),
    "com.microsoft::QuickGelu": (_SWISH, {"alpha": 1.702}),
    "com.microsoft::Gelu": (_GELU, {}),
    "com.microsoft::BiasGelu": (f"x = x + y; {_GELU}", {}),
    "com.microsoft::FastGelu": (f"x = x + y; {_TANH_GELU}", {}),
    "com.microsoft::SkipLayerNormalization": (
        f"x = x + y + v; scale = z; shift = w; {_NORM}",
        {"epsilon": _SKIP},
    ),
    "com.microsoft::SkipSimplifiedLayerNormalization": (
        f"x = x + y + w; scale = z; shift = v; {_RMS}",
        {"epsilon": _SKIP},
    ),
    "SimplifiedLayerNormalization": (f"scale = y; shift = z; {_RMS}", {"epsilon": 1e-5}),
    "LayerNormalization": (f"scale = y; shift = z; {_NORM}", {"epsilon": 1e-5}),
    "RMSNormalization": (f"scale = y; shift = z; {_RMS}", {"epsilon": 1e-5}),
    "Gelu": (_GELU, {}),
    "HardSigmoid": (_SIGMOID, {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": ("x * Min(Max(x * (1.0 / 6.0) + 0.5, 0.0), 1.0)", {}),
    "Swish": (_SWISH, {"alpha": 1.0}),
    "Mish": ("x * Tanh(Softplus(x))", {}),
}
"""Of each op: what it computes of its inputs ``x, y, z, w, v`` (a term that is left out is
dropped) and its attributes' defaults."""

_BINARY = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.Div: "Div"}


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
        graph: onnx.GraphProto,
        dtype: int,
        opset: int,
        kinds: Collection[str],
    ) -> None:
        """Prepare.

        Args:
            graph: Whose nodes are written out.
            dtype: The float type that the model is of; 0 where there are several.
            opset: Of ONNX's own operators.
            kinds: Keys of :data:`DEFINITIONS`; nothing else is written out.
        """
        self.tensors: list[onnx.TensorProto] = []
        self._dtype, self._opset = dtype, opset
        # Of a Clip of newer operator sets, the bounds have their types.
        bounded = ("Clip",) if opset >= 8 and (dtype or opset >= 11) else ()
        self._kinds = {*bounded, *(kinds if dtype else ())}
        self._nodes: list[onnx.NodeProto] = []
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                self._stored[node.output[0]] = node.attribute[0].t
        inputs = {value.name for value in graph.input}
        self._taken = {*self._stored, *inputs}.union(*(node.output for node in graph.node))
        for name in inputs:
            self._stored.pop(name, None)

    def out(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The node, or what it is defined by."""
        kind = name_of(node)
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self._node, self._nodes = node, []
        if kind not in self._kinds:
            return [node]
        text = self._text(kind, given)
        if text is None:
            return [node]
        places = dict.fromkeys("xyzwv", "") | dict(zip("xyzwv", node.input, strict=False))
        for letter in "yz" if kind == "Clip" else "":
            # Of one number that is stored, and has no axes: it makes no result larger.
            bound = self._stored.get(places[letter])
            if places[letter] and (bound is None or np.prod(bound.dims, dtype=int) != 1):
                return [node]
            if bound is not None and bound.dims:
                places[letter] = self._number(numpy_helper.to_array(bound).reshape(()))
        self._names: dict[str, Any] = {"pi": math.pi, **DEFINITIONS[kind][1], **given, **places}
        result = ""
        for step in ast.parse(text).body:
            if isinstance(step, ast.Assign):
                target, value = step.targets[0], self._value(step.value)
                assert isinstance(target, ast.Name)
                self._names[target.id] = value
            elif isinstance(step, ast.Expr):
                result = self._value(step.value)
        if len(node.output) > 3 and node.output[3]:
            self._op("Identity", self._names["x"], result=node.output[3])
        self._nodes[[n.output[0] for n in self._nodes].index(result)].output[0] = node.output[0]
        return self._nodes

    def _text(self, kind: str, given: dict[str, Any]) -> str | None:
        """The definition of this node; ``None`` where its attributes have none."""
        text = DEFINITIONS[kind][0]
        outputs = [name for name in self._node.output if name]
        if kind.endswith("LayerNormalization") or kind == "RMSNormalization":
            more = kind.startswith("com.microsoft") and len(self._node.output) > 3
            return text if given.get("axis", -1) == -1 and len(outputs) <= 1 + more else None
        if kind.endswith("::FusedMatMul"):
            turned = [given.get(f"trans{side}") for side in "AB"]
            for flag, name in zip(turned, "xy", strict=True):
                text = f"{name} = Swapped({name}); {text}" if flag else text
            return None if given.get("transBatchA") or given.get("transBatchB") else text
        if kind.endswith("Gelu") and given.get("approximate") == b"tanh":
            return _TANH_GELU
        if not kind.startswith("com.microsoft::Fused"):
            return text
        activation = given.pop("activation", b"").decode()
        names = ("alpha", "beta")
        params = zip(names, given.get("activation_params", ()), strict=False)
        named = {n: given[key] for n in names if (key := f"activation_{n}") in given}
        self._params = {**dict(params), **named}
        self._kept = {k: v for k, v in given.items() if not k.startswith("activation")}
        given.clear()
        given.update({"alpha": 0.2, "beta": 0.5} | self._params)
        return text + _ACTIVATIONS[activation] if activation in _ACTIVATIONS else None

    def _value(self, of: ast.expr) -> Any:
        """A number, the name of a value, or the empty name of what is left out."""
        if isinstance(of, ast.Constant):
            return of.value
        if isinstance(of, ast.Name):
            return self._names[of.id]
        if isinstance(of, ast.BinOp):
            x, y = self._value(of.left), self._value(of.right)
            if not isinstance(x, str) and not isinstance(y, str):
                return x**y if isinstance(of.op, ast.Pow) else x / y
            kind = _BINARY[type(of.op)]
            if "" in (x, y):
                return y if x == "" else x
            return self._op(kind, x, y)
        assert isinstance(of, ast.Call)
        assert isinstance(of.func, ast.Name)
        kind, inputs = of.func.id, [self._value(item) for item in of.args]
        if kind == "Mean" and self._opset < 18:
            return self._op("ReduceMean", *inputs, axes=[-1])
        if kind == "Mean":
            return self._op("ReduceMean", *inputs, np.array([-1], np.int64))
        if kind == "Swapped":
            return self._op("Swapped of the checker", *inputs, domain="com.microsoft")
        more = self._kept if kind in ("Conv", "Gemm") else {}
        more = self._params if kind == "LeakyRelu" else more
        return self._op(kind, *inputs, **more)

    def _op(self, kind: str, *inputs: Any, result: str = "", **attributes: Any) -> str:
        names = [i if isinstance(i, str) else self._number(i) for i in inputs]
        while not names[-1]:
            names.pop()
        self._nodes.append(helper.make_node(kind, names, [result or self._name()], **attributes))
        return str(self._nodes[-1].output[0])

    def _number(self, value: Any) -> str:
        """A constant, of the model's float type if it is a float."""
        if not isinstance(value, np.ndarray):
            value = np.asarray(value, helper.tensor_dtype_to_np_dtype(self._dtype))
        self.tensors.append(numpy_helper.from_array(value, self._name()))
        return self.tensors[-1].name

    def _name(self) -> str:
        name = f"{self._node.output[0]}/{len(self._nodes) + len(self.tensors)}"
        while name in self._taken:
            name += "/"
        return name
