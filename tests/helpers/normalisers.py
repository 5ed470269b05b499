"""Normalisers with a scale and a shift of their own, and what reads them."""

from __future__ import annotations

from graphs import Net

CHANNELS = 4


def normalise(net: Net, x: str, kind: str = "LayerNormalization", **attributes) -> str:
    """A normaliser with constants of its own over four channels."""
    if kind == "GroupNormalization":
        attributes.setdefault("num_groups", 2)
    parameters = [net.param(CHANNELS)]
    if kind != "RMSNormalization":
        parameters.append(net.param(CHANNELS))
    return net.op(kind, x, *parameters, name="normaliser", **attributes)


def linear(net: Net, x: str, outputs: int = 4) -> str:
    """``nn.Linear`` as it is exported for more than two axes."""
    return net.op("Add", net.op("MatMul", x, net.param(CHANNELS, outputs)), net.param(outputs))


def untouched(result) -> None:
    """The very nodes and constants of the model."""
    assert result.after.graph.node == result.before.graph.node
    assert sorted(t.name for t in result.after.graph.initializer) == sorted(
        t.name for t in result.before.graph.initializer
    )
