"""Graphs that are right only if consumers, outputs and meeting affines are minded."""

from __future__ import annotations

import numpy as np
from graphs import Net
from mutation_registry import graph, quiet, scale, shift
from onnx import helper


@graph(2, 4, 4, 4)
def two_consumers(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    return net.norm(conv, 4, 2), quiet(net, conv)


@graph(2, 4, 4, 4)
def three_readers(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    return net.norm(conv, 4, 2), net.conv(conv, 4, 4), quiet(net, net.conv(conv, 4, 2, (1, 1)))


@graph(2, 4, 4, 4)
def a_stream_of_residuals(net: Net, x: str) -> str:
    stream = net.conv(x, 4, 4, (1, 1))
    for _ in range(2):
        normed = net.op("Relu", net.norm(stream, 4, 2, positive=True))
        stream = net.op("Add", stream, net.conv(normed, 4, 4, pads=[1, 1, 1, 1]))
    return quiet(net, net.conv(stream, 4, 4))


@graph(2, 4, 4, 4)
def a_scale_of_zero_beside_another_reader(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    gamma = net.const(np.array([1.0, 0.0, 2.0, 3.0]).reshape(4, 1, 1))
    return quiet(net, net.op("Mul", conv, gamma)), quiet(net, net.conv(conv, 4, 4))


@graph(2, 4, 4, 4)
def a_value_that_meets_itself(net: Net, x: str) -> str:
    conv = net.conv(x, 4, 4, (1, 1))
    summed = net.op("Add", conv, net.op("Relu", conv))
    return quiet(net, net.norm(summed, 4, 2, positive=True))


@graph(2, 4, 4, 4)
def a_scale_that_meets_what_it_scales(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    # As one op of its own kind it is no piece of the sum.
    still, unit = net.const(np.zeros(4)), net.const(np.ones(4))
    scaled = net.op("BatchNormalization", conv, net.param(4), still, still, unit)
    summed = net.op("Add", scaled, conv)
    return quiet(net, net.conv(summed, 4, 4)), quiet(net, net.conv(scaled, 4, 4))


@graph(2, 4, 4, 4)
def tapped_before_the_norm(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    return net.norm(conv, 4, 2), conv


@graph(2, 4, 4, 4)
def tapped_after_the_norm(net: Net, x: str) -> tuple[str, ...]:
    normed = net.norm(net.op("Tanh", x), 4, 2)
    return normed, net.conv(normed, 4, 4)


@graph(2, 4, 4, 4)
def several_consumers(net: Net, x: str) -> tuple[str, ...]:
    normed = net.norm(net.op("Tanh", x), 4, 2)
    pooled = net.op("AveragePool", normed, kernel_shape=[2, 2])
    return net.conv(normed, 4, 4), quiet(net, net.conv(pooled, 4, 2))


@graph(2, 4, 4, 4)
def squared(net: Net, x: str) -> str:
    normed = shift(net, net.op("Tanh", x), 4, 1, 1)
    return net.conv(net.op("Sub", normed, normed), 4, 4)


@graph(2, 4, 4, 4)
def doubled(net: Net, x: str) -> str:
    normed = scale(net, net.op("Tanh", x), 4, 1, 1)
    return net.conv(net.op("Add", normed, normed), 4, 4)


@graph(2, 4, 4, 4)
def norms_that_meet(net: Net, x: str) -> tuple[str, ...]:
    first = net.op("Transpose", net.norm(net.op("Tanh", x), 4, 2), perm=[0, 2, 3, 1])
    return quiet(net, net.norm(first, 4, 0)), net.norm(quiet(net, x), 4, 0)


@graph(2, 4, 4, 4)
def norms_that_go_into_one_conv_in_turn(net: Net, x: str) -> str:
    turned = net.op("Transpose", net.conv(x, 4, 4, (1, 1)), perm=[0, 2, 3, 1])
    back = net.op("Transpose", net.norm(turned, 4, 0), perm=[0, 3, 1, 2])
    return net.norm(back, 4, 2)


@graph(2, 4, 4, 4)
def a_constant_read_twice(net: Net, x: str) -> tuple[str, ...]:
    token = net.param(2, 1, 4, 4)
    joined = net.op("Concat", token, net.conv(x, 4, 3, (1, 1)), axis=1)
    return net.norm(joined, 4, 2), quiet(net, net.op("Max", x, token))


@graph(2, 4, 4, 4)
def scale_back_and_shift_on(net: Net, x: str) -> tuple[str, ...]:
    hidden = net.op("AveragePool", net.conv(x, 4, 4, (1, 1)), kernel_shape=[3, 3], pads=[1] * 4)
    net.nodes[-1].attribute.append(helper.make_attribute("count_include_pad", 1))
    first = net.conv(net.norm(hidden, 4, 2), 4, 4)
    shifted = net.op("MaxPool", net.conv(x, 4, 4, (1, 1)), kernel_shape=[2, 2])
    negative = net.op("Mul", shifted, net.const(-np.linspace(0.5, 2, 4).reshape(4, 1, 1)))
    second = net.conv(shift(net, negative, 4, 1, 1), 4, 4, pads=[1] * 4)
    return first, second


@graph(2, 4, 4, 4)
def values_that_meet_again(net: Net, x: str) -> tuple[str, ...]:
    """A norm whose two readers join: in a sum, a difference, a product, a choice and a Concat."""
    joins = []
    for op_type in ("Add", "Sub", "Mul", "Max", "Concat"):
        normed = net.norm(net.op("Sigmoid", x), 4, 2, positive=True)
        pooled = net.op("MaxPool", normed, kernel_shape=[3, 3], pads=[1] * 4)
        options = {"axis": 1} if op_type == "Concat" else {}
        joined = net.op(op_type, pooled, normed, **options)
        channels = 8 if op_type == "Concat" else 4
        joins.append(quiet(net, net.conv(joined, channels, 4, (1, 1))))
    return tuple(joins)


@graph(2, 4, 4, 4)
def scales_that_meet_again(net: Net, x: str) -> tuple[str, ...]:
    joins = []
    for op_type in ("Mul", "Sub", "Max"):
        scaled = scale(net, net.op("Sigmoid", x))
        others = scaled, net.op("Relu", net.op("Neg", scaled))
        joins.append(quiet(net, net.conv(net.op(op_type, scaled, scaled), 4, 4, (1, 1))))
        joins.append(quiet(net, net.conv(net.op(op_type, *others), 4, 4, (1, 1))))
    return tuple(joins)


@graph(2, 4, 4, 4)
def a_scale_behind_values_that_met_again(net: Net, x: str) -> tuple[str, ...]:
    joins = []
    for op_type in ("Mul", "Add", "Sub", "Max"):
        conv = net.conv(x, 4, 4, (1, 1))
        pooled = net.op("MaxPool", conv, kernel_shape=[3, 3], pads=[1] * 4)
        for pair in ((pooled, conv), (conv, conv)):
            joined = net.op(op_type, *pair)
            joins.append(quiet(net, net.norm(joined, 4, 2, positive=True)))
            conv = net.conv(x, 4, 4, (1, 1))
    return tuple(joins)


@graph(2, 4, 4, 4)
def a_gamma_of_zero_before_an_activation(net: Net, x: str) -> str:
    gamma = net.const(np.array([1.0, 0.0, 2.0, 0.0]).reshape(4, 1, 1))
    beta = net.const(np.array([0.0, -3.0, 0.0, 2.0]).reshape(4, 1, 1))
    normed = net.op("Add", net.op("Mul", net.op("Sigmoid", x), gamma), beta)
    return quiet(net, net.conv(net.op("LeakyRelu", normed), 4, 4, (1, 1)))


@graph(2, 4, 4, 4)
def a_scale_behind_a_square(net: Net, x: str) -> str:
    conv = net.conv(x, 4, 4, (1, 1))
    return quiet(net, scale(net, net.op("Mul", conv, conv)))


@graph(2, 4, 4, 4)
def choices_between_a_norm_and_what_lost_its_shift(net: Net, x: str) -> str:
    normed = net.norm(net.op("Sigmoid", x), 4, 2, positive=True)
    pooled = net.op("MaxPool", normed, kernel_shape=[3, 3], pads=[1] * 4)
    chosen = net.op("Max", normed, net.op("Sub", pooled, normed))
    return quiet(net, net.conv(chosen, 4, 4, (1, 1)))
