"""Graphs that are right only if linear maps and spellings are read and changed right."""

from __future__ import annotations

from graphs import Net
from mutation_registry import graph, quiet, scale, shift


@graph("N", 4, 4, 4)
def conv_norm_grouped(net: Net, x: str) -> str:
    return net.norm(net.conv(x, 4, 8, (1, 1), group=2, bias=True), 8, 2)


@graph("N", 4, 4, 4)
def norm_conv_grouped_norm(net: Net, x: str) -> str:
    return net.batch_norm(net.conv(net.norm(x, 4, 2), 4, 8, group=2, bias=True), 8)


@graph(2, 4, 4, 4)
def transposed_conv_with_groups(net: Net, x: str) -> str:
    scaled = scale(net, x, 4, 1, 1)
    return net.norm(net.conv(scaled, 4, 4, group=2, bias=True, transposed=True), 4, 2)


@graph(2, 4, 4, 4)
def transposed_conv_after_a_shift(net: Net, x: str) -> str:
    return net.conv(shift(net, x, 4, 1, 1), 4, 4, transposed=True)


@graph(2, 4, 4, 4)
def padded_conv_after_a_norm(net: Net, x: str) -> str:
    return net.conv(net.norm(x, 4, 2), 4, 4, pads=[1] * 4)


@graph(2, 4, 4, 4)
def automatically_padded_conv_after_a_norm(net: Net, x: str) -> str:
    return net.conv(net.norm(x, 4, 2), 4, 4, auto_pad="SAME_LOWER")


@graph(2, 4, 4, 4)
def one_weight_for_two_convs(net: Net, x: str) -> str:
    weight = net.param(4, 4, 1, 1)
    first = quiet(net, net.norm(net.op("Conv", x, weight), 4, 2))
    return net.norm(net.op("Conv", first, weight), 4, 2)


@graph(2, 4, 4, 4)
def constants_along_height_and_width(net: Net, x: str) -> tuple[str, ...]:
    first = scale(net, net.conv(x, 4, 4, (1, 1)), 4)
    second = shift(net, net.conv(x, 4, 4, (1, 1)), 4, 1)
    return first, quiet(net, second), net.norm(net.conv(x, 4, 4, (1, 1)), 4, 0)


@graph(2, 4, 4, 4)
def one_channel_that_grows(net: Net, x: str) -> str:
    return scale(net, net.conv(x, 4, 1, (1, 1)), 4, 1, 1)


@graph("N", 4)
def gemm_with_factors(net: Net, x: str) -> str:
    operands = (x, net.param(4, 4), net.param(4))
    gemm = net.op("Gemm", *operands, alpha=0.5, beta=3.0, transB=1)
    return net.norm(gemm, 4, 0)


@graph(4, 4)
def gemm_with_a_bias_per_row(net: Net, x: str) -> str:
    return net.norm(net.op("Gemm", x, net.param(4, 4), net.param(4, 1)), 4, 0)


@graph(4, 4)
def gemm_after_constants_along_the_rows(net: Net, x: str) -> str:
    return net.op("Gemm", net.norm(x, 4, 1), net.param(4, 4))


@graph(4, 4)
def gemm_before_constants_along_the_rows(net: Net, x: str) -> str:
    return net.norm(net.op("Gemm", x, net.param(4, 4)), 4, 1)


@graph(2, 4, 4)
def products_with_the_constant_on_either_side(net: Net, x: str) -> tuple[str, ...]:
    left = net.op("MatMul", net.param(4, 4), x)
    right = net.op("Add", net.op("MatMul", x, net.param(4, 4)), net.param(4, 1))
    return net.norm(left, 4, 1), net.norm(right, 4, 0), quiet(net, net.batch_norm(x, 4))


@graph(2, 4, 4)
def product_by_a_constant_on_the_left_along_its_columns(net: Net, x: str) -> str:
    return net.norm(net.op("MatMul", net.param(4, 4), x), 4, 0)


@graph(4, 4, 4)
def product_by_a_batch_of_matrices(net: Net, x: str) -> str:
    return net.op("MatMul", net.norm(x, 4, 0), net.param(4, 4, 4))


@graph(2, 4, 4, 4)
def every_side_and_op(net: Net, x: str) -> str:
    y = net.op("Sub", net.param(4, 1, 1), net.conv(x, 4, 4, (1, 1)))
    y = net.op("Sub", net.op("Div", y, net.param(4, 1, 1, low=0.3)), net.param(4, 1, 1))
    return net.op("Sub", net.param(4, 1, 1), y)


@graph(2, 4, 4, 4)
def constant_over_a_conv(net: Net, x: str) -> str:
    return net.op("Div", net.param(4, 1, 1), net.op("Exp", x))


@graph(2, 4, 4, 4)
def constant_over_a_conv_directly(net: Net, x: str) -> str:
    conv = net.op("Conv", net.op("Exp", x), net.param(4, 4, 1, 1, low=0.5))
    return net.op("Div", net.param(4, 1, 1), conv)


@graph(3, 4, 4, 4)
def training_mode(net: Net, x: str) -> str:
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    conv = net.conv(x, 4, 4, (1, 1))
    return net.ops("BatchNormalization", conv, *parameters, count=3, training_mode=1)[0]


@graph(2, 4, 4, 4)
def norms_that_are_left(net: Net, x: str) -> tuple[str, ...]:
    first = quiet(net, net.norm(net.op("Tanh", x), 4, 1))
    second = quiet(net, net.norm(net.op("Tanh", x), 4, 2))
    return first, second, quiet(net, net.norm(net.op("Tanh", x), 4, 0))


@graph(2, 4, 4, 4)
def a_run_of_which_the_middle_is_read(net: Net, x: str) -> tuple[str, ...]:
    middle = net.norm(net.conv(x, 4, 4, (1, 1)), 4, 2)
    return net.norm(middle, 4, 2), quiet(net, middle)


@graph(2, 4, 4, 4)
def a_run_of_which_the_graph_gives_the_middle(net: Net, x: str) -> tuple[str, ...]:
    middle = net.norm(net.conv(x, 4, 4, (1, 1)), 4, 2)
    return net.norm(middle, 4, 2), middle
