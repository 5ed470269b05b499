"""A value reaches one op by two ways: what it gains or loses must be the same by both."""

from __future__ import annotations

import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


def _pool(net: Net, x: str, **options) -> str:
    return net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, **options)


def test_the_shift_cancels_in_a_pool_less_its_input():
    """PoolFormer's mixer: what is left is a scale, and the layer scale behind takes it."""
    net = Net()
    stream = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    normed = net.norm(stream, 4, 2)
    mixed = net.op("Sub", _pool(net, normed), normed)
    mixed = net.op("Mul", mixed, net.param(4, 1, 1))
    y = net.op("Softsign", net.op("Add", stream, mixed))
    result = fold_model(net.model(y))
    assert [norm.folded for norm in result.norms] == [True]
    assert result.leftovers == ["Mul"]
    assert_same_function(result)


def test_a_layer_scale_behind_a_pool_less_its_input_goes_into_the_normaliser():
    net = Net(opset=21)
    x = net.input(["N", 4, 6, 6])
    normed = net.op("GroupNormalization", x, net.param(4), net.param(4), num_groups=1)
    mixed = net.op("Sub", _pool(net, normed), normed)
    y = net.op("Add", x, net.op("Mul", mixed, net.param(4, 1, 1)))
    result = fold_model(net.model(net.op("Softsign", y)))
    assert result.ops.count("Mul") == 0
    assert_same_function(result)


def test_where_padded_zeros_count_the_shift_does_not_cancel():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 6, 6])), 4, 2)
    mixed = net.op("Sub", _pool(net, normed, count_include_pad=1), normed)
    assert_left(fold_model(net.model(net.conv(mixed, 4, 2))), "counts padded zeros")


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Max", "Min", "Mean", "Mul"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_norm_goes_on_where_its_two_readers_join(op_type, swapped):
    net = Net()
    source = net.op("Sigmoid", net.input(["N", 4, 6, 6]))
    made = net.norm(source, 4, 2, positive=True) if op_type != "Mul" else None
    normed = made or net.op("Mul", source, net.param(4, 1, 1, low=0.2))
    pair = [net.op("MaxPool", normed, kernel_shape=[3, 3], pads=[1] * 4), normed]
    joined = net.op(op_type, *(reversed(pair) if swapped else pair))
    assert_folded(fold_model(net.model(net.op("Softsign", net.conv(joined, 4, 2)))))


@pytest.mark.parametrize("op_type", ["Add", "Max", "Mul"])
def test_a_value_may_meet_itself(op_type):
    net = Net()
    scaled = net.op(
        "Mul", net.op("Sigmoid", net.input(["N", 4, 6, 6])), net.param(4, 1, 1, low=0.2)
    )
    joined = net.op(op_type, scaled, scaled)
    assert_folded(fold_model(net.model(net.op("Softsign", net.conv(joined, 4, 2)))))


def test_two_parts_of_one_norm_side_by_side():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 6, 6])), 4, 2)
    parts = normed, net.op("MaxPool", net.op("Neg", normed), kernel_shape=[1, 1])
    joined = net.op("Concat", *parts, normed, axis=1)
    result = fold_model(net.model(net.op("Softsign", net.conv(joined, 12, 2))))
    assert_same_function(result)


@pytest.mark.parametrize("op_type", ["Add", "Max", "Concat"])
def test_a_scale_comes_back_to_one_value_by_both_ways(op_type):
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    options = {"axis": 2} if op_type == "Concat" else {}
    joined = net.op(op_type, net.op("Relu", conv), conv, **options)
    scaled = net.op("Mul", joined, net.param(4, 1, 1, low=0.2))
    assert_folded(fold_model(net.model(net.op("Softsign", scaled))))


def test_a_shift_that_only_one_way_can_bring_back_stays():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    joined = net.op("Add", net.op("Relu", conv), conv)
    assert_left(fold_model(net.model(net.op("Softsign", net.norm(joined, 4, 2)))))


def test_a_square_takes_no_scale_into_what_it_squares():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    scaled = net.op("Mul", net.op("Mul", conv, conv), net.param(4, 1, 1, low=0.2))
    assert_left(fold_model(net.model(net.op("Softsign", scaled))), "feeds 2 consumers")


def test_a_layer_scale_that_its_own_stream_would_take_back_stays_with_that_reason():
    """EfficientFormer's mixer without a norm: ``x + s · (pool(x) - x)`` scales x in one place."""
    net = Net()
    stream = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    mixed = net.op("Sub", _pool(net, stream), stream)
    y = net.op("Add", stream, net.op("Mul", mixed, net.param(4, 1, 1)))
    assert_left(fold_model(net.model(net.op("Softsign", y))), "would come back to")
