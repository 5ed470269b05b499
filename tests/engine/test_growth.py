"""Work grows with the graph and not with its square: calls are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import Net

from bnfuse.folding import fold
from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.lowering import lower
from bnfuse.onnxfiles.size import model_bytes


def chain(count: int) -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    x = net.input(["N", 4, 8, 8])
    for _ in range(count):
        x = net.op("Relu", net.norm(net.conv(x, 4, 4, (1, 1)), 4, 2))
    return net.model(x)


def residual(count: int) -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    x = net.conv(net.input(["N", 4, 8, 8]), 4, 4, (1, 1))
    for _ in range(count):
        y = net.op("Relu", net.norm(x, 4, 2))
        x = net.op("Add", x, net.norm(net.conv(y, 4, 4, (1, 1)), 4, 2))
    return net.model(x)


def stream(count: int, activation: str, *, positive: bool) -> onnx.ModelProto:
    """Norms that only the stream holds: local plans, or searches that end in a refusal."""
    net = Net(dtype=np.float32)
    x = net.conv(net.input(["N", 4, 8, 8]), 4, 4, (1, 1))
    for _ in range(count):
        y = net.op(activation, net.norm(x, 4, 2, positive=positive))
        x = net.op("Add", x, net.conv(y, 4, 4, (1, 1)))
    return net.model(x)


def concat(count: int) -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    x = net.input(["N", 4, 8, 8])
    parts = [net.conv(x, 4, 4, (1, 1)) for _ in range(count)]
    joined = net.op("Concat", *parts, axis=1)
    return net.model(net.op("Relu", net.norm(joined, 4 * count, 2)))


def calls(work: Callable[[], Any]) -> int:
    """How many functions, Python's and C's, are called by ``work``."""
    count = 0

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        del frame, argument
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def fold_all(model: ir.Model) -> None:
    prepare(model)
    fold(lift(model))
    lower(model, lazily=True)
    model_bytes(model)


STREAMS = [
    pytest.param(partial(stream, activation=name, positive=positive), id=f"{name}-{positive}")
    for name in ("Relu", "Softsign")
    for positive in (True, False)
]


@pytest.mark.parametrize("make", [chain, residual, concat, *STREAMS])
def test_twice_the_graph_is_twice_the_work(make: Callable[[int], onnx.ModelProto]) -> None:
    models = [ir.serde.deserialize_model(make(size)) for size in (20, 40, 80)]
    counts = [calls(partial(fold_all, model)) for model in models]
    # Of equal steps in the size, neither may cost more than a linear growth explains.
    first, second = counts[1] - counts[0], (counts[2] - counts[1]) / 2
    assert second < 1.1 * first
