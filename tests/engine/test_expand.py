"""Through Expand over positions: repeated elements share their constants."""

from __future__ import annotations

import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


@pytest.mark.parametrize("target", [(1, 1, 5, 5), (2, 4, 5, 5), (5, 1)])
def test_a_norm_after_an_expand_of_positions(target):
    net = Net()
    pooled = net.op("GlobalAveragePool", net.input([2, 4, 3, 3]))
    grown = net.op("Expand", net.conv(pooled, 4, 4, (1, 1)), net.ints(*target))
    assert_folded(
        fold_model(net.model(net.norm(grown, 4, 2))), ["GlobalAveragePool", "Conv", "Expand"]
    )


def test_a_norm_before_an_expand_of_positions():
    net = Net()
    normed = net.norm(
        net.op("Sigmoid", net.op("GlobalAveragePool", net.input(["N", 4, 3, 3]))), 4, 2
    )
    y = net.conv(net.op("Expand", normed, net.ints(1, 1, 5, 5)), 4, 3)
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("forward", [False, True])
def test_an_expand_that_adds_axes(forward):
    net = Net()
    x = net.input([4, 4])
    h = net.norm(net.op("Sigmoid", x), 4, 0) if forward else net.op("MatMul", x, net.param(4, 4))
    h = net.op("Expand", h, net.ints(3, 4, 4))
    y = net.op("MatMul", h, net.param(4, 4)) if forward else net.norm(h, 4, 0)
    assert_folded(fold_model(net.model(y)))


def test_uniform_scalars_pass_any_expand():
    net = Net()
    product = net.op("MatMul", net.input([2, 4, 1]), net.param(1, 1))
    y = net.op("Mul", net.op("Expand", product, net.ints(2, 4, 4)), net.scalar(3.0))
    assert_folded(fold_model(net.model(y)))
    net = Net()
    halved = net.op("Mul", net.op("Sigmoid", net.input([2, 4, 1])), net.scalar(0.5))
    y = net.op("MatMul", net.op("Expand", halved, net.ints(2, 4, 4)), net.param(4, 3))
    assert_folded(fold_model(net.model(y)))


def test_repeated_channels_keep_the_norm():
    net = Net()
    narrow = net.conv(net.input([2, 3, 4, 4]), 3, 1, (1, 1))
    grown = net.op("Expand", narrow, net.ints(2, 4, 4, 4), name="repeat")
    result = fold_model(net.model(net.norm(grown, 4, 2)))
    assert_left(result, "along the channels")


def test_constants_along_an_axis_that_an_expand_adds_are_left():
    net = Net()
    product = net.op("MatMul", net.input([4, 4]), net.param(4, 4))
    grown = net.op("Expand", product, net.ints(4, 4, 4), name="repeat")
    result = fold_model(net.model(net.norm(grown, 4, 2)))
    assert_left(result, "along the channels")


def test_one_channel_that_is_normalised_and_then_repeated_folds_or_stays():
    net = Net()
    normed = net.batch_norm(net.op("Sigmoid", net.input([2, 1, 4, 4])), 1)
    y = net.conv(net.op("Expand", normed, net.ints(2, 4, 4, 4)), 4, 3)
    assert_folded(fold_model(net.model(y)))


def test_a_constant_that_is_expanded_at_run_time_takes_the_norm():
    net = Net()
    x = net.input(["N", 5, 4])
    batch = net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(1))
    target = net.op("Concat", batch, net.ints(1, 4), axis=0)
    token = net.op("Expand", net.param(1, 1, 4), target)
    joined = net.op("Concat", token, net.op("MatMul", x, net.param(4, 4)), axis=1)
    result = fold_model(net.model(net.norm(joined, 4, 0)))
    assert result.all_folded
    assert_same_function(result)


def test_the_shape_of_an_expand_takes_no_affine():
    net = Net()
    x = net.op("Sigmoid", net.input([2, 1]))
    steering = net.op("Mul", net.input([2], "s"), net.scalar(0.0))
    shape = net.op("Cast", net.op("Add", steering, net.scalar(2.0)), to=7)
    assert_same_function(
        fold_model(net.model(net.op("Reshape", net.op("Expand", x, shape), net.ints(-1))))
    )
