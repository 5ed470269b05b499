"""A norm before a linear map goes into it, wherever every consumer can take it exactly."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

from bnfuse.folding.search import Search


@pytest.mark.parametrize("shape", [["N", 6], ["N", 6, 6], [2, "L", 6, 6]])
@pytest.mark.parametrize("bias", [False, True])
def test_matmul_takes_scale_and_shift(shape, bias):
    net = Net()
    y = net.op("MatMul", net.norm(net.input(shape), 6, 0), net.param(6, 6))
    if bias:
        y = net.op("Add", y, net.param(6))
    result = fold_model(net.model(y))
    assert result.ops in (["MatMul", "Add"], ["Gemm"])
    assert_folded(result)


def test_matmul_by_a_constant_on_the_left_takes_constants_along_the_rows():
    net = Net()
    y = net.op("MatMul", net.param(4, 6), net.norm(net.input(["N", 6, 6]), 6, 1))
    assert_folded(fold_model(net.model(y)), ["MatMul", "Add"])


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("left", [False, True])
def test_gemm_in_every_orientation(trans_a, trans_b, left):
    net = Net()
    x, weight = net.input([5, 5]), net.param(5, 5)
    along_rows = left != bool(trans_b if left else trans_a)
    normed = net.norm(x, 5, 1 if along_rows else 0)
    operands = (weight, normed) if left else (normed, weight)
    y = net.op("Gemm", *operands, alpha=0.5, transA=trans_a, transB=trans_b)
    assert_folded(fold_model(net.model(y)), ["Gemm"])


@pytest.mark.parametrize("trans_a", [0, 1])
def test_gemm_refuses_constants_along_the_other_axis_of_a_square_input(trans_a):
    net = Net()
    normed = net.norm(net.input([5, 5]), 5, 0 if trans_a else 1)
    y = net.op("Gemm", normed, net.param(5, 5), transA=trans_a, name="fc")
    assert_left(fold_model(net.model(y)), "Gemm 'fc' takes its channels along axis")


def test_a_norm_of_flattened_features_goes_into_the_gemm():
    net = Net()
    flat = net.op("Flatten", net.op("Sigmoid", net.input(["N", 3, 2, 2])))
    y = net.op("Gemm", net.batch_norm(flat, 12), net.param(12, 5))
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "Flatten", "Gemm"])


def test_a_norm_of_channels_goes_through_the_flatten_into_the_gemm():
    net = Net()
    normed = net.batch_norm(net.op("Sigmoid", net.input(["N", 3, 2, 2])), 3)
    y = net.op("Gemm", net.op("Flatten", normed), net.param(12, 5))
    result = fold_model(net.model(y))
    assert result.norms[0].through == ("Flatten",)
    assert_folded(result, ["Sigmoid", "Flatten", "Gemm"])


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(
    ("size", "kernel"), [([5], (3,)), ([4, 4], (3, 3)), ([3, 4, 5], (2, 3, 1))]
)
def test_conv_without_padding_takes_scale_and_shift(group, size, kernel):
    net = Net()
    normed = net.norm(net.input(["N", 4, *size]), 4, len(size))
    assert_folded(fold_model(net.model(net.conv(normed, 4, 8, kernel, group=group))), ["Conv"])


def test_depthwise_strided_dilated_conv_without_padding_takes_both():
    net = Net()
    normed = net.batch_norm(net.input([2, 6, 9, 9]), 6)
    y = net.conv(normed, 6, 12, group=6, bias=True, strides=[2, 2], dilations=[2, 2])
    assert_folded(fold_model(net.model(y)), ["Conv"])


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 0, 0, 1]])
def test_padded_conv_takes_a_scale(group, pads):
    net = Net()
    scaled = net.op("Mul", net.input(["N", 4, 6, 6]), net.param(4, 1, 1))
    assert_folded(fold_model(net.model(net.conv(scaled, 4, 4, group=group, pads=pads))), ["Conv"])


@pytest.mark.parametrize("attributes", [{"pads": [0, 0, 1, 0]}, {"auto_pad": "SAME_UPPER"}])
def test_padded_conv_does_not_take_a_shift(attributes):
    net = Net()
    shifted = net.op("Add", net.input([2, 4, 6, 6]), net.param(4, 1, 1))
    result = fold_model(net.model(net.conv(shifted, 4, 4, name="padded", **attributes)))
    assert_left(result, "Conv 'padded' pads with zeros, which the shift must not reach")


def test_a_normaliser_before_a_padded_conv_leaves_one_op():
    net = Net()
    normed = net.norm(net.input([2, 4, 6, 6]), 4, 2)
    result = fold_model(net.model(net.conv(normed, 4, 4, pads=[1, 1, 1, 1])))
    assert_left(result, "pads with zeros")
    assert len(result.ops) == 2


def test_auto_pad_valid_ignores_the_pads():
    net = Net()
    normed = net.norm(net.input([2, 4, 6, 6]), 4, 2)
    assert_folded(fold_model(net.model(net.conv(normed, 4, 4, auto_pad="VALID"))), ["Conv"])


@pytest.mark.parametrize("group", [1, 2, 4])
def test_conv_transpose_takes_a_scale(group):
    net = Net()
    scaled = net.op("Mul", net.input(["N", 4, 4, 4]), net.param(4, 1, 1))
    y = net.conv(scaled, 4, 4, group=group, transposed=True, strides=[2, 2], bias=True)
    assert_folded(fold_model(net.model(y)), ["ConvTranspose"])


def test_conv_transpose_does_not_take_a_shift_since_its_border_sees_fewer_taps():
    net = Net()
    shifted = net.op("Add", net.input([2, 4, 4, 4]), net.param(4, 1, 1))
    result = fold_model(net.model(net.conv(shifted, 4, 4, transposed=True, name="up")))
    assert_left(result, "ConvTranspose 'up'")


@pytest.mark.parametrize("scale", [-1.0, 0.0])
def test_a_scale_that_is_negative_or_zero_goes_forward(scale):
    net = Net()
    gamma = net.const(np.array([scale, 1.0, scale, 2.0]).reshape(4, 1, 1))
    y = net.op("Add", net.op("Mul", net.input(["N", 4, 3, 3]), gamma), net.param(4, 1, 1))
    assert_folded(fold_model(net.model(net.conv(y, 4, 4))), ["Conv"])


def test_uniform_scalars_go_into_any_axis():
    net = Net()
    y = net.op("Div", net.op("Sub", net.input(["N", 6, 5]), net.scalar(0.5)), net.scalar(0.25))
    assert_folded(fold_model(net.model(net.op("MatMul", y, net.param(5, 3)))), ["MatMul", "Add"])


def test_every_consumer_takes_it():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 3, 3])), 4, 2)
    conv = net.op("Sigmoid", net.conv(normed, 4, 4))
    depthwise = net.op("Tanh", net.conv(normed, 4, 4, group=4))
    flat = net.op("Gemm", net.op("Flatten", normed), net.param(36, 5))
    result = fold_model(net.model(conv, depthwise, flat))
    assert len(result.norms[0].into) == 3
    assert_folded(result)


def test_no_consumer_takes_it_when_one_cannot():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 3, 3])), 4, 2)
    blocker = net.op("Tanh", normed, name="blocker")
    result = fold_model(net.model(net.conv(normed, 4, 4), blocker))
    assert_left(result, "no exact rule moves it on through Tanh 'blocker'")


def test_a_norm_whose_output_the_graph_gives_is_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 3, 3])), 4, 2)
    result = fold_model(net.model(net.conv(normed, 4, 4), normed))
    assert_left(result, f"{normed!r} is an output of the graph")


def test_a_node_that_takes_the_norm_twice_is_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 3, 3])), 4, 2)
    doubled = net.op("Mul", normed, normed, name="squared")
    result = fold_model(net.model(net.conv(doubled, 4, 4)))
    assert_left(result, "a shift does not pass through Mul 'squared'")


def test_a_norm_of_the_graph_input_says_so():
    net = Net()
    y = net.op("Sigmoid", net.norm(net.input([2, 4]), 4, 0))
    assert_left(fold_model(net.model(y)), "it is fed by the graph's input 'x'")


def test_a_norm_after_an_op_without_a_rule_says_so():
    net = Net()
    y = net.norm(net.op("Tanh", net.input([2, 4]), name="blocker"), 4, 0)
    assert_left(fold_model(net.model(y)), "no exact rule moves it back through Tanh 'blocker'")


def test_a_matmul_by_a_run_time_matrix_takes_nothing():
    net = Net()
    normed = net.norm(net.input([2, 4, 4]), 4, 0)
    y = net.op("MatMul", normed, net.op("Sigmoid", net.input([2, 4, 4], "other")))
    assert_left(fold_model(net.model(y)), "its constants run along an axis that MatMul")


def test_the_two_halves_of_a_norm_may_meet_in_one_node():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 8, name="shared")
    first, second = net.ops("Split", conv, count=2, axis=1, num_outputs=2)
    pooled = net.op("MaxPool", first, kernel_shape=[1, 1])
    normed = net.op(
        "Add", net.op("Mul", pooled, net.const(-np.ones((4, 1, 1)))), net.param(4, 1, 1)
    )
    y = net.conv(net.op("Add", normed, second), 4, 4, pads=[1, 1, 1, 1])
    result = fold_model(net.model(y))
    assert_folded(result)
    assert result.sites[0].into == ("Conv shared", "Conv conv_10")


def test_a_half_weight_that_would_overflow_refuses():
    net = Net(dtype=np.float16)
    scaled = net.op("Mul", net.input([2, 4]), net.const(np.full(4, 6e4, np.float16)))
    weight = net.const(np.full((4, 4), 4, np.float16), "wide")
    result = fold_model(net.model(net.op("MatMul", scaled, weight, name="fc")))
    assert "a weight of 'fc' would overflow float16" in result.reason()


def test_a_half_bias_that_would_overflow_refuses():
    net = Net(dtype=np.float16)
    shifted = net.op("Add", net.input([2, 4]), net.const(np.full(4, 6e4, np.float16)))
    weight = net.const(np.ones((4, 4), np.float16))
    result = fold_model(net.model(net.op("MatMul", shifted, weight, name="fc")))
    assert "a bias of 'fc' would overflow float16" in result.reason()


@pytest.mark.parametrize("already", [1.0, 1e-7])
def test_a_half_channel_that_would_vanish_refuses_even_beside_one_that_was_tiny(already):
    net = Net(dtype=np.float16)
    tiny = net.const(np.array([1, 1, 1e-6, 1], np.float16))
    scaled = net.op("Mul", net.op("Sigmoid", net.input([2, 4])), tiny)
    weight = np.full((4, 4), 0.1, np.float16)
    weight[0] = already
    result = fold_model(net.model(net.op("MatMul", scaled, net.const(weight), name="fc")))
    assert "a channel of 'fc' would vanish in float16" in result.reason()


def test_a_search_with_many_ways_ends():
    net = Net()
    x = net.input([2, 4, 3, 3])
    y = net.op("Add", net.op("Sigmoid", x), net.conv(x, 4, 4, (1, 1)))
    for _ in range(14):
        y = net.op("Add", y, net.op("Mul", net.conv(x, 4, 4, (1, 1)), net.op("Sigmoid", x)))
    result = fold_model(net.model(net.norm(y, 4, 2)))
    assert not result.all_folded
    assert_same_function(result)


def test_a_search_that_grows_too_large_says_so(monkeypatch):
    monkeypatch.setattr(Search, "_BUDGET", 5)
    net = Net()
    y = net.conv(net.input([2, 4, 3, 3]), 4, 4, (1, 1))
    for _ in range(8):
        y = net.op("Dropout", y)
    result = fold_model(net.model(net.norm(y, 4, 2)))
    assert_left(result, "the search for a place to put it grew too large")


def test_a_value_that_a_subgraph_reads_too_is_left():
    from onnx import TensorProto, helper

    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 4])), 4, 0)
    branches = {}
    for name, op_type in (("then_branch", "Abs"), ("else_branch", "Neg")):
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.DOUBLE, [2, 4])
        node = helper.make_node(op_type, [normed], [f"{name}_out"])
        branches[name] = helper.make_graph([node], name, [], [out])
    condition = net.const(np.array(True))
    chosen = net.op("If", condition, **branches)
    y = net.op("MatMul", normed, net.param(4, 4))
    result = fold_model(net.model(y, chosen))
    assert not result.all_folded
    assert_same_function(result)


def test_a_constant_that_meets_the_norm_takes_its_part():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 4, 3, 3])), 4, 2, positive=True)
    y = net.conv(net.op("Add", normed, net.param(4, 3, 3)), 4, 4)
    result = fold_model(net.model(y))
    assert result.ops == ["Sigmoid", "Add", "Conv"]
    assert len(result.norms) == 1
    assert result.norms[0].folded
    assert_same_function(result)


def test_a_half_constant_that_cannot_take_it_refuses():
    net = Net(dtype=np.float16)
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    scaled = net.op("Mul", h, net.const(np.full((4, 1, 1), 1e-2, np.float16)))
    wide = net.const(np.float16(5e4) * net.floats(4, 3, 3, low=0.5, high=1.0), "wide")
    y = net.conv(net.op("Add", scaled, wide), 4, 4)
    result = fold_model(net.model(y))
    assert f"the constant {wide!r} cannot take it" in result.reason()
