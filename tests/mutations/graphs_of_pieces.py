"""Graphs that are right only if what is put together from pieces is read as it is."""

from __future__ import annotations

import numpy as np
from graphs import Net
from mutation_registry import graph, quiet, scale

C = 4
LAST = 2**63 - 1
CYCLE = [1, 2, 3, 0]


def _channel(net: Net, x: str, channel: int) -> str:
    picked = net.op("Gather", x, net.const(np.int64(channel)), axis=1)
    return net.op("Add", net.op("Mul", picked, net.param()), net.param())


def _written_over(net: Net, x: str, channel: int, part: str, reduction: str = "none") -> str:
    column = net.op("Unsqueeze", part, net.ints(1))
    places = net.op("Expand", net.const(np.int64(channel)), net.op("Shape", column))
    return net.op("ScatterElements", x, places, column, axis=1, reduction=reduction)


@graph("N", C, 3, 3)
def loops_over_channels(net: Net, x: str) -> tuple[str, ...]:
    stacked = {}
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        conv = net.conv(x, C, C, (1, 1))
        parts = [net.op("Unsqueeze", _channel(net, conv, c), net.ints(1)) for c in order]
        stacked[order] = quiet(net, net.op("Concat", *parts, axis=1))
    conv = y = net.conv(x, C, C, (1, 1))
    for channel in (2, 1):
        y = _written_over(net, y, channel, _channel(net, conv, channel))
    twice = _written_over(net, conv, 2, _channel(net, conv, 0))
    added = _written_over(net, conv, 1, _channel(net, conv, 1), "add")
    return (*stacked.values(), *(quiet(net, made) for made in (y, twice, added)))


@graph(2, C, 1, 3)
def channels_written_in_several_places(net: Net, x: str) -> str:
    conv = net.conv(x, C, C, (1, 1))
    part = net.op("Unsqueeze", _channel(net, conv, 1), net.ints(1))
    places = net.const(np.array([1, 2, 1, 3, 1, 1]).reshape(2, 1, 1, 3))
    return quiet(net, net.op("ScatterElements", conv, places, part, axis=1))


@graph("N", C, 3, 3)
def choices_and_differences(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, C, C, (1, 1))
    turned = net.op("Gather", conv, net.ints(*CYCLE), axis=1)
    mask = net.const(np.array([True, False, False, True]).reshape(C, 1, 1))
    chosen = net.op("Where", mask, net.norm(conv, C, 2), scale(net, conv, C, 1, 1))
    moved = net.op("Where", mask, conv, scale(net, turned, C, 1, 1))
    less = net.op("Sub", net.norm(conv, C, 2), scale(net, conv, C, 1, 1))
    return tuple(quiet(net, y) for y in (chosen, moved, less))


@graph("N", C, 3, 3)
def sparse_matrices(net: Net, x: str) -> tuple[str, ...]:
    diagonal = np.diag(net.floats(C, low=0.3))
    mixing = diagonal + np.eye(C, k=1) * np.array([0.0, 1.0, 0.0, 0.0])[:, None]
    found = []
    swapped = diagonal[[1, 0, 2, 3]]
    for matrix, letters in ((diagonal, "cd"), (mixing, "dc"), (swapped, "cd")):
        conv = net.conv(x, C, C, (1, 1))
        y = net.op("Einsum", conv, net.const(matrix), equation=f"nchw,{letters}->ndhw")
        found.append(quiet(net, y))
    for back in (CYCLE, [3, 0, 1, 2]):
        conv = net.conv(x, C, C, (1, 1))
        y = net.op("Einsum", conv, net.const(diagonal[CYCLE]), equation="nchw,dc->ndhw")
        y = net.op("Gather", y, net.ints(*back), axis=1)
        found.append(quiet(net, net.op("Sub", y, scale(net, conv, C, 1, 1))))
    return tuple(found)


@graph("N", C, 3, 3)
def ops_that_look_as_if_they_did_nothing(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, C, C, (1, 1))
    rows = [(1, LAST, 0, 1), (0, 2, 0, 1), (0, LAST, 2, 2)]
    cut = [net.op("Slice", conv, *(net.ints(n) for n in row)) for row in rows]
    training = net.const(np.array(False))
    chosen = net.op("Where", training, net.op("Softsign", conv), conv)
    some = net.op("Where", net.const(np.eye(3) == 1), net.op("Softsign", conv), conv)
    count = net.op("Gather", net.op("Shape", conv), net.const(np.int64(0)), axis=0)
    last = net.op("Sub", count, net.const(np.int64(1)))
    down = net.op("Range", last, net.const(np.int64(-1)), net.const(np.int64(-1)))
    turned = net.op("ScatterND", conv, net.op("Unsqueeze", down, net.ints(-1)), quiet(net, conv))
    return tuple(net.norm(y, C, 2) for y in (*cut, chosen, some, turned))


@graph(1, C, 3)
def a_matrix_repeated_for_more_samples_than_there_are(net: Net, x: str) -> str:
    return quiet(net, net.op("MatMul", net.op("Expand", net.param(C, C), net.ints(3, C, C)), x))
