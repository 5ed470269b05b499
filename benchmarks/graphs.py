"""ONNX graphs with hand-written norm, made without a framework: ResNet-50, and growing ones.

A norm here is ``(x - mean) / std * gamma + beta``: Sub, Div, Mul, Add, as exporters leave it.
"""

from __future__ import annotations

__all__ = ["chain", "concat", "residual", "resnet50"]

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

    def norm(self, x: str, channels: int) -> str:
        if not self.norms:
            return x
        for op_type, low, high in (
            ("Sub", -0.1, 0.1),
            ("Div", 0.8, 1.2),
            ("Mul", 0.8, 1.2),
            ("Add", -0.1, 0.1),
        ):
            vector = self.rng.uniform(low, high, (1, channels, 1, 1))
            x = self.op(op_type, x, self.constant(vector))
        return x

    def conv_norm(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        return self.norm(self.conv(x, inputs, outputs, kernel, stride), outputs)

    def model(self, output: str, shape: _Shape, output_shape: _Shape) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
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
