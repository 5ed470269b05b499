"""The smallest graphs in which gauges fold more than the search, and one where they fold less."""

from __future__ import annotations

__all__ = ["MINIMAL"]

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx
    from graphs import Net


def _model(net: Net, *outputs: str) -> onnx.ModelProto:
    model: onnx.ModelProto = net.model(*outputs)
    return model


def _split(net: Net) -> onnx.ModelProto:
    x = net.op("MatMul", net.input(["N", 4, 6]), net.param(6, 5))
    first, second = net.ops("Split", x, count=2, axis=1, num_outputs=2)
    y = net.op("Softsign", net.norm(first, 5, 0))
    return _model(net, y, net.op("MatMul", second, net.param(5, 3)))


def _concat(net: Net) -> onnx.ModelProto:
    x = net.input(["N", 4, 6])
    first = net.op("MatMul", x, net.param(6, 5))
    second = net.op("MatMul", net.op("Softsign", x), net.param(6, 5))
    joined = net.op("Concat", first, second, axis=1)
    y = net.op("Softsign", net.norm(first, 5, 0))
    return _model(net, y, net.op("MatMul", joined, net.param(5, 2)))


def _twice(net: Net) -> onnx.ModelProto:
    x = net.op("MatMul", net.input(["N", 6]), net.param(6, 5))
    return _model(net, net.op("Softsign", net.norm(net.op("Add", x, x), 5, 0)))


def _selected(net: Net) -> onnx.ModelProto:
    x = net.op("Flatten", net.conv(net.input(["N", 3, 2, 2]), 3, 4, (1, 1)))
    y = net.op("Gather", x, net.ints(0, 5, 10), axis=1)
    return _model(net, net.op("Softsign", net.norm(y, 3, 0)))


def _zero(net: Net) -> onnx.ModelProto:
    x = net.conv(net.input(["N", 3, 4, 4]), 3, 4)
    gamma = net.const(np.array([1.0, 0.0, 2.0, 0.5]).reshape(4, 1, 1))
    return _model(
        net, net.op("Softsign", net.op("Add", net.op("Mul", x, gamma), net.param(4, 1, 1)))
    )


MINIMAL: dict[str, Callable[[Net], onnx.ModelProto]] = {
    "Split along another axis": _split,
    "Concat along another axis": _concat,
    "x + x": _twice,
    "some positions of a Flatten": _selected,
    "a gamma of 0": _zero,
}
