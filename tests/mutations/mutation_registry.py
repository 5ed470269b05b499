"""What the graphs of the mutation check are registered in, and the ends they share."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from graphs import Net

Build = Callable[[Net, str], str | tuple[str, ...]]
GRAPHS: list[tuple[list[int | str], Build]] = []


def graph(*shape: int | str) -> Callable[[Build], Build]:
    """Register a graph of one input of this shape."""

    def register(build: Build) -> Build:
        GRAPHS.append((list(shape), build))
        return build

    return register


def model_of(shape: list[int | str], build: Build) -> onnx.ModelProto:
    """The model of a registered graph."""
    net = Net(seed=len(build.__name__))
    made = build(net, net.input(shape))
    return net.model(*((made,) if isinstance(made, str) else made))


def quiet(net: Net, y: str) -> str:
    """An end that takes nothing."""
    return net.op("Softsign", y)


def scale(net: Net, y: str, *shape: int) -> str:
    """A product with a constant."""
    return net.op("Mul", y, net.param(*shape))


def shift(net: Net, y: str, *shape: int) -> str:
    """A sum with a constant."""
    return net.op("Add", y, net.param(*shape))
