"""Through reductions over other axes: means, sums of a known count, maxima by a positive scale."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1,), (2,)])
def test_a_norm_after_a_reduction(op, keepdims, axes):
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 5]), 3, 4, (1, 1))
    reduced = net.op(op, conv, net.ints(*axes), keepdims=keepdims)
    trailing = 2 if keepdims else 2 - len(axes)
    result = fold_model(net.model(net.norm(reduced, 4, trailing, positive=True)))
    assert_folded(result, ["Conv", op])


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_norm_before_a_reduction(op, keepdims):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 5])), 4, 2, positive=True)
    reduced = net.op(op, normed, net.ints(2, -1), keepdims=keepdims)
    flat = net.op("Flatten", reduced) if keepdims else reduced
    result = fold_model(net.model(net.op("Gemm", flat, net.param(4, 3))))
    assert result.all_folded
    assert not result.leftovers
    assert_same_function(result)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_constants_behind_a_reduced_axis_move_up(op):
    net = Net()
    product = net.op("MatMul", net.input(["N", 4, 4, 4]), net.param(4, 4))
    reduced = net.op(op, product, net.ints(1), keepdims=0)
    assert_folded(fold_model(net.model(net.norm(reduced, 4, 0))), ["MatMul", "Add", op])


def test_a_sum_multiplies_the_shift_by_its_count():
    net = Net()
    shifted = net.op("Add", net.op("Sigmoid", net.input(["N", 4, 3, 5])), net.param(4, 1, 1))
    summed = net.op("ReduceSum", shifted, net.ints(2, 3), keepdims=0)
    assert_folded(fold_model(net.model(net.op("Gemm", summed, net.param(4, 3)))))


@pytest.mark.parametrize("forward", [False, True])
def test_a_sum_of_an_unknown_count_passes_no_shift(forward):
    net = Net()
    x = net.input([2, 4, "H", 4])
    h = net.norm(net.op("Sigmoid", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    h = net.op("ReduceSum", h, net.ints(2), keepdims=1, name="total")
    y = net.conv(h, 4, 3, (1, 1)) if forward else net.norm(h, 4, 2)
    result = fold_model(net.model(y))
    assert_left(result, "how many elements ReduceSum 'total' adds is not known before a run")


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_an_unknown_count_passes_a_scale(op):
    net = Net()
    conv = net.conv(net.input([2, 3, "H", "W"]), 3, 4, (1, 1))
    reduced = net.op(op, conv, net.ints(2, 3), keepdims=1)
    assert_folded(fold_model(net.model(net.op("Mul", reduced, net.param(4, 1, 1)))))


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("forward", [False, True])
def test_a_maximum_passes_no_negative_scale(op, forward):
    net = Net()
    gamma = net.const(np.array([1.0, -1.0, 2.0, 3.0]).reshape(4, 1, 1))
    x = net.input([2, 4, 4, 4])
    h = net.op("Mul", net.op("Sigmoid", x), gamma) if forward else net.conv(x, 4, 4, (1, 1))
    h = net.op(op, h, net.ints(2, 3), keepdims=1, name="top")
    y = net.conv(h, 4, 3, (1, 1)) if forward else net.op("Mul", h, gamma)
    assert_left(fold_model(net.model(y)), f"the scale of channel 1 is negative, next to {op} 'top'")


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_a_mean_passes_negative_and_zero_scales(op):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    reduced = net.op(op, conv, net.ints(2, 3))
    gamma = net.const(np.array([0.0, -1.0, 2.0, 0.0]).reshape(4, 1, 1))
    assert_folded(
        fold_model(net.model(net.op("Add", net.op("Mul", reduced, gamma), net.param(4, 1, 1))))
    )


def test_a_reduction_of_the_constants_own_axis_is_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 4, 4, 4])), 4, 2)
    reduced = net.op("ReduceMean", normed, net.ints(1), name="mean")
    result = fold_model(net.model(net.conv(reduced, 1, 3, (1, 1))))
    assert_left(result, "ReduceMean 'mean' reduces the axis that its constants run along")


def test_an_unknown_axis_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    axes = net.op("Abs", net.input([1], "axes", dtype=np.int64))
    reduced = net.op("ReduceMean", conv, axes, keepdims=1, name="mean")
    flat = net.op("Reshape", net.batch_norm(reduced, 4), net.ints(-1))
    result = fold_model(net.model(flat))
    assert "which axes ReduceMean 'mean' reduces is not known before a run" in result.reason()


@pytest.mark.parametrize("noop", [0, 1])
def test_no_axes_mean_all_of_them_or_none(noop):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    reduced = net.op("ReduceSum", conv, noop_with_empty_axes=noop, keepdims=1)
    y = net.norm(reduced, 4, 2) if noop else net.op("Mul", reduced, net.scalar(2.0))
    result = fold_model(net.model(y))
    assert_folded(result, ["Conv", "ReduceSum"])


def test_axes_as_an_attribute_of_an_old_opset():
    net = Net(opset=11)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    reduced = net.op("ReduceSum", conv, axes=[2, -1], keepdims=0)
    assert_folded(fold_model(net.model(net.norm(reduced, 4, 0))), ["Conv", "ReduceSum"])


def test_uniform_scalars_pass_a_reduction_of_any_axis():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    reduced = net.op("ReduceSum", conv, net.ints(1), keepdims=1)
    y = net.op("Add", net.op("Mul", reduced, net.scalar(-2.0)), net.scalar(1.0))
    assert_folded(fold_model(net.model(y)), ["Conv", "ReduceSum"])


def test_what_steers_a_reduction_takes_no_affine():
    net = Net()
    x = net.op("Sigmoid", net.input([2, 4, 4, 4]))
    axes = net.op(
        "Cast",
        net.op("Add", net.op("Mul", net.input([1], "a"), net.scalar(0.0)), net.scalar(2.0)),
        to=7,
    )
    y = net.op("Reshape", net.op("ReduceMean", x, axes), net.ints(-1))
    assert_same_function(fold_model(net.model(y)))
