"""Graphs that are right only if linear maps become one as their identities say."""

from __future__ import annotations

import numpy as np
from graphs import Net
from mutation_registry import graph, quiet


@graph(2, 4, 6, 6)
def parallel_branches(net: Net, x: str) -> tuple[str, ...]:
    three = net.conv(x, 4, 4, pads=[1] * 4, bias=True)
    one = net.conv(x, 4, 4, (1, 1), bias=True)
    bar = net.conv(x, 4, 4, (1, 3), pads=[0, 1, 0, 1], group=2)
    return net.op("Sum", three, one, bar, net.batch_norm(x, 4)), quiet(net, x)


@graph(2, 4, 6, 6)
def parallel_branches_off_centre(net: Net, x: str) -> str:
    down = net.conv(x, 4, 4, (2, 2), pads=[1, 1, 0, 0])
    return net.op("Add", down, net.conv(x, 4, 4, pads=[1] * 4))


@graph(2, 4, 6, 6)
def parallel_branches_that_reach_to_other_sides(net: Net, x: str) -> str:
    before = net.conv(x, 4, 4, (6, 1), pads=[5, 0, 0, 0])
    behind = net.conv(x, 4, 4, (6, 1), pads=[4, 0, 1, 0])
    return net.op("Add", net.op("Add", before, behind), net.conv(x, 4, 4, (1, 1)))


@graph(2, 4, 6, 6)
def the_input_twice(net: Net, x: str) -> str:
    return net.op("Sum", x, net.conv(x, 4, 4, (1, 1)), x)


@graph(2, 4, 6, 6)
def a_branch_that_is_read(net: Net, x: str) -> tuple[str, ...]:
    one = net.conv(x, 4, 4, (1, 1))
    return net.op("Add", one, net.conv(x, 4, 4, (1, 1))), quiet(net, one)


@graph(2, 4, 5, 5)
def strides_that_differ(net: Net, x: str) -> str:
    pooled = net.op("GlobalAveragePool", x)
    strided = net.conv(pooled, 4, 4, (1, 1), strides=[2, 2])
    return net.op("Add", strided, net.conv(pooled, 4, 4, (1, 1)))


@graph(2, 4, 1, 1)
def margins_that_differ(net: Net, x: str) -> str:
    grown = net.conv(x, 4, 4, pads=[2] * 4)
    return net.op("Add", grown, net.conv(x, 4, 4, pads=[1] * 4))


@graph(2, 4, 7, 7)
def sequences(net: Net, x: str) -> tuple[str, ...]:
    one = net.conv(x, 4, 4, (1, 1), strides=[2, 1])
    down = net.conv(x, 4, 8, pads=[1] * 4, strides=[2, 2], bias=True)
    return (
        net.conv(one, 4, 4, pads=[1, 1, 1, 0]),
        net.conv(down, 8, 4, (1, 1), strides=[2, 2]),
        net.conv(net.conv(x, 4, 16, (1, 1), group=4, bias=True), 16, 4, group=2),
        net.conv(net.conv(x, 4, 16, (1, 1), group=2), 16, 4, group=4),
    )


@graph(2, 4, 7, 7)
def sequences_whose_border_is_no_zero(net: Net, x: str) -> tuple[str, ...]:
    one = net.conv(x, 4, 4, (1, 1), bias=True)
    before = net.conv(x, 1 * 4, 64, (2, 1), pads=[0, 0, 1, 0])
    behind = net.conv(x, 1 * 4, 64, (2, 1), pads=[1, 0, 0, 0])
    return (
        net.conv(one, 4, 4, pads=[1] * 4),
        net.conv(before, 64, 1, (2, 1), pads=[1, 0, 0, 0]),
        net.conv(behind, 64, 1, (2, 1), pads=[0, 0, 1, 0]),
    )


@graph(2, 4, 7, 7)
def a_middle_that_is_read(net: Net, x: str) -> tuple[str, ...]:
    first, second = (net.conv(x, 4, 4, (1, 1)) for _ in range(2))
    return net.conv(first, 4, 4), quiet(net, first), net.conv(second, 4, 4), second


@graph(4, 4)
def products_in_a_row(net: Net, x: str) -> tuple[str, ...]:
    right = net.op("Add", net.op("MatMul", x, net.param(4, 6)), net.param(6))
    left = net.op("MatMul", net.param(4, 4), net.op("MatMul", net.param(4, 4), x))
    mixed = net.op("MatMul", net.op("MatMul", net.param(4, 4), x), net.param(4, 4))
    turned = net.op("Gemm", x, net.param(4, 4), net.param(4), transA=1)
    return (
        net.op("MatMul", right, net.param(6, 4)),
        left,
        mixed,
        net.op("Gemm", turned, net.param(4, 4), alpha=0.5),
    )


@graph(2, 4, 7, 7)
def averages(net: Net, x: str) -> tuple[str, ...]:
    padded = {"kernel_shape": [3, 3], "pads": [1] * 4}
    counted = net.op("AveragePool", net.conv(x, 4, 4, (1, 1)), count_include_pad=1, **padded)
    ignored = net.op("AveragePool", x, **padded)
    return (
        net.op("Add", counted, net.conv(x, 4, 4, pads=[1] * 4)),
        net.op("Add", ignored, net.conv(x, 4, 4, pads=[1] * 4)),
    )


@graph(2, 4, 3, 3)
def an_average_that_hangs_over_the_end(net: Net, x: str) -> str:
    hanging = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return net.op("Add", hanging, net.conv(x, 4, 4, (2, 2), strides=[2, 2]))


@graph(2, 4, 4, 4)
def borders(net: Net, x: str) -> tuple[str, ...]:
    around = net.ints(0, 0, 1, 2, 0, 0, 0, 1)
    y = quiet(net, x)
    zeros = net.op("Pad", y, around)
    ones = net.op("Pad", y, around, net.scalar(1.0))
    channels = net.op("Pad", y, net.ints(0, 1, 0, 0, 0, 0, 0, 0))
    rows = net.op("Pad", y, net.ints(1, 2, 0, 1), "", net.ints(-1, 2))
    given = net.op("Pad", y, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return (
        net.conv(zeros, 4, 4),
        quiet(net, zeros),
        net.conv(ones, 4, 4),
        net.conv(channels, 5, 4),
        net.conv(rows, 4, 4),
        net.conv(given, 4, 4),
        given,
    )


@graph("N", 4, 5)
def constants_that_expand_to_what_is_read(net: Net, x: str) -> tuple[str, ...]:
    y = quiet(net, x)
    expanded = net.op("Expand", net.param(4, 1, low=0.5), net.op("Shape", y))
    left = net.op("Div", net.op("Sub", y, expanded), expanded)
    return quiet(net, left), quiet(net, net.op("Abs", y))


HALF = {"weight": (2e2, 2e2, 0.0), "bias": (1e2, 1e2, 3e3), "channel": (1e-4, 1e-4, 0.0)}


def half(what: str) -> Net:
    """Two convolutions in half precision whose product does not fit."""
    net = Net(dtype=np.float16)
    first, second, bias = HALF[what]
    weights = [net.const(np.full((4, 4, 1, 1), n, np.float16)) for n in (first, second)]
    h = net.op("Conv", net.input([2, 4, 5, 5]), weights[0], net.const(np.full(4, bias, np.float16)))
    net.op("Conv", h, weights[1])
    return net


def _bars(net: Net) -> tuple[str, ...]:
    x = net.input([2, 4, 7, 7])
    tall = net.conv(x, 4, 4, (3, 1), pads=[1, 0, 1, 0])
    return (net.op("Add", tall, net.conv(x, 4, 4, (1, 3), pads=[0, 1, 0, 1])),)


def _bottleneck(net: Net) -> tuple[str, ...]:
    return (net.conv(net.conv(net.input([2, 16, 7, 7]), 16, 2, (1, 1)), 2, 16),)


def _large_kernel_after_a_stride(net: Net) -> tuple[str, ...]:
    """Fewer FLOPs as one, and more bytes."""
    h = net.conv(net.input([2, 8, 12, 12]), 8, 8, (2, 2))
    return (net.conv(h, 8, 8, (3, 3), strides=[3, 3]),)


def _shared_weight(net: Net) -> tuple[str, ...]:
    weight, towers = net.param(4, 4, 3, 3), [net.input([2, 4, 6, 6], name) for name in "xz"]
    first = net.op("Conv", net.conv(towers[0], 4, 4, (1, 1)), weight)
    return first, net.op("Conv", net.op("Sigmoid", towers[1]), weight)


def _on_positions_that_are_skipped(net: Net) -> tuple[str, ...]:
    """The first runs on four positions for each that is kept."""
    x = net.input([2, 8, 8, 8])
    narrow = net.conv(net.conv(x, 8, 3, (1, 1)), 3, 8, (2, 2), strides=[2, 2], pads=[0, 0, 1, 1])
    return (net.op("Add", narrow, net.conv(x, 8, 8, (1, 1), strides=[2, 2])),)


DEARER = (
    (_bars, ["Conv", "Conv", "Add"]),
    (_bottleneck, ["Conv", "Conv"]),
    (_large_kernel_after_a_stride, ["Conv", "Conv"]),
    (_shared_weight, ["Conv", "Conv", "Conv", "Sigmoid"]),
    (_on_positions_that_are_skipped, ["Conv"]),
)
"""Graphs, and the ops that are cheapest."""
