"""Graphs that public tools are known to get silently wrong: each one folded right, or left.

Sizes are square throughout, so that a scale matched to an axis by its length has every chance.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import numpy_helper


@pytest.mark.parametrize("group", [1, 2, 4, 8])
@pytest.mark.parametrize("attributes", [{}, {"strides": [2, 2], "pads": [1, 1, 1, 1]}])
def test_a_square_conv_transpose_scales_its_output_channels(group, attributes):
    net = Net()
    x = net.input([2, 8, 8, 8])
    conv = net.conv(x, 8, 8, group=group, transposed=True, bias=True, **attributes)
    assert_folded(fold_model(net.model(net.batch_norm(conv, 8))), ["ConvTranspose"])


def test_one_conv_called_twice_with_a_norm_after_each():
    net = Net()
    weight, bias = net.param(4, 4, 3, 3), net.param(4)
    h = net.input([2, 4, 8, 8])
    for _ in range(2):
        h = net.op("Relu", net.batch_norm(net.op("Conv", h, weight, bias, pads=[1] * 4), 4))
    assert_folded(fold_model(net.model(h)), ["Conv", "Relu", "Conv", "Relu"])


def test_one_conv_called_twice_with_a_norm_after_the_last_call_only():
    net = Net()
    weight = net.param(4, 4, 3, 3)
    first = net.op("Conv", net.input([2, 4, 8, 8]), weight, pads=[1] * 4)
    second = net.op("Conv", net.op("Relu", first), weight, pads=[1] * 4)
    assert_folded(fold_model(net.model(net.batch_norm(second, 4))), ["Conv", "Relu", "Conv"])


def test_one_conv_and_one_norm_both_called_twice():
    net = Net()
    weight = net.param(4, 4, 3, 3)
    statistics = [net.param(4, low=0.3) for _ in range(4)]
    h = net.input([2, 4, 8, 8])
    for _ in range(2):
        h = net.op("BatchNormalization", net.op("Conv", h, weight, pads=[1] * 4), *statistics)
        h = net.op("Relu", h)
    result = fold_model(net.model(h))
    assert_folded(result, ["Conv", "Relu", "Conv", "Relu"])


def test_one_conv_output_read_by_a_norm_and_by_something_else():
    net = Net()
    conv = net.conv(net.input([2, 4, 8, 8]), 4, 4, name="shared")
    result = fold_model(net.model(net.op("Relu", net.batch_norm(conv, 4)), net.op("Sigmoid", conv)))
    assert_left(result, "Conv 'shared' feeds 2 consumers")


@pytest.mark.parametrize("spelling", ["batch norm", "by hand"])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_over_channels_last_with_a_norm_over_dim_1_of_the_same_length(spelling, bias):
    net = Net()
    y = net.op("MatMul", net.input([2, 6, 6]), net.param(6, 6))
    if bias:
        y = net.op("Add", y, net.param(6))
    y = net.batch_norm(y, 6) if spelling == "batch norm" else net.norm(y, 6, 1)
    result = fold_model(net.model(y))
    assert_left(result, "axis 1", "axis 2")


def test_linear_over_dim_1_on_its_left_with_a_norm_over_dim_1():
    net = Net()
    y = net.op("MatMul", net.param(6, 6), net.input([2, 6, 6]))
    assert_folded(fold_model(net.model(net.batch_norm(y, 6))), ["MatMul", "Add"])


@pytest.mark.parametrize("target", [(2, 4, 2, 2), (-1, 4, 4), (4, 4, 2), (2, 2, 4, 2)])
def test_matmul_then_a_reshape_that_moves_the_channel_axis_then_a_norm(target):
    net = Net()
    y = net.op("MatMul", net.input([2, 4, 4]), net.param(4, 4))
    moved = net.op("Reshape", y, net.ints(*target))
    result = fold_model(net.model(net.batch_norm(moved, target[1])))
    assert not result.all_folded
    assert_same_function(result)


def test_matmul_then_a_reshape_that_keeps_the_channel_axis_then_a_norm():
    net = Net()
    y = net.op("MatMul", net.input([2, 4, 4]), net.param(4, 4))
    kept = net.op("Reshape", y, net.ints(-1, 4))
    assert_folded(fold_model(net.model(net.batch_norm(kept, 4))), ["MatMul", "Add", "Reshape"])


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub", "Div"])
@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1, 8), (1, 1, 1, 8), (8, 1), (1, 8, 1)])
def test_a_constant_along_the_width_or_height_after_a_conv_with_as_many_channels(op_type, shape):
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 8, pads=[1] * 4)
    constant = net.const(net.floats(*shape, low=0.3))
    result = fold_model(net.model(net.op(op_type, conv, constant)))
    assert_left(result, "its constants run along axis", "gives its channels along axis 1")


@pytest.mark.parametrize("used", [1, 3])
def test_a_batch_norm_in_training_mode(used):
    net = Net(dtype=np.float32)
    conv = net.conv(net.input([4, 3, 8, 8]), 3, 4)
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    outputs = net.ops("BatchNormalization", conv, *parameters, count=3, training_mode=1)
    result = fold_model(net.model(*outputs[:used]))
    assert result.ops == ["Conv", "BatchNormalization"]
    assert "training_mode" in result.reason()
    assert result.after.graph.node[1].attribute == result.before.graph.node[1].attribute


@pytest.mark.parametrize("shape", [(1, 4, 3, 3), (4, 3, 3), (1, 1, 3, 3)])
def test_a_constant_over_positions_before_a_padded_conv_on_an_input_of_the_kernels_size(shape):
    net = Net()
    scaled = net.op("Mul", net.input([2, 4, 3, 3]), net.param(*shape))
    y = net.conv(scaled, 4, 4, pads=[1] * 4)
    assert_left(fold_model(net.model(y)), "its constant varies over more than one axis")


def test_a_shift_before_a_padded_conv_does_not_reach_the_border():
    net = Net()
    y = net.conv(net.batch_norm(net.input([2, 4, 3, 3]), 4), 4, 4, pads=[1] * 4)
    assert_left(fold_model(net.model(y)), "pads with zeros")


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("spelling", ["batch norm", "by hand"])
def test_conv_relu_norm(spelling, positive):
    net = Net()
    h = net.op("Relu", net.conv(net.input([2, 3, 8, 8]), 3, 4, bias=True, pads=[1] * 4))
    y = net.batch_norm(h, 4) if spelling == "batch norm" else net.norm(h, 4, 2, positive=positive)
    result = fold_model(net.model(net.op("Tanh", y)))
    assert_same_function(result)


@pytest.mark.parametrize("statistics", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [False, True])
def test_a_half_conv_with_wider_statistics_stays_a_valid_half_conv(statistics, bias):
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4, bias=bias)
    net.dtype = np.dtype(statistics)
    parameters = [net.param(4, low=0.5) for _ in range(4)]
    # The specification allows one wider type for the scale and bias, and one for the statistics.
    net.dtype = np.dtype(np.float16)
    result = fold_model(net.model(net.op("BatchNormalization", conv, *parameters)))
    onnx.checker.check_model(result.after, full_check=True)
    assert result.ops == ["Conv"]
    assert {t.data_type for t in result.after.graph.initializer} == {onnx.TensorProto.FLOAT16}
    assert_same_function(result, rtol=2e-2)


def test_a_half_conv_between_casts_around_single_statistics():
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    wide = net.op("Cast", conv, to=onnx.TensorProto.FLOAT)
    net.dtype = np.dtype(np.float32)
    normed = net.batch_norm(wide, 4)
    net.dtype = np.dtype(np.float16)
    result = fold_model(net.model(net.op("Cast", normed, to=onnx.TensorProto.FLOAT16)))
    onnx.checker.check_model(result.after, full_check=True)
    assert_same_function(result, rtol=2e-2)


def test_half_statistics_of_a_hand_written_norm_are_not_computed_in_half():
    net = Net(seed=5, dtype=np.float16)
    weight = net.floats(4, 3, 3, 3)
    conv = net.op("Conv", net.input([2, 3, 8, 8]), net.const(weight))
    variance, epsilon = np.full((4, 1, 1), 1e-3, np.float16), np.float16(1e-5)
    root = net.op("Sqrt", net.op("Add", net.const(variance), net.const(epsilon)))
    result = fold_model(net.model(net.op("Div", conv, root)))
    exact = (
        weight.astype(np.float64)
        / np.sqrt(variance.astype(np.float64) + np.float64(epsilon))[..., None]
    )
    (stored,) = (numpy_helper.to_array(t) for t in result.after.graph.initializer)
    assert np.array_equal(stored, exact.astype(np.float16))


def test_a_gemm_whose_bias_runs_over_the_rows():
    net = Net()
    y = net.op("Gemm", net.input([6, 6]), net.param(6, 6), net.param(6, 1))
    result = fold_model(net.model(net.batch_norm(y, 6)))
    assert_same_function(result)


def test_a_depthwise_conv_transpose_with_several_outputs_per_channel():
    net = Net()
    conv = net.conv(net.input([2, 4, 5, 5]), 4, 8, group=4, transposed=True)
    assert_folded(fold_model(net.model(net.batch_norm(conv, 8))), ["ConvTranspose"])


def test_a_constant_that_is_subtracted_from():
    net = Net()
    conv = net.conv(net.input([2, 4, 8, 8]), 4, 4, bias=True)
    assert_folded(fold_model(net.model(net.op("Sub", net.param(4, 1, 1), conv))), ["Conv"])


def test_a_scalar_added_to_a_conv():
    net = Net()
    conv = net.conv(net.input([2, 4, 8, 8]), 4, 4)
    assert_folded(fold_model(net.model(net.op("Add", net.scalar(1.5), conv))), ["Conv"])
