"""Loops over the channels of a value, as PyTorch's exporter writes them."""

from __future__ import annotations

import numpy as np
from graphs import Net

LAST = 2**63 - 1


def one_channel(net: Net, x: str, channel: int) -> str:
    """``x[:, channel]`` as PyTorch's exporter writes it."""
    rows = net.op("Slice", x, net.ints(0), net.ints(LAST), net.ints(0), net.ints(1))
    return net.op("Gather", rows, net.const(np.int64(channel)), axis=1)


def scaled(net: Net, x: str) -> str:
    """A scale and a shift that are the same number wherever ``x`` is."""
    return net.op("Add", net.op("Mul", x, net.param(low=0.3)), net.param())


def stacked(net: Net, parts: list[str]) -> str:
    columns = [net.op("Unsqueeze", part, net.ints(1)) for part in parts]
    return net.op("Concat", *columns, axis=1)


def written_over(net: Net, y: str, channel: int, part: str) -> str:
    """``y[:, channel] = part`` as PyTorch's exporter writes it."""
    column = net.op("Unsqueeze", part, net.ints(1))
    places = net.op("Expand", net.const(np.int64(channel)), net.op("Shape", column))
    rows = net.op("Slice", y, net.ints(0), net.ints(LAST), net.ints(0), net.ints(1))
    written = net.op("ScatterElements", rows, places, column, axis=1)
    count = net.op("Gather", net.op("Shape", y), net.const(np.int64(0)), axis=0)
    every = net.op("Range", net.const(np.int64(0)), count, net.const(np.int64(1)))
    return net.op("ScatterND", y, net.op("Unsqueeze", every, net.ints(-1)), written)


def filled(net: Net, x: str, number: float) -> str:
    return net.op("Expand", net.const(np.float64(number)), net.op("Shape", x))
