"""ONNX graphs with hand-written norm, made without a framework: real nets, and growing ones.

A norm here is ``(x - mean) / std * gamma + beta``: Sub, Div, Mul, Add, as exporters leave it.
"""

from __future__ import annotations

__all__ = ["chain", "concat", "residual", "resnet18", "resnet50", "transformer"]

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_Shape = tuple[int | str, ...]

_OPSET = 18
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
_EXPANSION = 4


@dataclass
class _Graph:
    """A graph in the making; values have names in order.

    Attributes:
        norms: Whether there are any; without, a convolution has a bias instead.
    """

    norms: bool = True
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        deviation = (2 / (inputs * kernel * kernel)) ** 0.5
        weight = self.rng.standard_normal((outputs, inputs, kernel, kernel), np.float32) * deviation
        pads = [kernel // 2] * 4
        constants = [self.constant(weight)]
        if not self.norms:
            constants.append(self.constant(self.rng.uniform(-0.1, 0.1, outputs)))
        return self.op("Conv", x, *constants, pads=pads, strides=[stride] * 2)

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        weight = self.rng.standard_normal((inputs, outputs), np.float32) * inputs**-0.5
        product = self.op("MatMul", x, self.constant(weight))
        return self.op("Add", product, self.constant(self.rng.uniform(-0.1, 0.1, outputs)))

    def norm(self, x: str, channels: int, last: bool = False) -> str:
        if not self.norms:
            return x
        for op_type, low, high in (
            ("Sub", -0.1, 0.1),
            ("Div", 0.8, 1.2),
            ("Mul", 0.8, 1.2),
            ("Add", -0.1, 0.1),
        ):
            shape = (channels,) if last else (1, channels, 1, 1)
            vector = self.rng.uniform(low, high, shape)
            x = self.op(op_type, x, self.constant(vector))
        return x

    def conv_norm(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        return self.norm(self.conv(x, inputs, outputs, kernel, stride), outputs)

    def model(
        self,
        output: str,
        shape: _Shape,
        output_shape: _Shape,
        kind: int = TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)],
            self.constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def resnet50(norms: bool = True) -> onnx.ModelProto:
    """ResNet-50 with 53 hand-written norms, or with biases in their place; 102 MB."""
    g = _Graph(norms=norms)
    x = g.op("Relu", g.conv_norm("x", 3, 64, 7, 2))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (blocks, width) in enumerate(_STAGES):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = g.op("Relu", g.conv_norm(x, channels, width))
            y = g.op("Relu", g.conv_norm(y, width, width, 3, stride))
            y = g.conv_norm(y, width, _EXPANSION * width)
            if not block:
                x = g.conv_norm(x, channels, _EXPANSION * width, 1, stride)
                channels = _EXPANSION * width
            x = g.op("Relu", g.op("Add", y, x))
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    weight = g.constant(g.rng.standard_normal((channels, 1000)) * channels**-0.5)
    x = g.op("Gemm", x, weight, g.constant(np.zeros(1000)))
    return g.model(x, ("N", 3, 224, 224), ("N", 1000))


def resnet18() -> onnx.ModelProto:
    """ResNet-18 with 20 hand-written norms; 47 MB."""
    g = _Graph()
    x = g.op("Relu", g.conv_norm("x", 3, 64, 7, 2))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (_, width) in enumerate(_STAGES):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = g.op("Relu", g.conv_norm(x, channels, width, 3, stride))
            y = g.conv_norm(y, width, width, 3)
            if stage and not block:
                x = g.conv_norm(x, channels, width, 1, stride)
            channels = width
            x = g.op("Relu", g.op("Add", y, x))
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    weight = g.constant(g.rng.standard_normal((channels, 1000)) * channels**-0.5)
    x = g.op("Gemm", x, weight, g.constant(np.zeros(1000)))
    return g.model(x, ("N", 3, 224, 224), ("N", 1000))


def transformer(
    words: int = 30_000, places: int = 512, width: int = 512, blocks: int = 6
) -> onnx.ModelProto:
    """Token ids into blocks of one head with hand-written norm, pooled; 138 MB by default."""
    g = _Graph()
    table, where = (g.rng.standard_normal((rows, width), np.float32) for rows in (words, places))
    scalars = {"zero": np.int64(0), "one": np.int64(1), "axis": np.array([1])}
    scalars |= {name: np.float32(v) for name, v in (("root", 0.5**0.5), ("half", 0.5), ("unit", 1))}
    g.constants += [numpy_helper.from_array(np.asarray(v), name) for name, v in scalars.items()]
    length = g.op("Squeeze", g.op("Shape", "x", start=1, end=2))
    place = g.op("Gather", g.constant(where), g.op("Range", "zero", length, "one"))
    x = g.op("Add", g.op("Gather", g.constant(table), "x"), place)
    scale = g.constant(np.array(width**-0.5))
    for _ in range(blocks):
        query, key, value = (g.linear(x, width, width) for _ in range(3))
        turned = g.op("Transpose", key, perm=[0, 2, 1])
        weights = g.op("Softmax", g.op("Mul", g.op("MatMul", query, turned), scale), axis=-1)
        mixed = g.linear(g.op("MatMul", weights, value), width, width)
        x = g.norm(g.op("Add", x, mixed), width, last=True)
        y = g.linear(x, width, 4 * width)
        bent = g.op("Add", g.op("Erf", g.op("Mul", y, "root")), "unit")
        y = g.linear(g.op("Mul", g.op("Mul", y, bent), "half"), 4 * width, width)
        x = g.norm(g.op("Add", x, y), width, last=True)
    x = g.linear(g.op("ReduceMean", x, "axis", keepdims=0), width, 16)
    return g.model(x, ("N", "L"), ("N", 16), TensorProto.INT64)


def chain(layers: int, channels: int = 4, norms: bool = True) -> onnx.ModelProto:
    """Conv → norm → Relu, one after another; without norms, Conv → Relu."""
    g, x = _Graph(norms=norms), "x"
    for _ in range(layers):
        x = g.op("Relu", g.conv_norm(x, channels, channels))
    return g.model(x, ("N", channels, 8, 8), ("N", channels, 8, 8))


def residual(blocks: int, channels: int = 4) -> onnx.ModelProto:
    """X + norm(Conv(Relu(norm(x)))): the pre-activation norms have nowhere to go."""
    g = _Graph()
    x = g.conv("x", channels, channels)
    for _ in range(blocks):
        y = g.op("Relu", g.norm(x, channels))
        x = g.op("Add", x, g.conv_norm(y, channels, channels))
    return g.model(x, ("N", channels, 8, 8), ("N", channels, 8, 8))


def concat(inputs: int, channels: int = 4) -> onnx.ModelProto:
    """One norm over a Concat of as many convolutions: it has to be split over all of them."""
    g = _Graph()
    parts = [g.conv("x", channels, channels) for _ in range(inputs)]
    x = g.norm(g.op("Concat", *parts, axis=1), inputs * channels)
    x = g.op("Relu", x)
    return g.model(x, ("N", channels, 8, 8), ("N", inputs * channels, 8, 8))
