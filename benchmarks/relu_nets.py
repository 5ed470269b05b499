"""Small nets with a scale and a shift next to a Relu, each family in all its equivalent forms.

With ``a > 0``: ``a·relu(z) + b = relu(a·z) + b = max(a·z + b, b)`` after a Relu, and
``relu(a·x + b) = a·relu(x + b/a) = a·max(x, -b/a) + b`` before it.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "Case", "build"]

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float64]

_LAYERS = 3
_OPSET = 18


@dataclass(frozen=True)
class Case:
    """The size of a net: all layers have the same."""

    channels: int
    size: int
    kernel: int

    def shape(self, family: str) -> tuple[int, ...]:
        """The input's: one image, or for ``conv1d`` one sequence of as many positions."""
        if family == "conv1d":
            return (1, self.channels, self.size * self.size)
        return (1, self.channels, self.size, self.size)

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)


@dataclass
class Net:
    """An ONNX graph in the making, from ``x`` onwards."""

    case: Case
    rank: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    last: str = "x"

    def op(
        self, op_type: str, *constants: Array, operands: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        """Append one op on the last value (or on ``operands``) and return its output."""
        names = [self._constant(value) for value in constants]
        output = f"v{len(self.nodes)}"
        inputs = [*(operands or (self.last,)), *names]
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        self.last = output
        return output

    def conv(self, weight: Array, bias: Array) -> str:
        """A convolution that keeps the size."""
        pad = weight.shape[-1] // 2
        return self.op("Conv", weight, bias, pads=[pad] * 2 * (self.rank - 2))

    def batch_norm(self, scale: Array, shift: Array) -> str:
        """``scale·x + shift`` in one op."""
        zero, one = np.zeros_like(scale), np.ones_like(scale)
        return self.op("BatchNormalization", scale, shift, zero, one, epsilon=0.0)

    def depthwise(self, scale: Array, shift: Array) -> str:
        """``scale·x + shift`` as a convolution of one tap."""
        weight = scale.reshape(-1, *[1] * (self.rank - 1))
        return self.op("Conv", weight, shift, group=len(scale))

    def channels(self, op_type: str, vector: Array) -> str:
        """An elementwise op with one constant a channel."""
        return self.op(op_type, vector.reshape(1, -1, *[1] * (self.rank - 2)))

    def model(self, shape: tuple[int, ...]) -> bytes:
        """The serialised model."""
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8
        )
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString())

    def _constant(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, np.float32)
        return name


@dataclass(frozen=True, eq=False)
class Layer:
    """The constants of one layer: a convolution, and the affine beside its Relu."""

    weight: Array
    bias: Array
    scale: Array
    shift: Array

    @classmethod
    def random(cls, case: Case, rank: int, rng: np.random.Generator) -> Layer:
        """Constants that keep activations near one."""
        c, taps = case.channels, (case.kernel,) * (rank - 2)
        deviation = (2 / (c * case.kernel ** len(taps))) ** 0.5
        return cls(
            rng.normal(0, deviation, (c, c, *taps)),
            rng.normal(0, 0.1, c),
            rng.uniform(0.5, 1.5, c),
            rng.normal(0, 0.3, c),
        )

    def rows(self, factor: Array) -> Array:
        """The weight with its output channels scaled."""
        return self.weight * factor.reshape(-1, *[1] * (self.weight.ndim - 1))

    def columns(self, factor: Array) -> Array:
        """The weight with its input channels scaled."""
        return self.weight * factor.reshape(1, -1, *[1] * (self.weight.ndim - 2))


Form = Callable[[Net, Layer], object]


def _relu_then(tail: Form) -> Form:
    def form(net: Net, layer: Layer) -> None:
        net.conv(layer.weight, layer.bias)
        net.op("Relu")
        tail(net, layer)

    return form


def _scaled_relu_then(tail: Form) -> Form:
    """The scale goes back through the Relu into the convolution; the shift stays."""

    def form(net: Net, layer: Layer) -> None:
        net.conv(layer.rows(layer.scale), layer.bias * layer.scale)
        net.op("Relu")
        tail(net, layer)

    return form


def _max(net: Net, layer: Layer) -> None:
    net.conv(layer.rows(layer.scale), layer.bias * layer.scale + layer.shift)
    net.channels("Max", layer.shift)


def _mul_add(net: Net, layer: Layer) -> None:
    net.channels("Mul", layer.scale)
    net.channels("Add", layer.shift)


def _nothing(net: Net, layer: Layer) -> None:
    del net, layer


_AFTER: dict[str, Form] = {
    "no affine": _relu_then(_nothing),
    "Relu Mul Add": _relu_then(_mul_add),
    "Relu BN": _relu_then(lambda n, p: n.batch_norm(p.scale, p.shift)),
    "Relu Conv1×1dw": _relu_then(lambda n, p: n.depthwise(p.scale, p.shift)),
    "Max": _max,
    "Relu Add": _scaled_relu_then(lambda n, p: n.channels("Add", p.shift)),
    "Relu BN(1,b)": _scaled_relu_then(lambda n, p: n.batch_norm(np.ones_like(p.shift), p.shift)),
}
"""Conv → Relu → affine, three times over."""


def _before(head: Form, tail: Form) -> Form:
    """A residual block: ``x + conv(relu(affine(x)))``."""

    def form(net: Net, layer: Layer) -> None:
        x = net.last
        head(net, layer)
        tail(net, layer)
        net.op("Add", operands=(x, net.last))

    return form


def _norm_relu(norm: Form) -> Form:
    def head(net: Net, layer: Layer) -> None:
        norm(net, layer)
        net.op("Relu")

    return head


def _plain_conv(net: Net, layer: Layer) -> None:
    net.conv(layer.weight, layer.bias)


def _scaled_conv(net: Net, layer: Layer) -> None:
    net.conv(layer.columns(layer.scale), layer.bias)


def _shifted_conv(net: Net, layer: Layer) -> None:
    """Takes scale and shift; exact without zero padding only."""
    carried = np.tensordot(
        layer.weight.sum(axis=tuple(range(2, layer.weight.ndim))), layer.shift, 1
    )
    net.conv(layer.columns(layer.scale), layer.bias + carried)


def _max_before(net: Net, layer: Layer) -> None:
    net.channels("Max", -layer.shift / layer.scale)


def _max_add_before(net: Net, layer: Layer) -> None:
    _max_before(net, layer)
    net.channels("Add", layer.shift / layer.scale)


_BEFORE: dict[str, Form] = {
    "no affine": _before(_norm_relu(_nothing), _plain_conv),
    "Mul Add Relu": _before(_norm_relu(_mul_add), _plain_conv),
    "BN Relu": _before(_norm_relu(lambda n, p: n.batch_norm(p.scale, p.shift)), _plain_conv),
    "Add Relu": _before(
        _norm_relu(lambda n, p: n.channels("Add", p.shift / p.scale)), _scaled_conv
    ),
    "BN(1,b) Relu": _before(
        _norm_relu(lambda n, p: n.batch_norm(np.ones_like(p.shift), p.shift / p.scale)),
        _scaled_conv,
    ),
    "Max Add": _before(_max_add_before, _scaled_conv),
    "Max": _before(_max_before, _shifted_conv),
}
"""x + conv(relu(affine(x))), three times over."""


def _scaled_sum(scale: Form) -> Form:
    """A scale that no weight can take: it follows a Relu whose input is a sum."""

    def form(net: Net, layer: Layer) -> None:
        x = net.last
        net.conv(layer.weight, layer.bias)
        net.op("Add", operands=(x, net.last))
        net.op("Relu")
        scale(net, layer)

    return form


_SCALE: dict[str, Form] = {
    "no affine": _scaled_sum(_nothing),
    "Mul": _scaled_sum(lambda n, p: n.channels("Mul", p.scale)),
    "BN(a,0)": _scaled_sum(lambda n, p: n.batch_norm(p.scale, np.zeros_like(p.scale))),
    "Conv1×1dw": _scaled_sum(lambda n, p: n.depthwise(p.scale, np.zeros_like(p.scale))),
}
"""relu(x + conv(x)) times a scale, three times over."""

_FORMS: dict[str, dict[str, Form]] = {
    "after": _AFTER,
    "before": _BEFORE,
    "scale": _SCALE,
    "conv1d": {name: form for name, form in _AFTER.items() if "dw" not in name},
}

FAMILIES = tuple(_FORMS)


def build(family: str, case: Case) -> dict[str, bytes]:
    """All forms of a family that are exact in this case; the first has no affine at all."""
    rank = len(case.shape(family))
    rng = np.random.default_rng(0)
    stem, *layers = (Layer.random(case, rank, rng) for _ in range(1 + _LAYERS))
    models = {}
    for name, form in _FORMS[family].items():
        if family == "before" and name == "Max" and case.kernel > 1:
            continue
        net = Net(case, rank)
        # As in a real net, where the blocked layout begins: at a convolution, not at the input.
        net.conv(stem.weight, stem.bias)
        for layer in layers:
            form(net, layer)
        models[name] = net.model(case.shape(family))
    return models
