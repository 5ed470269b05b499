"""Through a product or quotient of run-time values: the scale by one factor, no shift."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


@pytest.mark.parametrize("order", [0, 1])
def test_the_factor_that_can_takes_the_scale(order):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    factors = [net.op("Tanh", x), net.conv(x, 4, 4, (1, 1))]
    product = net.op("Mul", *(factors if order else factors[::-1]))
    assert_folded(fold_model(net.model(net.op("Mul", product, net.param(4, 1, 1)))))


def test_a_gate_of_one_position_takes_the_scale():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    gate = net.conv(net.op("GlobalAveragePool", x), 4, 4, (1, 1))
    product = net.op("Mul", net.op("Tanh", x), gate)
    assert_folded(fold_model(net.model(net.op("Mul", product, net.param(4, 1, 1)))))


@pytest.mark.parametrize("position", [0, 1])
def test_the_scale_before_one_factor_goes_on(position):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    factors = [net.op("Tanh", x), net.op("Sigmoid", x)]
    factors[position] = net.op("Mul", factors[position], net.param(4, 1, 1))
    y = net.conv(net.op("Mul", *factors), 4, 3, pads=[1] * 4)
    assert_folded(fold_model(net.model(y)))


def test_the_scale_before_a_gate_of_one_position_goes_on():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    gate = net.op("Mul", net.op("Sigmoid", net.op("GlobalAveragePool", x)), net.param(4, 1, 1))
    y = net.conv(net.op("Mul", gate, net.op("Tanh", x)), 4, 3)
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("op", ["Mul", "Div"])
def test_a_shift_does_not_pass(op, forward):
    net = Net()
    x = net.input([2, 4, 5, 5])
    h = net.norm(net.op("Tanh", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    h = net.op(op, h, net.op("Sigmoid", x), name="gated")
    y = net.conv(h, 4, 3) if forward else net.norm(h, 4, 2)
    result = fold_model(net.model(y))
    assert_left(result, f"a shift does not pass through {op} 'gated' of two run-time values")


def test_a_numerator_takes_the_scale():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    quotient = net.op("Div", net.conv(x, 4, 4, (1, 1)), net.op("Exp", x))
    assert_folded(fold_model(net.model(net.op("Mul", quotient, net.param(4, 1, 1)))))


def test_a_divisor_takes_nothing():
    net = Net()
    x = net.input([2, 4, 5, 5])
    quotient = net.op("Div", net.op("Tanh", x), net.conv(x, 4, 4, (1, 1)))
    result = fold_model(net.model(net.op("Mul", quotient, net.param(4, 1, 1))))
    assert_left(result, "Tanh")


def test_a_scale_before_a_divisor_is_left():
    net = Net()
    x = net.input([2, 4, 5, 5])
    divisor = net.op("Mul", net.op("Exp", x), net.param(4, 1, 1))
    y = net.conv(net.op("Div", net.op("Tanh", x), divisor, name="ratio"), 4, 3)
    assert_left(fold_model(net.model(y)), "it is the divisor of Div 'ratio'")


def test_a_constant_over_a_run_time_value_takes_the_scale():
    net = Net()
    quotient = net.op("Div", net.param(4, 1, 1), net.op("Exp", net.input([2, 4, 5, 5])))
    result = fold_model(net.model(net.op("Mul", quotient, net.param(4, 1, 1))))
    assert result.ops == ["Exp", "Div"]
    assert result.all_folded
    assert_same_function(result)


def test_a_factor_of_one_channel_does_not_take_it():
    net = Net()
    x = net.input([2, 4, 5, 5])
    product = net.op("Mul", net.conv(x, 4, 1, (1, 1)), net.op("Tanh", x))
    assert_left(fold_model(net.model(net.op("Mul", product, net.param(4, 1, 1)))), "Tanh")


def test_a_scale_before_a_factor_of_one_channel_goes_on():
    net = Net()
    x = net.input([2, 4, 5, 5])
    scaled = net.op("Mul", net.op("Sigmoid", net.conv(x, 4, 1, (1, 1))), net.param(1, 1, 1))
    assert_folded(fold_model(net.model(net.conv(net.op("Mul", scaled, net.op("Tanh", x)), 4, 3))))


def test_factors_of_unknown_rank_keep_the_scale():
    net = Net()
    target = net.op("Abs", net.input([4], "shape", dtype=np.int64))
    factors = [
        net.op("Reshape", net.op("Tanh", net.input([2, 4, 5, 5], name)), target) for name in "xz"
    ]
    product = net.op("Mul", *factors, name="gated")
    zeros = net.const(np.zeros(4))
    ones = net.const(np.ones(4))
    scaled = net.op("BatchNormalization", product, net.param(4), zeros, zeros, ones)
    result = fold_model(net.model(net.op("Reshape", scaled, net.ints(-1))))
    assert "Mul 'gated' broadcasts 'reshape_3' along the channels" in result.reason()


def test_a_scale_of_one_channel_goes_on_through_a_product_with_many():
    net = Net()
    x = net.input([2, 4, 5, 5])
    narrow = net.op("Sigmoid", net.conv(x, 4, 1, (1, 1)))
    zero, one = net.const(np.zeros(1)), net.const(np.ones(1))
    scaled = net.op("BatchNormalization", narrow, net.param(1), zero, zero, one)
    assert_folded(fold_model(net.model(net.conv(net.op("Mul", scaled, net.op("Tanh", x)), 4, 3))))


def test_a_constant_over_several_axes_takes_the_scale():
    net = Net()
    masked = net.op("Mul", net.op("Sigmoid", net.input([2, 4, 5, 5])), net.param(4, 5, 5))
    result = fold_model(net.model(net.op("Mul", masked, net.param(4, 1, 1))))
    assert result.ops == ["Sigmoid", "Mul"]
    assert_same_function(result)
