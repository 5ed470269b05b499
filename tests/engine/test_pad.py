"""Through an explicit Pad, which takes the shifted padding value with it."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, feeds_for, fold_model
from onnxruntime import InferenceSession

AROUND = (0, 0, 1, 1, 0, 0, 1, 2)


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_padding_that_repeats_elements_passes_everything(mode):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), mode=mode)
    assert_folded(fold_model(net.model(net.norm(padded, 4, 2))), ["Conv", "Pad"])


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_padding_that_repeats_elements_passes_everything_on(mode):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 4, 4, 4])), 4, 2)
    padded = net.op("Pad", normed, net.ints(*AROUND), mode=mode)
    assert_folded(fold_model(net.model(net.conv(padded, 4, 3))), ["Sigmoid", "Pad", "Conv"])


@pytest.mark.parametrize("forward", [False, True])
def test_zero_padding_passes_a_scale(forward):
    net = Net()
    x = net.input(["N", 4, 4, 4])
    h = net.op("Sigmoid", x) if forward else net.conv(x, 4, 4, (1, 1))
    scale = net.param(4, 1, 1)
    h = net.op("Mul", h, scale) if forward else h
    h = net.op("Pad", h, net.ints(*AROUND))
    # A plain Conv would take the Pad too.
    y = net.conv(h, 4, 3, transposed=True) if forward else net.op("Mul", h, scale)
    result = fold_model(net.model(y))
    assert_folded(result)
    assert len(result.after.graph.node[-1 if not forward else -2].input) == 2


def test_an_input_normaliser_whose_mean_is_uniform_goes_through_zero_padding():
    net = Net()
    y = net.op("Div", net.op("Sub", net.input(["N", 3, 4, 4]), net.scalar(0.5)), net.scalar(0.25))
    padded = net.op("Pad", y, net.ints(*AROUND))
    assert_folded(fold_model(net.model(net.conv(padded, 3, 4))), ["Pad", "Conv"])


def test_a_value_that_is_padded_with_becomes_the_shifted_value():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), net.scalar(0.5))
    y = net.op("Add", net.op("Mul", padded, net.scalar(3.0)), net.scalar(-2.0))
    assert_folded(fold_model(net.model(y)), ["Conv", "Pad"])


def test_constants_that_agree_on_the_padding_value_pass():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 2, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), net.scalar(1.0))
    y = net.op("Mul", padded, net.const(np.array([2.0, 3.0]).reshape(2, 1, 1)))
    y = net.op("Add", y, net.const(np.array([3.0, 2.0]).reshape(2, 1, 1)))
    assert_folded(fold_model(net.model(y)), ["Conv", "Pad"])


@pytest.mark.parametrize("forward", [False, True])
def test_constants_that_need_another_value_per_channel_are_left(forward):
    net = Net()
    x = net.input(["N", 4, 4, 4])
    h = net.norm(net.op("Sigmoid", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    h = net.op("Pad", h, net.ints(*AROUND), name="border")
    y = net.conv(h, 4, 3, transposed=True) if forward else net.norm(h, 4, 2)
    result = fold_model(net.model(y))
    assert_left(result, "Pad 'border' would need another padding value for each channel")


def test_a_scale_of_a_value_other_than_zero_is_left():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), net.scalar(1.0))
    result = fold_model(net.model(net.op("Mul", padded, net.param(4, 1, 1))))
    assert_left(result, "another padding value for each channel")


def test_a_scale_of_zero_cannot_be_undone_before_a_pad():
    net = Net()
    gamma = net.const(np.array([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1))
    normed = net.op("Mul", net.op("Sigmoid", net.input([2, 4, 4, 4])), gamma)
    padded = net.op("Pad", normed, net.ints(*AROUND), net.scalar(1.0), name="border")
    result = fold_model(net.model(net.conv(padded, 4, 3)))
    assert_left(result, "a scale of 0 cannot be undone before Pad 'border'")


@pytest.mark.parametrize("axes", [None, (1,), (-3,)])
def test_padded_channels_keep_the_norm(axes):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    operands = (net.ints(0, 1, 0, 0, 0, 0, 0, 0),)
    if axes is not None:
        operands = (net.ints(1, 0), "", net.ints(*axes))
    padded = net.op("Pad", conv, *operands, mode="edge", name="border")
    result = fold_model(net.model(net.norm(padded, 5, 2)))
    assert_left(result, "Pad 'border' pads the axis that its constants run along")


def test_a_pad_that_names_its_axes_passes():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(1, 1, 0, 2), "", net.ints(-1, 2), mode="edge")
    assert_folded(fold_model(net.model(net.norm(padded, 4, 2))), ["Conv", "Pad"])


def test_a_crop_passes_all_but_its_own_axis():
    net = Net()
    product = net.op("MatMul", net.input([2, 4, 4, 4]), net.param(4, 4))
    amounts = net.ints(0, -1, -1, 0, 0, 0, 1, 0)
    cropped = net.op("Pad", product, amounts, mode="constant")
    result = fold_model(net.model(net.op("Mul", cropped, net.param(4))))
    assert result.ops == ["MatMul", "Pad"]
    # onnx.reference cannot crop by a Pad.
    feeds = feeds_for(result.before)
    before, after = (
        InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for model in (result.before, result.after)
    )
    np.testing.assert_allclose(before.run(None, feeds)[0], after.run(None, feeds)[0], rtol=1e-12)


def test_a_pad_by_run_time_amounts_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    amounts = net.op("Abs", net.input([8], "amounts", dtype=np.int64))
    padded = net.op("Pad", conv, amounts, mode="edge", name="border")
    result = fold_model(net.model(net.batch_norm(padded, 4)))
    assert "which axes Pad 'border' pads is not known" in result.reason()


def test_a_pad_along_run_time_axes_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    axes = net.op("Abs", net.input([1], "axes", dtype=np.int64))
    padded = net.op("Pad", conv, net.ints(1, 1), "", axes, mode="edge", name="border")
    flat = net.op("Reshape", net.batch_norm(padded, 4), net.ints(-1))
    result = fold_model(net.model(flat))
    assert "which axes Pad 'border' pads is not known" in result.reason()


def test_a_run_time_padding_value_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), net.input([], "value"), name="border")
    result = fold_model(net.model(net.norm(padded, 4, 2)))
    assert_left(result, "the padding value of Pad 'border' is computed at run time")


def test_a_padding_value_that_is_scaled_is_left():
    net = Net()
    value = net.op("Mul", net.op("Sigmoid", net.input([], "value")), net.scalar(2.0))
    padded = net.op("Pad", net.input([2, 3, 4, 4]), net.ints(*AROUND), value, name="border")
    assert_left(fold_model(net.model(padded)), "it steers Pad 'border'", index=0)


def test_a_pad_of_an_old_opset_passes_a_scale():
    net = Net(opset=9)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, pads=list(AROUND))
    result = fold_model(net.model(net.op("Mul", padded, net.param(4, 1, 1))))
    assert result.ops == ["Conv", "Pad"]


def test_a_pad_of_an_old_opset_keeps_its_value_in_an_attribute():
    net = Net(opset=9)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, pads=list(AROUND), value=1.0, name="border")
    result = fold_model(net.model(net.op("Mul", padded, net.scalar(3.0))))
    assert (
        result.all_folded
        or "Pad 'border' keeps its padding value in an attribute" in result.reason()
    )


def test_one_pad_takes_two_affines_one_after_the_other():
    net = Net()
    conv = net.conv(net.input(["N", 4, 3, 3]), 4, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND))
    shifted = net.op("Add", padded, net.scalar(2.0))
    turned = net.op("Transpose", shifted, perm=[0, 2, 3, 1])
    result = fold_model(net.model(net.op("Add", turned, net.scalar(3.0))))
    assert_folded(result, ["Conv", "Pad", "Transpose"])


def test_one_pad_that_two_ways_lead_to_takes_both_shifts():
    net = Net()
    shifted = net.op("Add", net.op("Sigmoid", net.input(["N", 4, 6, 6])), net.scalar(2.0))
    first = net.op("MaxPool", shifted, kernel_shape=[1, 1])
    second = net.op("AveragePool", shifted, kernel_shape=[1, 1])
    padded = net.op("Pad", net.op("Add", first, second), net.ints(*AROUND))
    assert_same_function(fold_model(net.model(net.conv(padded, 4, 4))))


def test_a_half_padding_value_that_would_overflow_is_left():
    net = Net(dtype=np.float16)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    padded = net.op("Pad", conv, net.ints(*AROUND), net.const(np.float16(6e4)), name="border")
    result = fold_model(net.model(net.op("Mul", padded, net.const(np.float16(4.0)))))
    assert "the padding value of Pad 'border' would overflow" in result.reason()
