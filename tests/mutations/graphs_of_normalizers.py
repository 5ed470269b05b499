"""Graphs that are right only if what a normaliser ends with is read, given and added to rightly."""

from __future__ import annotations

import numpy as np
from graphs import EPSILON, Net
from mutation_registry import graph, quiet, scale


def _pair(net: Net) -> tuple[str, str]:
    return net.param(4), net.param(4)


@graph(2, 4, 4)
def a_normaliser_that_gives(net: Net, x: str) -> tuple[str, ...]:
    y = net.op("LayerNormalization", x, *_pair(net), epsilon=EPSILON)
    product = net.op("Add", net.op("MatMul", y, net.param(4, 4)), net.param(4))
    return product, quiet(net, net.conv(y, 4, 4, (1,)))


@graph(2, 4, 4)
def a_normaliser_that_several_read(net: Net, x: str) -> tuple[str, ...]:
    y = net.op("LayerNormalization", x, *_pair(net), epsilon=EPSILON)
    products = [
        net.op("Add", net.op("MatMul", y, net.param(4, n)), net.param(n)) for n in (4, 2, 4)
    ]
    return tuple(products)


@graph(2, 4, 4, 4)
def a_normaliser_that_takes(net: Net, x: str) -> str:
    y = net.op("InstanceNormalization", x, *_pair(net), epsilon=EPSILON)
    return quiet(net, net.norm(net.op("Transpose", y, perm=[0, 2, 3, 1]), 4, 0))


@graph(2, 4, 4)
def a_normaliser_and_a_norm_that_go_on_together(net: Net, x: str) -> str:
    y = net.norm(net.op("LayerNormalization", x, *_pair(net), epsilon=EPSILON), 4, 0)
    return net.op("Add", net.op("MatMul", y, net.param(4, 4)), net.param(4))


@graph(2, 4, 4)
def a_normaliser_and_a_norm_along_another_axis(net: Net, x: str) -> str:
    y = net.op("LayerNormalization", x, *_pair(net), epsilon=EPSILON)
    return quiet(net, net.batch_norm(y, 4))


@graph(2, 4, 4)
def a_normaliser_of_groups(net: Net, x: str) -> tuple[str, ...]:
    first, second = (
        net.op("GroupNormalization", x, net.param(2), net.param(2), num_groups=2, epsilon=EPSILON)
        for _ in range(2)
    )
    return net.conv(first, 4, 4, (1,)), quiet(net, scale(net, second, 4, 1))


@graph(2, 4, 4)
def a_normaliser_over_several_axes(net: Net, x: str) -> str:
    parameters = net.param(4, 4), net.param(4, 4)
    y = net.op("LayerNormalization", x, *parameters, axis=1, epsilon=EPSILON)
    return net.op("Add", net.op("MatMul", y, net.param(4, 4)), net.param(4))


@graph(2, 4, 4)
def the_statistics_of_a_normaliser(net: Net, x: str) -> tuple[str, ...]:
    y, mean = net.ops("LayerNormalization", x, net.param(4), count=2, epsilon=EPSILON)
    return quiet(net, y), quiet(net, net.op("Mul", mean, net.const(np.float64(3.0))))


@graph(2, 4, 4)
def a_norm_behind_a_normaliser_in_elementary_ops(net: Net, x: str) -> str:
    square = net.op("ReduceMean", net.op("Pow", x, net.scalar(2.0)), net.ints(-1))
    y = net.op("Div", x, net.op("Sqrt", net.op("Add", square, net.scalar(1e-3))))
    return quiet(net, net.norm(net.op("Add", scale(net, y, 4), net.param(4)), 4, 0))
