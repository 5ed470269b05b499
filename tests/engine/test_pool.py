"""Through pools: an average whose weights sum to 1, a maximum by a non-negative scale."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import TensorProto, helper

AVERAGES = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 1, 1]},
    {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
]
COUNTED = [
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "pads": [0, 0, 0, 1]},
    {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"},
]


@pytest.mark.parametrize("attributes", AVERAGES)
def test_a_norm_after_an_average(attributes):
    net = Net()
    conv = net.conv(net.input(["N", 3, 7, 7]), 3, 4)
    pooled = net.op("AveragePool", conv, **attributes)
    assert_folded(fold_model(net.model(net.norm(pooled, 4, 2))), ["Conv", "AveragePool"])


@pytest.mark.parametrize("attributes", AVERAGES)
def test_a_norm_before_an_average(attributes):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 5, 5])), 4, 2)
    y = net.conv(net.op("AveragePool", normed, **attributes), 4, 3, (1, 1))
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "AveragePool", "Conv"])


@pytest.mark.parametrize("attributes", COUNTED)
def test_a_shift_does_not_pass_an_average_that_counts_padded_zeros(attributes):
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled = net.op("AveragePool", conv, count_include_pad=1, name="mean", **attributes)
    result = fold_model(net.model(net.norm(pooled, 4, 2)))
    assert_left(result, "AveragePool 'mean' counts padded zeros, which the shift must not reach")


@pytest.mark.parametrize("attributes", COUNTED)
def test_a_scale_passes_an_average_that_counts_padded_zeros(attributes):
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled = net.op("AveragePool", conv, count_include_pad=1, **attributes)
    assert_folded(fold_model(net.model(net.op("Mul", pooled, net.param(4, 1, 1)))))


def test_the_scale_passes_and_the_shift_goes_on():
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled = net.op("AveragePool", conv, count_include_pad=1, kernel_shape=[3, 3], pads=[1] * 4)
    y = net.conv(net.norm(pooled, 4, 2), 4, 3, (1, 1))
    assert_folded(fold_model(net.model(y)), ["Conv", "AveragePool", "Conv"])


def test_a_norm_after_an_average_that_counts_and_before_a_relu_leaves_no_more_than_one_op():
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled = net.op("AveragePool", conv, count_include_pad=1, kernel_shape=[3, 3], pads=[1] * 4)
    result = fold_model(net.model(net.op("Sigmoid", net.norm(pooled, 4, 2))))
    assert len(result.ops) == 4
    assert_same_function(result)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_pass_what_they_can(op):
    net = Net()
    conv = net.conv(net.input(["N", 3, 5, 5]), 3, 4)
    pooled = net.op(op, conv)
    assert_folded(fold_model(net.model(net.norm(pooled, 4, 2, positive=True))), ["Conv", op])


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_pass_what_comes_before_them(op):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 5, 5])), 4, 2, positive=True)
    y = net.op("Gemm", net.op("Flatten", net.op(op, normed)), net.param(4, 3))
    assert_folded(fold_model(net.model(y)), ["Sigmoid", op, "Flatten", "Gemm"])


@pytest.mark.parametrize("attributes", [a for a in AVERAGES if "count_include_pad" not in a])
def test_a_maximum_passes_a_positive_scale_and_any_shift(attributes):
    net = Net()
    conv = net.conv(net.input(["N", 3, 5, 5]), 3, 4)
    pooled = net.op("MaxPool", conv, **attributes)
    result = fold_model(net.model(net.norm(pooled, 4, 2, positive=True)))
    assert_folded(result, ["Conv", "MaxPool"])


def test_a_maximum_passes_a_positive_scale_forward():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 5, 5])), 4, 2, positive=True)
    y = net.conv(net.op("MaxPool", normed, kernel_shape=[3, 3], pads=[1] * 4), 4, 3)
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "MaxPool", "Conv"])


def test_a_maximum_passes_a_scale_of_zero():
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled = net.op("MaxPool", conv, kernel_shape=[2, 2])
    y = net.op("Mul", pooled, net.const(np.array([0.0, 1.0, 2.0, 0.0]).reshape(4, 1, 1)))
    assert_folded(fold_model(net.model(net.op("Add", y, net.param(4, 1, 1)))), ["Conv", "MaxPool"])


@pytest.mark.parametrize("op", ["MaxPool", "GlobalMaxPool"])
@pytest.mark.parametrize("forward", [False, True])
def test_a_maximum_does_not_pass_a_negative_scale(op, forward):
    net = Net()
    attributes = {"kernel_shape": [2, 2]} if op == "MaxPool" else {}
    gamma = net.const(np.array([1.0, 2.0, -1.0, 3.0]).reshape(4, 1, 1))
    x = net.input([2, 4, 5, 5])
    h = net.op("Mul", net.op("Sigmoid", x), gamma) if forward else net.conv(x, 4, 4)
    h = net.op(op, h, name="top", **attributes)
    y = net.conv(h, 4, 3, (1, 1)) if forward else net.op("Mul", h, gamma)
    result = fold_model(net.model(y))
    assert_left(result, f"the scale of channel 2 is negative, next to {op} 'top'")


def test_a_maximum_that_gives_indices_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    pooled, indices = net.ops("MaxPool", conv, count=2, kernel_shape=[2, 2], name="top")
    y = net.norm(pooled, 4, 2, positive=True)
    result = fold_model(net.model(y, net.op("Cast", indices, to=11)))
    assert "MaxPool 'top' gives indices too" in result.reason()


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("axis", [2, 3])
def test_constants_along_a_pooled_axis_do_not_pass(op, axis):
    net = Net()
    attributes = {} if op.startswith("Global") else {"kernel_shape": [1, 1]}
    normed = net.op(
        "Mul", net.op("Sigmoid", net.input([2, 4, 4, 4])), net.param(4, *(1,) * (3 - axis))
    )
    pooled = net.op(op, normed, name="pool", **attributes)
    result = fold_model(net.model(net.conv(pooled, 4, 3, (1, 1))))
    assert_left(result, f"{op} 'pool' pools the axis that its constants run along")


def test_constants_along_the_batch_pass():
    net = Net()
    normed = net.op("Add", net.op("Sigmoid", net.input([4, 4, 4, 4])), net.param(4, 1, 1, 1))
    pooled = net.op("AveragePool", normed, kernel_shape=[2, 2])
    result = fold_model(net.model(net.op("Sigmoid", net.op("Add", pooled, net.param(4, 1, 1, 1)))))
    assert result.ops.count("Add") == 1


EMPTY = [
    {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "dilations": [6, 6]},
    {"kernel_shape": [1, 1], "strides": [3, 3], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "pads": [2, 2, 0, 0]},
]


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
@pytest.mark.parametrize("attributes", EMPTY)
def test_a_window_that_may_hold_only_padding_takes_no_shift(op, attributes, forward):
    net = Net()
    x = (
        net.op("Tanh", net.input([2, 4, 5, 5]))
        if forward
        else net.conv(net.input([2, 4, 5, 5]), 4, 4, (1, 1))
    )
    if forward:
        y = net.conv(net.op(op, net.norm(x, 4, 2, positive=True), **attributes), 4, 4, (1, 1))
    else:
        y = net.norm(net.op(op, x, **attributes), 4, 2, positive=True)
    result = fold_model(net.model(y))
    assert f"{op}" in result.reason()
    assert "nothing but padding" in result.reason()


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "pads": [1] * 4, "dilations": [3, 3]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [1, 1], "strides": [3, 3]},
    ],
)
def test_a_window_that_always_holds_something_takes_both(attributes):
    net = Net(opset=22)
    conv = net.conv(net.input([2, 4, 5, 5]), 4, 4, (1, 1))
    y = net.norm(net.op("MaxPool", conv, **attributes), 4, 2, positive=True)
    assert fold_model(net.model(y)).ops == ["Conv", "MaxPool"]


def test_indices_that_the_graph_gives_keep_their_maximum():
    net = Net()
    conv = net.conv(net.input([2, 4, 5, 5]), 4, 4, (1, 1))
    pooled, indices = net.ops("MaxPool", conv, count=2, kernel_shape=[2, 2])
    model = net.model(net.norm(pooled, 4, 2, positive=True))
    model.graph.output.append(
        helper.make_tensor_value_info(indices, TensorProto.INT64, [2, 4, 4, 4])
    )
    result = fold_model(model)
    assert "gives indices too" in result.reason()
