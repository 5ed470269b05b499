"""Random residual streams: values that several norms read and several branches add to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from random_linear import batch_norm, conv1
from random_shapes import IMAGE, Channels, Made, Makers, Shape

if TYPE_CHECKING:
    from random_graphs import RandomNet


def _stream(r: RandomNet, x: str, shape: Shape) -> Made:
    """One to three branches, each a norm, an activation or none, and a convolution."""
    channels, rank = int(shape[1]), len(shape) - 2
    stream = conv1(r, x, shape) if r.number(3) else x
    for _ in range(1 + r.number(3)):
        branch = stream
        if r.number(4):
            branch = _norm(r, branch, channels, rank)
        branch = _activated(r, branch)
        kernel = 1 + 2 * r.number(2)
        pads = [kernel // 2] * (2 * rank)
        branch = r.net.conv(branch, channels, channels, (kernel,) * rank, pads=pads)
        if not r.number(3):
            branch = _norm(r, _activated(r, branch), channels, rank)
        stream = r.net.op(("Add", "Sub", "Sum")[r.number(3)], stream, branch)
    return _norm(r, stream, channels, rank), [shape[0], Channels(channels), *shape[2:]]


def _dense(r: RandomNet, x: str, shape: Shape) -> Made:
    """Every layer reads all before it through a norm of its own."""
    channels, rank = int(shape[1]), len(shape) - 2
    joined, width = conv1(r, x, shape), channels
    for _ in range(1 + r.number(2)):
        layer = _activated(r, _norm(r, joined, width, rank))
        layer = r.net.conv(layer, width, channels, (1,) * rank)
        joined, width = r.net.op("Concat", joined, layer, axis=1), width + channels
    return joined, [shape[0], Channels(width), *shape[2:]]


def _norm(r: RandomNet, x: str, channels: int, rank: int) -> str:
    if not r.number(3):
        return batch_norm(r, x, [1, channels, *[1] * rank])[0]
    return r.net.norm(x, channels, rank, positive=bool(r.number(4)))


def _activated(r: RandomNet, x: str) -> str:
    op_type = ("Relu", "Relu", "LeakyRelu", "Softsign", "")[r.number(5)]
    return r.net.op(op_type, x) if op_type else x


STREAMS: Makers = ((_stream, IMAGE), (_dense, IMAGE))
