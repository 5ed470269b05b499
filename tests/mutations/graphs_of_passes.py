"""Graphs that are right only if each op is passed as its identity says."""

from __future__ import annotations

import numpy as np
from graphs import Net
from mutation_registry import graph, quiet, scale, shift

_AROUND = (0, 0, 1, 1, 0, 0, 1, 1)


@graph(2, 4, 4, 4)
def average_that_counts_padding(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    options = {"kernel_shape": [3, 3], "count_include_pad": 1}
    first = net.op("AveragePool", conv, pads=[1] * 4, **options)
    second = net.op("AveragePool", net.conv(x, 4, 4, (1, 1)), auto_pad="SAME_UPPER", **options)
    return net.norm(first, 4, 2), net.norm(second, 4, 2)


@graph(2, 4, 4, 4)
def average_over_its_constants(net: Net, x: str) -> str:
    normed = net.norm(net.op("Tanh", x), 4, 0)
    pooled = net.op("AveragePool", normed, kernel_shape=[1, 4])
    return net.op("Conv", net.op("Transpose", pooled, perm=[0, 3, 1, 2]), net.param(4, 1, 1, 1))


@graph(2, 4, 4, 4)
def average_along_a_square(net: Net, x: str) -> str:
    product = net.op("MatMul", x, net.param(4, 4))
    pooled = net.op("AveragePool", product, kernel_shape=[3, 3], pads=[1] * 4)
    return net.norm(pooled, 4, 0)


@graph(2, 4, 4, 4)
def maxima(net: Net, x: str) -> tuple[str, ...]:
    pooled = net.op("MaxPool", net.conv(x, 4, 4, (1, 1)), kernel_shape=[2, 2])
    reduced = net.op("ReduceMin", net.conv(x, 4, 4, (1, 1)), net.ints(2, 3))
    return net.norm(pooled, 4, 2), net.norm(reduced, 4, 2)


@graph(2, 4, 4, 4)
def activations(net: Net, x: str) -> tuple[str, ...]:
    first = net.op("LeakyRelu", net.conv(x, 4, 4, (1, 1)))
    second = net.op("PRelu", net.conv(x, 4, 4, (1, 1)), net.param(4, 1, 1))
    third = net.op("LeakyRelu", net.conv(x, 4, 4, (1, 1)))
    return net.norm(first, 4, 2), shift(net, second, 4, 1, 1), scale(net, third, 4, 1, 1)


@graph(2, 4, 4, 4)
def sums_over_positions(net: Net, x: str) -> tuple[str, ...]:
    before = net.op("ReduceSum", net.norm(net.op("Tanh", x), 4, 2), net.ints(2, 3), keepdims=0)
    after = net.op("ReduceSum", net.conv(x, 4, 4, (1, 1)), net.ints(3), keepdims=0)
    return net.op("Gemm", before, net.param(4, 3)), net.norm(after, 4, 1)


@graph(2, 4, "H", 4)
def sum_over_a_dynamic_height(net: Net, x: str) -> str:
    summed = net.op("ReduceSum", net.conv(x, 4, 4, (1, 1)), net.ints(2))
    return net.norm(summed, 4, 2)


@graph(2, 4, 4, 4)
def mean_of_channels_before_constants_along_what_was_behind_them(net: Net, x: str) -> str:
    mean = net.op("ReduceMean", net.op("MatMul", net.param(4, 4), x), net.ints(1), keepdims=0)
    return net.norm(mean, 4, 0)


@graph(2, 4, 4, 4)
def concatenations(net: Net, x: str) -> tuple[str, ...]:
    convs = [net.conv(x, 4, n, (1, 1)) for n in (2, 3)]
    before = net.op("Concat", quiet(net, x), net.norm(net.op("Tanh", x), 4, 2), axis=1)
    return net.norm(net.op("Concat", *convs, axis=1), 5, 2), net.conv(before, 8, 2)


@graph(2, 4, 4, 4)
def concatenation_along_the_width(net: Net, x: str) -> str:
    joined = net.op("Concat", net.norm(net.op("Tanh", x), 4, 2), x, axis=3)
    return net.op("MatMul", joined, net.param(8, 3))


@graph(2, 4, 4, 4)
def concatenation_along_a_square(net: Net, x: str) -> str:
    joined = net.op("Concat", net.norm(net.op("Tanh", x), 4, 2), x, axis=2)
    return net.conv(joined, 4, 3)


@graph(2, 16, 2, 2)
def spaces(net: Net, x: str) -> tuple[str, ...]:
    first, second = (
        net.op("DepthToSpace", net.conv(x, 16, 16, (1, 1)), blocksize=2, mode=mode)
        for mode in ("DCR", "CRD")
    )
    packed = net.op("SpaceToDepth", net.conv(x, 16, 4, (1, 1)), blocksize=2)
    return net.norm(first, 4, 2), net.norm(second, 4, 2), net.norm(packed, 16, 2)


@graph(2, 4, 4, 4)
def selections(net: Net, x: str) -> tuple[str, ...]:
    again = net.op("Gather", net.conv(x, 4, 4, (1, 1)), net.ints(1, 1, 2), axis=1)
    down = net.op("Slice", net.conv(x, 4, 4, (1, 1)), *(net.ints(n) for n in (-1, -99, 1, -1)))
    other = net.op("Slice", net.conv(x, 4, 4, (1, 1)), *(net.ints(n) for n in (0, 4, 1, 2)))
    _, half = net.ops("Split", net.conv(x, 4, 4, (1, 1)), count=2, axis=1, num_outputs=2)
    return (
        net.norm(again, 3, 2),
        net.norm(down, 4, 2),
        net.norm(other, 2, 2),
        net.norm(half, 2, 2),
    )


@graph(2, 4, 4, 4)
def split_along_positions(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    first, second = net.ops("Split", conv, count=2, axis=3, num_outputs=2)
    return net.norm(first, 4, 2), quiet(net, second)


@graph(2, 4, 4, 4)
def a_row_by_one_index(net: Net, x: str) -> str:
    normed = net.norm(net.op("Tanh", x), 4, 1)
    row = net.op("Gather", normed, net.const(np.array(1)), axis=1)
    return net.op("MatMul", row, net.param(4, 3))


@graph(2, 4, 4, 4)
def residuals(net: Net, x: str) -> tuple[str, ...]:
    plus = net.op("Add", net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1)))
    minus = net.op("Sub", net.op("Tanh", x), net.conv(x, 4, 4, (1, 1)))
    return net.norm(plus, 4, 2), shift(net, minus, 4, 1, 1)


@graph(2, 4, 4, 4)
def residuals_after_a_norm(net: Net, x: str) -> tuple[str, ...]:
    other = net.op("LeakyRelu", net.conv(x, 4, 4, (1, 1)))
    plus = net.op("Add", net.norm(net.op("Tanh", x), 4, 2, positive=True), other)
    minus = net.op("Sub", net.op("Tanh", x), shift(net, net.op("Sigmoid", x), 4, 1, 1))
    return net.conv(plus, 4, 3), net.conv(minus, 4, 3)


@graph(2, 4, 4, 4)
def products(net: Net, x: str) -> tuple[str, ...]:
    gated = net.op("Mul", net.conv(x, 4, 4, (1, 1)), net.op("Sigmoid", x))
    over = net.op(
        "Div", net.op("Tanh", x), net.op("Conv", net.op("Exp", x), net.param(4, 4, 1, 1, low=0.5))
    )
    below = net.op("Div", net.op("Tanh", x), scale(net, net.op("Exp", x), 4, 1, 1))
    return net.norm(gated, 4, 2), scale(net, over, 4, 1, 1), net.conv(below, 4, 3)


@graph(2, 4, 4, 4)
def attentions(net: Net, x: str) -> tuple[str, ...]:
    rows, columns = (net.op("Softmax", net.op("Tanh", x), axis=axis) for axis in (-1, 2))
    first = net.op("MatMul", rows, net.conv(x, 4, 4, (1, 1)))
    second = net.op("MatMul", columns, net.op("MatMul", x, net.param(4, 4)))
    third = net.op("MatMul", rows, scale(net, net.op("Sigmoid", x), 4, 1))
    fourth = net.op("MatMul", net.op("Dropout", rows, "", net.const(np.array(False))), x)
    one = net.op("MatMul", rows, net.conv(x, 4, 1, (1, 1)))
    return (
        net.norm(first, 4, 2),
        net.norm(second, 4, 0),
        net.op("MatMul", net.param(3, 4), third),
        net.norm(fourth, 4, 0),
        net.norm(one, 4, 2),
        scale(net, net.op("MatMul", rows, scale(net, net.op("Sigmoid", x), 4, 1)), 4, 1),
    )


@graph(2, 4, 4, 4)
def one_channel_repeated(net: Net, x: str) -> str:
    narrow = net.conv(x, 4, 1, (1, 1))
    return net.norm(net.op("Expand", narrow, net.ints(2, 4, 4, 4)), 4, 2)


@graph(2, 4, 4, 4)
def paddings(net: Net, x: str) -> tuple[str, ...]:
    before = net.op("Div", net.op("Sub", net.op("Tanh", x), net.scalar(0.5)), net.scalar(0.25))
    after = net.op("Pad", net.conv(x, 4, 4, (1, 1)), net.ints(*_AROUND), net.scalar(2.0))
    shifted = net.op("Add", net.op("Mul", after, net.scalar(3.0)), net.scalar(1.0))
    return net.conv(net.op("Pad", before, net.ints(*_AROUND)), 4, 3), shifted


@graph(2, 4, 4, 2)
def padding_of_the_constants_own_axis(net: Net, x: str) -> str:
    product = net.op("MatMul", x, net.param(2, 2))
    padded = net.op("Pad", product, net.ints(0, 0, 0, 1, 0, 0, 0, 1))
    return scale(net, padded, 4)


@graph(2, 4, 4, 4)
def crop_and_resize(net: Net, x: str) -> str:
    region = net.const(np.array([0, 0, -0.5, -0.5, 1, 1, 1.5, 1.5]))
    operands = (net.conv(x, 4, 4, (1, 1)), region, "", net.ints(2, 4, 5, 5))
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    return net.norm(net.op("Resize", *operands, extrapolation_value=7.0, **mode), 4, 2)


@graph(2, 4, 4, 4)
def transposes(net: Net, x: str) -> tuple[str, ...]:
    turned = net.op("Transpose", net.conv(x, 4, 4, (1, 1)), perm=[0, 2, 3, 1])
    moved = net.op("Transpose", net.conv(x, 4, 4, (1, 1)), perm=[1, 2, 0, 3])
    other = net.op("Transpose", net.conv(x, 4, 4, (1, 1)), perm=[0, 2, 3, 1])
    return net.norm(turned, 4, 0), net.norm(moved, 4, 3), net.norm(other, 4, 1)


@graph("N", 4, 4, 4)
def reshapes(net: Net, x: str) -> tuple[str, ...]:
    wide = net.op("Reshape", net.conv(x, 4, 4, (1, 1)), net.ints(-1, 2, 2, 4, 4))
    shuffled = net.op("Transpose", wide, perm=[0, 2, 1, 3, 4])
    joined = net.op("Reshape", shuffled, net.ints(-1, 4, 4, 4))
    moved = net.op("Reshape", net.op("MatMul", x, net.param(4, 4)), net.ints(4, -1, 4, 4))
    return net.norm(joined, 4, 2), net.norm(moved, 4, 1)


@graph("N", 4, 2)
def dynamic_reshape_that_cuts_elsewhere(net: Net, x: str) -> str:
    conv = net.conv(x, 4, 4, (1,))
    return net.norm(net.op("Reshape", conv, net.ints(-1, 4)), 4, 0)


@graph("N", 4)
def dynamic_reshape(net: Net, x: str) -> str:
    gemm = net.op("Gemm", x, net.param(4, 4))
    turned = net.op("Reshape", net.op("Transpose", gemm), net.ints(4, -1))
    return net.norm(net.op("Reshape", turned, net.ints(-1, 4)), 4, 0)


@graph(2, 4, 4)
def a_rearrangement_that_is_read_in_the_middle(net: Net, x: str) -> tuple[str, ...]:
    wide = net.op("Reshape", net.conv(x, 4, 4, (1,)), net.ints(2, 2, 2, 4))
    joined = net.op("Reshape", net.op("Transpose", wide, perm=[0, 2, 1, 3]), net.ints(2, 4, 4))
    return net.norm(joined, 4, 1), quiet(net, wide)


@graph(2, 4, 4, 4)
def one_padding_that_two_ways_lead_to(net: Net, x: str) -> str:
    shifted = net.op("Add", net.op("Tanh", x), net.scalar(2.0))
    first = net.op("MaxPool", shifted, kernel_shape=[1, 1])
    second = net.op("AveragePool", shifted, kernel_shape=[1, 1])
    padded = net.op("Pad", net.op("Add", first, second), net.ints(*_AROUND))
    return net.conv(padded, 4, 4)


@graph("N", 4)
def two_parts_of_one_norm_that_meet_again(net: Net, x: str) -> str:
    normed = net.norm(net.op("Sigmoid", x), 4, 0)
    first, second = net.ops("Split", normed, count=2, axis=1, num_outputs=2)
    return net.op("Gemm", net.op("Add", second, first), net.param(2, 3))


@graph(2, 2, 4, 4)
def one_constant_in_two_places(net: Net, x: str) -> str:
    token = net.param(2, 1, 4, 4)
    joined = net.op("Concat", token, net.conv(x, 2, 2, (1, 1)), token, axis=1)
    return net.norm(joined, 4, 2)


@graph("N", 4, 4, 4)
def run_time_shapes(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    batch = net.op("Gather", net.op("Shape", conv), net.ints(0))
    flat = net.op("Reshape", conv, net.op("Concat", batch, net.ints(-1), axis=0))
    norm = net.op("Mul", flat, net.const(np.repeat(net.floats(4), 16)))
    read = net.conv(x, 4, 4, (1, 1))
    product = net.op("MatMul", norm, net.param(64, 3))
    return product, net.norm(read, 4, 2), quiet(net, read)


@graph(2, 4, 4, 4)
def choices_backward(net: Net, x: str) -> tuple[str, ...]:
    made = []
    for op_type in ("Max", "Min", "Mean"):
        parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1))]
        made.append(quiet(net, net.norm(net.op(op_type, *parts), 4, 2, positive=True)))
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1))]
    made.append(quiet(net, net.norm(net.op("Max", *parts), 4, 2)))
    return tuple(made)


@graph(2, 4, 4, 4)
def choices_forward(net: Net, x: str) -> tuple[str, ...]:
    made = []
    for op_type in ("Max", "Mean"):
        normed = net.norm(net.op("Tanh", x), 4, 2, positive=True)
        joined = net.op(op_type, normed, net.conv(x, 4, 4, (1, 1)))
        made.append(quiet(net, net.conv(joined, 4, 4)))
    return tuple(made)


@graph(2, 4, 4, 4)
def clips(net: Net, x: str) -> tuple[str, ...]:
    made = []
    for factor in (0.5, -0.5):
        clipped = net.op("Clip", net.conv(x, 4, 4), net.scalar(-0.5), net.scalar(1.5))
        made.append(quiet(net, net.op("Mul", clipped, net.scalar(factor))))
    for bounds in ((0.0,), (0.0, 1.0)):
        clipped = net.op("Clip", net.conv(x, 4, 4), *(net.scalar(b) for b in bounds))
        made.append(quiet(net, net.op("Mul", clipped, net.param(4, 1, 1, low=0.5))))
    return tuple(made)


@graph(2, 4, 4, 4)
def sizes(net: Net, x: str) -> str:
    summed = net.op("ReduceL1", net.op("Sigmoid", x), net.ints(2, 3))
    made = shift(net, summed, 4, 1, 1)
    y = net.op("ReduceL1", net.norm(net.op("Tanh", x), 4, 2, positive=True), net.ints(2, 3))
    return net.op("Concat", quiet(net, made), net.conv(y, 4, 4, (1, 1)), axis=1)


@graph(2, 4, 4, 4)
def there_and_back(net: Net, x: str) -> tuple[str, ...]:
    last = net.op("Transpose", net.op("Tanh", x), perm=[0, 2, 3, 1])
    kept = net.op("Transpose", net.norm(last, 4, 0), perm=[0, 3, 1, 2])
    elsewhere = net.op("Transpose", net.op("Transpose", x, perm=[1, 2, 3, 0]), perm=[1, 2, 3, 0])
    reshaped = net.op("Reshape", net.op("Flatten", x), net.ints(4, 2, 4, 4))
    inner = net.op("Abs", x)
    return net.op("Sin", kept), elsewhere, reshaped, inner, net.op("Identity", inner)
