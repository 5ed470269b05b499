"""A norm right after a linear map goes into it: always exact, whatever the layout."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(
    ("size", "kernel"), [([5], (3,)), ([4, 4], (3, 3)), ([3, 4, 5], (2, 3, 1))]
)
def test_conv_of_any_rank_and_group(bias, group, size, kernel):
    net = Net()
    x = net.input(["N", 4, *size])
    rank = len(kernel)
    conv = net.conv(x, 4, 8, kernel, group=group, bias=bias, pads=[1] * (2 * rank))
    result = fold_model(net.model(net.norm(conv, 8, rank)))
    assert result.ops == ["Conv"]
    assert result.all_folded
    assert_same_function(result)


def test_depthwise_dilated_strided_conv():
    net = Net()
    x = net.input([2, 6, 9, 9])
    conv = net.conv(x, 6, 6, group=6, dilations=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.batch_norm(conv, 6)))
    assert result.ops == ["Conv"]
    assert_same_function(result)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_conv_transpose_with_groups(group):
    net = Net()
    x = net.input(["N", 4, 4, 4])
    conv = net.conv(x, 4, 4, group=group, transposed=True, strides=[2, 2], bias=True)
    result = fold_model(net.model(net.batch_norm(conv, 4)))
    assert result.ops == ["ConvTranspose"]
    assert_same_function(result)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), (1,), ()])
def test_gemm_in_every_orientation(trans_a, trans_b, bias):
    net = Net()
    x = net.input([5, 5])
    inputs = [x, net.param(5, 5)]
    if bias is not None:
        inputs.append(net.param(*bias))
    gemm = net.op("Gemm", *inputs, alpha=0.5, beta=2.0, transA=trans_a, transB=trans_b)
    result = fold_model(net.model(net.norm(gemm, 5, 0)))
    assert result.ops == ["Gemm"]
    assert_same_function(result)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_with_the_constant_on_the_left(trans_a, trans_b):
    net = Net()
    x = net.input([5, 5])
    gemm = net.op("Gemm", net.param(5, 5), x, net.param(5, 1), transA=trans_a, transB=trans_b)
    result = fold_model(net.model(net.norm(gemm, 5, 1)))
    assert result.ops == ["Gemm"]
    assert_same_function(result)


def test_gemm_whose_constant_runs_over_the_rows_is_left():
    net = Net()
    x = net.input([5, 5])
    gemm = net.op("Gemm", x, net.param(5, 5))
    result = fold_model(net.model(net.norm(gemm, 5, 1)))
    assert "axis 0" in result.reason()
    assert_same_function(result)


def test_gemm_with_a_bias_per_row_is_no_linear_map_per_channel():
    net = Net()
    x = net.input([5, 5])
    gemm = net.op("Gemm", x, net.param(5, 5), net.param(5, 1))
    result = fold_model(net.model(net.norm(gemm, 5, 0)))
    assert not result.all_folded
    assert_same_function(result)


@pytest.mark.parametrize("shape", [["N", 6], ["N", 5, 6], [2, "M", 5, 6]])
@pytest.mark.parametrize("bias", [False, True])
def test_matmul_by_a_constant_on_the_right(shape, bias):
    net = Net()
    y = net.op("MatMul", net.input(shape), net.param(6, 6))
    if bias:
        y = net.op("Add", net.param(6), y)
    result = fold_model(net.model(net.norm(y, 6, 0)))
    assert result.ops == (["Gemm"] if len(shape) == 2 else ["MatMul", "Add"])
    assert len(result.norms) == 1
    assert_same_function(result)


def test_matmul_by_a_constant_on_the_left():
    net = Net()
    y = net.op("MatMul", net.param(6, 6), net.input(["N", 6, 6]))
    result = fold_model(net.model(net.norm(y, 6, 1)))
    assert result.ops == ["MatMul", "Add"]
    assert_same_function(result)


def test_matmul_by_a_batch_of_matrices_is_left():
    net = Net()
    y = net.op("MatMul", net.input([3, 6, 6]), net.param(3, 6, 6))
    result = fold_model(net.model(net.norm(y, 6, 0)))
    assert not result.all_folded
    assert_same_function(result)


def test_square_weight_with_constants_along_the_other_axis_is_left():
    net = Net()
    y = net.op("MatMul", net.input([2, 6, 6]), net.param(6, 6))
    result = fold_model(net.model(net.norm(y, 6, 1)))
    assert "axis 1" in result.reason()
    assert "axis 2" in result.reason()
    assert_same_function(result)


def test_a_constant_along_the_width_that_has_as_many_entries_as_channels_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 8, pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.op("Mul", conv, net.param(8))))
    assert "axis 3" in result.reason()
    assert_same_function(result)


def test_a_constant_over_channels_and_width_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 8, pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.op("Mul", conv, net.param(8, 1, 8))))
    assert "more than one axis" in result.reason()
    assert_same_function(result)


def test_a_constant_that_broadcasts_its_input_up_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 1, pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.op("Mul", conv, net.param(4, 1, 1))))
    assert not result.all_folded
    assert_same_function(result)


def test_a_constant_that_raises_the_rank_is_left():
    net = Net()
    y = net.op("MatMul", net.input([4, 6]), net.param(6, 6))
    result = fold_model(net.model(net.op("Mul", y, net.param(1, 1, 6))))
    assert "rank" in result.reason()
    assert_same_function(result)


def test_a_linear_output_with_two_consumers_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4, name="shared")
    result = fold_model(net.model(net.batch_norm(conv, 4), net.op("Sigmoid", conv)))
    assert "'shared' feeds 2 consumers" in result.reason()
    assert_same_function(result)


def test_a_value_before_the_norm_that_is_a_graph_output_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4, name="tapped")
    result = fold_model(net.model(net.batch_norm(conv, 4), conv))
    assert "graph output 'tapped'" in result.reason()
    assert_same_function(result)


def test_a_weight_shared_by_two_convs_is_copied_before_it_changes():
    net = Net()
    x = net.input([2, 4, 8, 8])
    weight = net.param(4, 4, 3, 3)
    first = net.batch_norm(net.op("Conv", x, weight), 4)
    second = net.op("Conv", first, weight)
    result = fold_model(net.model(second))
    assert result.ops == ["Conv", "Conv"]
    assert result.all_folded
    assert len([t for t in result.after.graph.initializer if len(t.dims) == 4]) == 2
    assert_same_function(result)


def test_a_weight_shared_by_two_convs_that_take_the_same_change_stays_shared():
    net = Net()
    x = net.input([2, 4, 8, 8])
    weight, gamma = net.param(4, 4, 3, 3), net.param(4, 1, 1)
    first = net.op("Mul", net.op("Conv", x, weight), gamma)
    second = net.op("Mul", net.op("Conv", net.op("Relu", first), weight), gamma)
    result = fold_model(net.model(second))
    assert result.all_folded
    assert len([t for t in result.after.graph.initializer if len(t.dims) == 4]) == 1
    assert_same_function(result)


def test_two_norms_in_a_row_are_two_sites_and_both_go():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    result = fold_model(net.model(net.norm(net.norm(conv, 4, 2), 4, 2)))
    assert result.ops == ["Conv"]
    assert [site.spelling for site in result.norms] == [("Sub", "Div", "Mul", "Add")] * 2
    assert_same_function(result)


def test_constant_minus_conv_and_negation():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    y = net.op("Neg", net.op("Sub", net.param(4, 1, 1), conv))
    result = fold_model(net.model(y))
    assert result.ops == ["Conv"]
    assert_same_function(result)


def test_constant_over_conv_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    result = fold_model(net.model(net.op("Div", net.param(4, 1, 1), conv)))
    assert result.ops == ["Conv", "Div"]
    assert_same_function(result)


def test_batch_statistics_are_left_and_said():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    mean = net.op("ReduceMean", conv, net.ints(0, 2, 3))
    centred = net.op("Sub", conv, mean)
    y = net.op("Add", net.op("Mul", centred, net.param(4, 1, 1)), net.param(4, 1, 1))
    result = fold_model(net.model(y))
    assert len(result.norms) == 1
    assert not result.norms[0].folded
    assert_same_function(result)


def test_training_mode_is_left_and_said():
    net = Net()
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    parameters = [net.param(4) for _ in range(3)] + [net.param(4, low=0.3)]
    y, _, _ = net.ops("BatchNormalization", conv, *parameters, count=3, training_mode=1)
    result = fold_model(net.model(y))
    assert "training_mode" in result.reason()
    assert result.ops == ["Conv", "BatchNormalization"]


def test_half_weights_with_single_statistics_stay_half():
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4)
    net.dtype = np.dtype(np.float32)
    parameters = [net.param(4, low=0.5) for _ in range(4)]
    net.dtype = np.dtype(np.float16)
    result = fold_model(net.model(net.op("BatchNormalization", conv, *parameters)))
    assert result.ops == ["Conv"]
    assert {t.data_type for t in result.after.graph.initializer} == {10}


def test_half_weights_that_would_overflow_are_left():
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4, name="small")
    big = net.const(np.full((4, 1, 1), 6e4, np.float16))
    result = fold_model(net.model(net.op("Mul", net.op("Mul", conv, big), big)))
    assert "overflow float16" in result.reason()


def test_half_weights_of_which_a_channel_would_vanish_are_left():
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 8, 8]), 3, 4, name="small")
    tiny = net.const(np.array([1, 1, 1e-5, 1], np.float16).reshape(4, 1, 1))
    result = fold_model(net.model(net.op("Mul", conv, tiny)))
    assert "vanish in float16" in result.reason()
