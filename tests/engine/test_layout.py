"""Through ops that only rearrange elements: each element keeps its own constants."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import TensorProto, helper


def _batch(net: Net, x: str) -> str:
    """The run-time batch size of ``x``, as ``x.shape[0]`` exports."""
    return net.op("Gather", net.op("Shape", x), net.ints(0), axis=0)


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [1, 0, 2, 3], [3, 2, 1, 0], None])
def test_a_transpose_before_the_norm(perm):
    net = Net()
    conv = net.conv(net.input([4, 3, 4, 4]), 3, 4, (1, 1))
    turned = net.op("Transpose", conv, **({"perm": perm} if perm else {}))
    axis = (perm or [3, 2, 1, 0]).index(1)
    assert_folded(fold_model(net.model(net.norm(turned, 4, 3 - axis))), ["Conv", "Transpose"])


@pytest.mark.parametrize("perm", [[0, 3, 1, 2], [1, 3, 0, 2]])
def test_a_transpose_after_the_norm(perm):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([4, 4, 4, 4])), 4, 0)
    y = net.conv(net.op("Transpose", normed, perm=perm), 4, 3)
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "Transpose", "Conv"])


def test_a_transpose_that_brings_another_axis_of_the_same_length_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    turned = net.op("Transpose", conv, perm=[0, 2, 1, 3])
    assert_left(fold_model(net.model(net.norm(turned, 4, 2))), "axis 2")


def test_linear_over_a_sequence_normed_along_its_features():
    net = Net()
    product = net.op("MatMul", net.input(["N", 6, 5]), net.param(5, 6))
    turned = net.op("Transpose", net.op("Add", product, net.param(6)), perm=[0, 2, 1])
    back = net.op("Transpose", net.batch_norm(turned, 6), perm=[0, 2, 1])
    assert_folded(fold_model(net.model(back)), ["MatMul", "Add"])


def test_linear_over_a_sequence_normed_along_its_positions_is_left_when_square():
    net = Net()
    product = net.op("MatMul", net.input(["N", 6, 5]), net.param(5, 6))
    result = fold_model(net.model(net.batch_norm(net.op("Add", product, net.param(6)), 6)))
    assert_left(result, "axis 1")


def test_linear_flattened_normed_and_reshaped_back():
    net = Net()
    x = net.input(["N", 6, 5])
    product = net.op("MatMul", x, net.param(5, 6))
    flat = net.op("Reshape", product, net.ints(-1, 6))
    normed = net.batch_norm(flat, 6)
    target = net.op(
        "Concat", net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(2)), net.ints(6), axis=0
    )
    y = net.op("Reshape", normed, target)
    result = fold_model(net.model(y))
    assert result.all_folded
    assert "BatchNormalization" not in result.ops
    assert_same_function(result)


def test_linear_with_a_bias_flattened_and_normed_by_hand():
    net = Net()
    product = net.op("Add", net.op("MatMul", net.input(["N", 6, 6]), net.param(6, 6)), net.param(6))
    flat = net.op("Reshape", product, net.ints(-1, 6))
    y = net.op("Reshape", net.norm(flat, 6, 0), net.ints(-1, 6, 6))
    assert_folded(fold_model(net.model(y)), ["MatMul", "Add"])


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [1, 0, 2, 3]])
def test_a_norm_in_channel_last_or_channel_major_order(perm):
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4)
    inner = net.norm(net.op("Transpose", conv, perm=perm), 4, 3 - perm.index(1))
    back = net.op("Transpose", inner, perm=[perm.index(i) for i in range(4)])
    assert_folded(fold_model(net.model(net.op("Relu", back))))


def test_a_norm_of_channels_flattened_with_the_batch_first():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    major = net.op("Reshape", net.op("Transpose", conv, perm=[1, 0, 2, 3]), net.ints(4, -1))
    normed = net.norm(major, 4, 1)
    back = net.op("Transpose", net.op("Reshape", normed, net.ints(4, 2, 4, 4)), perm=[1, 0, 2, 3])
    assert_folded(fold_model(net.model(back)))


@pytest.mark.parametrize("forward", [False, True])
def test_a_channel_shuffle(forward):
    net = Net()
    x = net.input(["N", 6, 4, 4])
    h = net.norm(net.op("Sigmoid", x), 6, 2) if forward else net.conv(x, 6, 6, (1, 1))
    h = net.op("Reshape", h, net.ints(-1, 2, 3, 4, 4))
    h = net.op("Transpose", h, perm=[0, 2, 1, 3, 4])
    h = net.op("Reshape", h, net.ints(-1, 6, 4, 4))
    y = net.conv(h, 6, 3) if forward else net.norm(h, 6, 2)
    result = fold_model(net.model(y))
    assert set(result.norms[0].through) == {"Reshape", "Transpose"}
    assert_folded(result)


@pytest.mark.parametrize("forward", [False, True])
def test_a_channel_shuffle_by_run_time_shapes_of_the_graph_input(forward):
    net = Net()
    x = net.input(["N", 6, "H", "W"])
    h = net.norm(net.op("Sigmoid", x), 6, 2) if forward else net.conv(x, 6, 6, (1, 1))
    rest = net.op("Slice", net.op("Shape", x), net.ints(2), net.ints(4))
    wide = net.op("Concat", _batch(net, x), net.ints(2, 3), rest, axis=0)
    h = net.op("Transpose", net.op("Reshape", h, wide), perm=[0, 2, 1, 3, 4])
    h = net.op("Reshape", h, net.op("Concat", _batch(net, x), net.ints(6), rest, axis=0))
    y = net.conv(h, 6, 3, (1, 1)) if forward else net.norm(h, 6, 2)
    assert_folded(fold_model(net.model(y)))


def test_a_channel_shuffle_by_the_run_time_shape_of_the_value_itself():
    net = Net()
    conv = net.conv(net.input(["N", 6, 4, 4]), 6, 6, (1, 1))
    wide = net.op("Concat", _batch(net, conv), net.ints(2, 3, 4, 4), axis=0)
    h = net.op("Transpose", net.op("Reshape", conv, wide), perm=[0, 2, 1, 3, 4])
    h = net.op("Reshape", h, net.op("Shape", conv))
    assert_folded(fold_model(net.model(net.norm(h, 6, 2))))


def test_flattened_features_by_the_run_time_batch_of_the_value_itself():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 6, (1, 1))
    flat = net.op("Reshape", conv, net.op("Concat", _batch(net, conv), net.ints(-1), axis=0))
    turned = net.op("Reshape", flat, net.op("Shape", conv))
    assert_folded(fold_model(net.model(net.norm(turned, 6, 2))))


def test_flattened_features_by_the_run_time_batch_in_an_old_opset():
    net = Net(opset=9)
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 6, (1, 1))
    batch = net.op("Slice", net.op("Shape", conv), starts=[0], ends=[1])
    flat = net.op("Reshape", conv, net.op("Concat", batch, net.ints(-1), axis=0))
    y = net.op("Gemm", net.batch_norm(flat, 96), net.param(96, 3), net.param(3))
    assert_folded(fold_model(net.model(y)))


def test_a_norm_of_a_value_whose_shape_alone_is_read_elsewhere():
    net = Net()
    x = net.input(["N", 4, 4, 4])
    normed = net.norm(net.op("Sigmoid", x), 4, 2)
    y = net.op("Reshape", net.conv(normed, 4, 4, (1, 1)), net.op("Shape", normed))
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("forward", [False, True])
def test_squeeze_and_unsqueeze(forward):
    net = Net()
    x = net.input(["N", 4, 6])
    h = net.norm(net.op("Sigmoid", x), 4, 1) if forward else net.conv(x, 4, 4, (1,))
    h = net.op("Unsqueeze", h, net.ints(1, -1))
    h = net.op("Squeeze", h, net.ints(1, -1))
    y = net.conv(h, 4, 3, (1,)) if forward else net.norm(h, 4, 1)
    assert_folded(fold_model(net.model(y)))


def test_squeeze_of_every_axis_of_length_one():
    net = Net()
    conv = net.conv(net.input([2, 3, 1, 6]), 3, 4, (1, 1))
    assert_folded(fold_model(net.model(net.norm(net.op("Squeeze", conv), 4, 1))))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_flatten_at_any_axis(axis):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 1]), 3, 4, (1, 1))
    flat = net.op("Flatten", conv, axis=axis)
    result = fold_model(net.model(net.op("Mul", flat, net.scalar(2.0))))
    assert_folded(result, ["Conv", "Flatten"])


def test_batch_norm_1d_after_flattening_one_position():
    net = Net()
    conv = net.conv(net.input(["N", 3, 3, 3]), 3, 4, (3, 3))
    assert_folded(
        fold_model(net.model(net.batch_norm(net.op("Flatten", conv), 4))), ["Conv", "Flatten"]
    )


def test_batch_norm_1d_over_flattened_positions_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 2, 2]), 3, 4, (1, 1))
    flat = net.op("Flatten", conv, name="flat")
    result = fold_model(net.model(net.batch_norm(flat, 16)))
    assert_left(result, "Flatten 'flat' spreads its channels over several axes")


def test_flattened_constants_that_are_equal_within_each_channel_go_back():
    net = Net()
    flat = net.op("Flatten", net.conv(net.input(["N", 3, 2, 2]), 3, 4, (1, 1)))
    assert_folded(
        fold_model(net.model(net.op("Mul", flat, net.const(np.repeat(net.floats(4), 4)))))
    )


def test_constants_spread_over_two_axes_with_no_op_that_joins_them_are_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 6, 4])), 6, 1)
    parted = net.op("Reshape", normed, net.ints(2, 2, 3, 4), name="part")
    result = fold_model(net.model(net.op("Sigmoid", parted)))
    assert_left(result, "Reshape 'part' spreads its channels over several axes")


def test_constants_spread_over_two_axes_of_a_value_read_twice_are_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 6, 4])), 6, 1)
    parted = net.op("Reshape", normed, net.ints(2, 2, 3, 4), name="part")
    joined = net.op("Reshape", parted, net.ints(2, 6, 4))
    result = fold_model(net.model(net.conv(joined, 6, 3, (1,)), net.op("Tanh", parted)))
    assert_left(result, "Reshape 'part' spreads its channels over several axes")


def test_constants_spread_over_two_axes_of_a_graph_output_are_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4]), 3, 6, (1,))
    parted = net.op("Reshape", conv, net.ints(2, 2, 3, 4), name="part")
    joined = net.op("Reshape", net.op("Transpose", parted, perm=[0, 2, 1, 3]), net.ints(2, 6, 4))
    result = fold_model(net.model(net.norm(joined, 6, 1), parted))
    assert_left(result, "spreads its channels over several axes")


def test_a_reshape_to_an_unknown_shape_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    target = net.op("Abs", net.input([4], "shape", dtype=np.int64))
    loose = net.op("Reshape", conv, target, name="loose")
    result = fold_model(net.model(net.batch_norm(loose, 4)))
    assert "which channels Reshape 'loose' moves where is not known" in result.reason()


def test_a_reshape_from_an_unknown_shape_is_left():
    net = Net()
    target = net.op("Abs", net.input([4], "shape", dtype=np.int64))
    loose = net.op("Reshape", net.op("Sigmoid", net.input([2, 4, 4, 4])), target)
    flat = net.op("Reshape", net.batch_norm(loose, 4), net.ints(-1, 16), name="flat")
    result = fold_model(net.model(net.op("MatMul", flat, net.param(16, 3))))
    assert "which channels Reshape 'flat' moves where is not known" in result.reason()


def test_the_shape_of_a_reshape_takes_no_affine():
    net = Net()
    steering = net.op("Mul", net.input([2], "s"), net.scalar(0.0))
    shape = net.op("Cast", net.op("Add", steering, net.scalar(4.0)), to=7)
    y = net.op("Reshape", net.input([2, 8]), shape)
    assert_same_function(fold_model(net.model(net.op("Reshape", y, net.ints(-1)))))


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_reshape_that_moves_the_channel_axis_to_one_of_the_same_length_is_left(batch):
    net = Net()
    product = net.op("MatMul", net.input([batch, 4, 4]), net.param(4, 4))
    moved = net.op("Reshape", product, net.ints(-1, 4, 2, 2))
    result = fold_model(net.model(net.norm(moved, 4, 2)))
    assert not result.all_folded
    assert_same_function(result)


def test_heads_of_an_attention_take_constants_along_the_head_size():
    net = Net()
    product = net.op("MatMul", net.input(["N", 5, 6]), net.param(6, 6))
    heads = net.op("Transpose", net.op("Reshape", product, net.ints(0, 0, 2, 3)), perm=[0, 2, 1, 3])
    assert_folded(fold_model(net.model(net.op("Mul", heads, net.param(3)))))


def test_heads_of_an_attention_take_constants_along_the_heads():
    net = Net()
    product = net.op("MatMul", net.input(["N", 5, 6]), net.param(6, 6))
    heads = net.op("Transpose", net.op("Reshape", product, net.ints(0, 0, 2, 3)), perm=[0, 2, 1, 3])
    assert_folded(fold_model(net.model(net.op("Mul", heads, net.param(2, 1, 1)))))


@pytest.mark.parametrize("batch", ["N", 2])
def test_constants_of_one_batch_entry_follow_the_batch(batch):
    net = Net()
    conv = net.conv(net.input([batch, 3, 4, 4]), 3, 4, (1, 1))
    flat = net.op("Reshape", conv, net.ints(-1, 4, 16))
    assert_folded(fold_model(net.model(net.norm(flat, 4, 1))), ["Conv", "Reshape"])


def test_a_reshape_of_nothing_is_left_alone():
    net = Net()
    scaled = net.op("Mul", net.op("Sigmoid", net.input([0, 3, 4])), net.param(3, 1))
    result = fold_model(net.model(net.op("Reshape", scaled, net.ints(3, 4, 0), allowzero=1)))
    assert result.ops[-1] == "Reshape"


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_op_of_another_domain_with_a_standard_name_moves_nothing(forward, which):
    net = Net()
    x = net.input([2, 4, 3, 3])
    x = net.norm(net.op("Tanh", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    split = net.op("Reshape", x, net.ints(2, 2, 2, 3, 3))
    joined = net.op(
        "Reshape", net.op("Transpose", split, perm=[0, 2, 1, 3, 4]), net.ints(2, 4, 3, 3)
    )
    y = net.conv(joined, 4, 4, (1, 1)) if forward else net.norm(joined, 4, 2)
    model = net.model(y)
    stranger = [n for n in model.graph.node if n.op_type in ("Reshape", "Transpose")][which]
    stranger.domain = "elsewhere"
    model.opset_import.add(domain="elsewhere", version=1)
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    for name, shape in ((split, [2, 2, 2, 3, 3]), (joined, [2, 4, 3, 3])):
        model.graph.value_info.append(
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)
        )
    result = fold_model(model)
    assert not result.norms[0].folded
    kept = [n for n in result.after.graph.node if n.domain == "elsewhere"]
    assert len(kept) == 1
