"""Small nets to judge: each written three ways (with its norms, folded in float64, in float32).

The norms' statistics are those of real activations (a calibration batch runs along while a net
is written), so that they are as those of a trained net are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bnfuse.verifying.truth import spatial

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NETS", "Writer"]

Array = np.ndarray[Any, Any]


@dataclass
class Writer:
    """Writes a graph and runs its calibration batch in float64 beside it.

    Attributes:
        seed: Of every weight.
        fold: ``none``, ``float64`` or ``float32``: what the norms are folded in.
        eps: What the folded form uses, to seed a mistake; the plain form always uses 1e-5.
        use_scale: Whether the folded form keeps gamma, to seed a mistake.
    """

    seed: int
    fold: str = "none"
    eps: float = 1e-5
    use_scale: bool = True
    dtype: Any = np.float32
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    values: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.count = 0
        self.inner_count = 0

    def name(self, hint: str) -> str:
        self.count += 1
        return f"{hint}_{self.count}"

    def inner(self, hint: str) -> str:
        """A name that only this form of the net has."""
        self.inner_count += 1
        return f"{self.fold}_{hint}_{self.inner_count}"

    def constant(self, value: Array, hint: str) -> str:
        name = self.inner(hint)
        stored = value if value.dtype.kind in "iub" else value.astype(self.dtype)
        self.tensors.append(numpy_helper.from_array(np.asarray(stored), name))
        return name

    def input(self, name: str, shape: list[Any], calibration: Array) -> str:
        kind = TensorProto.INT64 if calibration.dtype.kind == "i" else self.kind
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.values[name] = calibration
        return name

    @property
    def kind(self) -> int:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)))

    def emit(self, op: str, inputs: list[str], out: str = "", **attributes: Any) -> str:
        out = out or self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def op(
        self,
        kind: str,
        inputs: list[str],
        value: Array | None = None,
        **attributes: Any,
    ) -> str:
        out = self.emit(kind, inputs, **attributes)
        if value is not None:
            self.values[out] = value
        return out

    def weights(self, *shape: int) -> Array:
        fan = int(np.prod(shape[1:]))
        drawn = self.rng.standard_normal(shape) * np.sqrt(2.0 / fan)
        return drawn.astype(self.dtype).astype(np.float64)

    def conv_norm(
        self,
        x: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
        spelling: str = "chain",
        transpose: bool = False,
        gain: float = 1.0,
    ) -> str:
        data = self.values[x]
        inputs = data.shape[1]
        if transpose:
            weight = self.weights(inputs, channels // group, kernel, kernel)
        else:
            weight = self.weights(channels, inputs // group, kernel, kernel)
        settings = {"strides": [stride] * 2, "pads": [pad] * 4, "group": group}
        run: Callable[..., Array] = spatial.conv_transpose if transpose else spatial.conv
        before = run(data, weight, **settings)
        norm = self._statistics(before, (0, 2, 3), channels, gain)
        op = "ConvTranspose" if transpose else "Conv"
        shape = (1, -1, 1, 1)
        out = self.name("normed")
        if self.fold == "none":
            before_norm = self.inner("conv")
            self.emit(op, [x, self.constant(weight, "w")], before_norm, **settings)
            self._norm(before_norm, norm, spelling, shape, out)
        else:
            scale, shift = self._folded(norm)
            rows = (1, -1, 1, 1) if transpose else (-1, 1, 1, 1)
            kind = np.float64 if self.fold == "float64" else np.float32
            scaled = weight.astype(kind) * scale.reshape(rows)
            constants = [self.constant(scaled, "w"), self.constant(shift, "b")]
            self.emit(op, [x, *constants], out, **settings)
        mean, var, gamma, beta = norm
        slope = gamma / np.sqrt(var + 1e-5)
        self.values[out] = before * slope.reshape(shape) + (beta - mean * slope).reshape(shape)
        return out

    def linear_norm(self, x: str, features: int, spelling: str = "chain") -> str:
        data = self.values[x]
        weight = self.weights(features, data.shape[1]).T
        before = data @ weight
        norm = self._statistics(before, (0,), features)
        out = self.name("normed")
        if self.fold == "none":
            before_norm = self.inner("matmul")
            self.emit("MatMul", [x, self.constant(weight, "w")], before_norm)
            self._norm(before_norm, norm, spelling, (1, -1), out)
        else:
            scale, shift = self._folded(norm)
            kind = np.float64 if self.fold == "float64" else np.float32
            scaled = weight.astype(kind) * scale
            constants = [self.constant(scaled, "w"), self.constant(shift, "b")]
            self.emit("Gemm", [x, *constants], out)
        mean, var, gamma, beta = norm
        slope = gamma / np.sqrt(var + 1e-5)
        self.values[out] = (before - mean) * slope + beta
        return out

    def linear(self, x: str, features: int, size: float = 1.0) -> str:
        data = self.values[x]
        weight, bias = self.weights(data.shape[1], features) * size, self.weights(features, 1)[:, 0]
        bias = bias * size
        inputs = [x, self.constant(weight, "w"), self.constant(bias, "b")]
        return self.op("Gemm", inputs, data @ weight + bias)

    def relu(self, x: str) -> str:
        return self.op("Relu", [x], np.maximum(self.values[x], 0))

    def clip6(self, x: str) -> str:
        bounds = [self.constant(np.array(0.0), "low"), self.constant(np.array(6.0), "high")]
        return self.op("Clip", [x, *bounds], np.clip(self.values[x], 0, 6))

    def pooled(self, x: str) -> str:
        flat = self.op("GlobalAveragePool", [x])
        return self.op("Flatten", [flat], self.values[x].mean(axis=(2, 3)))

    def output(self, value: str, name: str, shape: list[Any], kind: int = 0) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, kind or self.kind, shape))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def _statistics(
        self, before: Array, axes: tuple[int, ...], channels: int, gain: float = 1.0
    ) -> tuple[Array, Array, Array, Array]:
        def stored(value: Array) -> Array:
            return value.astype(self.dtype).astype(np.float64)

        jitter = self.rng.standard_normal((4, channels))
        return (
            stored(before.mean(axis=axes) + 0.1 * before.std(axis=axes) * jitter[0]),
            stored(before.var(axis=axes) * np.exp(0.2 * jitter[1])),
            stored(gain * (1.0 + 0.2 * jitter[2])),
            stored(0.3 * jitter[3]),
        )

    def _folded(self, norm: tuple[Array, ...]) -> tuple[Array, Array]:
        kind = np.float64 if self.fold == "float64" else np.float32
        mean, var, gamma, beta = (value.astype(kind) for value in norm)
        if not self.use_scale:
            gamma = np.ones_like(gamma)
        scale = gamma / np.sqrt(var + kind(self.eps))
        return scale, beta - mean * scale

    def _norm(
        self,
        x: str,
        norm: tuple[Array, ...],
        spelling: str,
        shape: tuple[int, ...],
        out: str,
    ) -> None:
        mean, var, gamma, beta = norm
        if spelling == "stock":
            names = [self.constant(value, "norm") for value in (gamma, beta, mean, var)]
            self.emit("BatchNormalization", [x, *names], out, epsilon=1e-5)
            return
        shaped = [value.reshape(shape) for value in norm]
        std = np.sqrt((shaped[1] + 1e-5).astype(self.dtype))
        steps = (("Sub", shaped[0]), ("Div", std), ("Mul", shaped[2]), ("Add", shaped[3]))
        for op, constant in steps:
            result = out if op == "Add" else self.inner(op.lower())
            x = self.emit(op, [x, self.constant(constant, op.lower())], result)


def cnn(write: Writer) -> None:
    """Conv, depthwise and strided, with norms in two spellings; one pooled classifier."""
    x = write.input("image", ["N", 3, 16, 16], write.rng.standard_normal((16, 3, 16, 16)))
    h = write.relu(write.conv_norm(x, 16, 3, pad=1))
    h = write.clip6(write.conv_norm(h, 32, 3, stride=2, pad=1, spelling="stock", gain=4.0))
    h = write.relu(write.conv_norm(h, 32, 3, pad=1, group=32))
    h = write.relu(write.conv_norm(h, 32, 1, spelling="stock"))
    write.output(write.linear(write.pooled(h), 10), "logits", ["N", 10])


def mlp(write: Writer, depth: int = 12, width: int = 48) -> None:
    """A deep stack of MatMul, norm and Relu, which carries rounding on and enlarges it."""
    h = write.input("features", ["N", width], write.rng.standard_normal((64, width)))
    for _ in range(depth):
        h = write.relu(write.linear_norm(h, width))
    write.output(write.linear(h, 10), "logits", ["N", 10])


def deep_mlp(write: Writer) -> None:
    """A hundred layers."""
    mlp(write, depth=100, width=64)


def text(write: Writer) -> None:
    """Token ids into a table, averaged, classified: probabilities and the best class."""
    ids = write.rng.integers(0, 50, (64, 7))
    x = write.input("ids", ["N", "L"], ids)
    table = write.weights(50, 24) * 3
    words = write.emit("Gather", [write.constant(table, "table"), x])
    axes = write.constant(np.array([1]), "axes")
    mean = write.op("ReduceMean", [words, axes], table[ids].mean(axis=1), keepdims=0)
    h = write.relu(write.linear_norm(mean, 32))
    h = write.relu(write.linear_norm(h, 32, spelling="stock"))
    logits = write.linear(h, 6)
    write.output(write.emit("Softmax", [logits], axis=-1), "probabilities", ["N", 6])
    best = write.emit("ArgMax", [logits], axis=1, keepdims=0)
    write.output(best, "label", ["N"], TensorProto.INT64)


def heads(write: Writer) -> None:
    """A feature map, outputs of size 1e-6, and a mask, from one trunk."""
    x = write.input("image", ["N", 4, 12, 12], write.rng.standard_normal((16, 4, 12, 12)))
    trunk = write.relu(write.conv_norm(x, 12, 3, pad=1))
    grown = write.relu(write.conv_norm(trunk, 8, 2, stride=2, transpose=True))
    features = write.conv_norm(grown, 6, 3, pad=1, spelling="stock")
    write.output(features, "features", ["N", 6, 24, 24])
    write.output(write.linear(write.pooled(trunk), 5, size=1e-6), "tiny", ["N", 5])
    zero = write.constant(np.array(0.0), "zero")
    mask = write.emit("Greater", [features, zero])
    write.output(mask, "mask", ["N", 6, 24, 24], TensorProto.BOOL)


def attention(write: Writer) -> None:
    """Normed projections, a softmax over their products, and a GELU written with Erf."""
    x = write.input("tokens", ["N", 16], write.rng.standard_normal((32, 16)))
    query, key, value = (write.linear_norm(x, 16) for _ in range(3))
    turned = write.emit("Transpose", [key], perm=[1, 0])
    quarter = write.constant(np.array(0.25), "quarter")
    scores = write.emit("Mul", [write.emit("MatMul", [query, turned]), quarter])
    mixed = write.emit("MatMul", [write.emit("Softmax", [scores], axis=-1), value])
    root = write.constant(np.array(np.sqrt(0.5)), "root")
    half = write.constant(np.array(0.5), "half")
    one = write.constant(np.array(1.0), "one")
    bent = write.emit("Add", [write.emit("Erf", [write.emit("Mul", [mixed, root])]), one])
    gelu = write.emit("Mul", [write.emit("Mul", [mixed, bent]), half])
    write.values[gelu] = write.rng.standard_normal((32, 16))
    write.output(write.linear_norm(gelu, 8), "out", ["N", 8])


def _build(net: Callable[[Writer], None], dtype: Any = np.float32) -> Callable[..., Any]:
    def build(seed: int, fold: str = "none", **options: Any) -> onnx.ModelProto:
        write = Writer(seed, fold, dtype=dtype, **options)
        net(write)
        return write.model()

    return build


NETS: dict[str, Callable[..., onnx.ModelProto]] = {
    "cnn": _build(cnn),
    "mlp": _build(mlp),
    "text": _build(text),
    "heads": _build(heads),
    "attention": _build(attention),
    "half": _build(cnn, np.float16),
    "deep": _build(deep_mlp),
}
"""Builders by name: ``NETS[name](seed, fold="none" | "float64" | "float32")``."""
