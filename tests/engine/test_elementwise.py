"""Through Identity and Dropout, and through activations that a non-negative scale commutes with."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

ACTIVATIONS = ["Relu", "LeakyRelu", "PRelu"]


def _activate(net: Net, op: str, x: str, **attributes) -> str:
    operands = [net.param(4, 1, 1)] if op == "PRelu" else []
    return net.op(op, x, *operands, **attributes)


@pytest.mark.parametrize("op", ["Identity", "Dropout"])
@pytest.mark.parametrize("forward", [False, True])
def test_ops_that_change_nothing_pass_everything(op, forward):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    h = net.norm(net.op("Sigmoid", x), 4, 2) if forward else net.conv(x, 4, 4)
    h = net.op(op, h)
    y = net.conv(h, 4, 3) if forward else net.norm(h, 4, 2)
    result = fold_model(net.model(y))
    assert result.norms[0].through == (op,)
    assert_folded(result)


def test_a_dropout_with_its_mode_off_passes_everything():
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    dropped = net.op("Dropout", conv, net.scalar(0.5), net.const(np.array(False)))
    assert_folded(fold_model(net.model(net.norm(dropped, 4, 2))), ["Conv", "Dropout"])


@pytest.mark.parametrize("run_time", [False, True])
def test_a_dropout_that_may_drop_is_left(run_time):
    net = Net()
    conv = net.conv(net.input([2, 3, 5, 5]), 3, 4)
    mode = net.input([], "training", dtype=np.bool_) if run_time else net.const(np.array(True))
    dropped = net.op("Dropout", conv, net.scalar(0.5), mode, name="drop")
    result = fold_model(net.model(net.norm(dropped, 4, 2)))
    assert "Dropout 'drop' may drop elements" in result.reason()


def test_the_ratio_of_a_dropout_takes_no_affine():
    net = Net()
    ratio = net.op("Mul", net.op("Sigmoid", net.input([], "r")), net.scalar(0.5))
    y = net.op("Dropout", net.op("Sigmoid", net.input([2, 4])), ratio, name="drop")
    result = fold_model(net.model(net.op("MatMul", y, net.param(4, 3))))
    assert_left(result, "it steers Dropout 'drop'")


@pytest.mark.parametrize("op", ACTIVATIONS)
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("gamma", [[1.0, 2.0, 0.5, 3.0], [0.0, 1.0, 0.0, 2.0]])
def test_a_scale_that_is_not_negative_passes(op, forward, gamma):
    net = Net()
    scale = net.const(np.array(gamma).reshape(4, 1, 1))
    x = net.input(["N", 4, 5, 5])
    h = net.op("Mul", net.op("Tanh", x), scale) if forward else net.conv(x, 4, 4)
    h = _activate(net, op, h)
    y = net.conv(h, 4, 3, pads=[1] * 4) if forward else net.op("Mul", h, scale)
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("op", ACTIVATIONS)
def test_the_function_stays_whatever_the_sign_of_the_scale(op):
    net = Net()
    h = _activate(net, op, net.norm(net.op("Tanh", net.input(["N", 4, 5, 5])), 4, 2))
    h = net.conv(h, 4, 4)
    result = fold_model(net.model(net.norm(_activate(net, op, h), 4, 2)))
    assert len(result.norms) == 2
    assert_same_function(result)


@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
@pytest.mark.parametrize("forward", [False, True])
def test_a_negative_scale_does_not_pass(op, forward):
    net = Net()
    scale = net.const(np.array([1.0, 2.0, -0.5, 3.0]).reshape(4, 1, 1))
    x = net.input([2, 4, 5, 5])
    h = net.op("Mul", net.op("Tanh", x), scale) if forward else net.conv(x, 4, 4)
    h = _activate(net, op, h, name="kink")
    y = net.op("Tanh", h) if forward else net.op("Mul", h, scale)
    result = fold_model(net.model(y))
    assert_left(result, f"the scale of channel 2 is negative, next to {op} 'kink'")


@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
@pytest.mark.parametrize("forward", [False, True])
def test_a_shift_does_not_pass(op, forward):
    net = Net()
    x = net.input([2, 4, 5, 5])
    h = net.op("Add", net.op("Tanh", x), net.param(4, 1, 1)) if forward else net.conv(x, 4, 4)
    h = _activate(net, op, h, name="kink")
    y = net.op("Tanh", h) if forward else net.op("Add", h, net.param(4, 1, 1))
    result = fold_model(net.model(y))
    assert_left(result, f"a shift does not pass through {op} 'kink': it moves the kink")


def test_the_slope_of_a_prelu_takes_no_affine():
    net = Net()
    slope = net.op("Mul", net.op("Sigmoid", net.input([4, 1, 1], "slope")), net.param(4, 1, 1))
    y = net.op("PRelu", net.input([2, 4, 5, 5]), slope, name="kink")
    result = fold_model(net.model(net.conv(y, 4, 3)))
    assert_left(result, "it steers PRelu 'kink'")


@pytest.mark.parametrize("positive", [False, True])
def test_conv_relu_norm(positive):
    net = Net()
    h = net.op("Relu", net.conv(net.input(["N", 3, 5, 5]), 3, 4, pads=[1] * 4))
    result = fold_model(net.model(net.norm(h, 4, 2, positive=positive)))
    assert len(result.ops) <= 4
    assert_same_function(result)


@pytest.mark.parametrize("positive", [False, True])
def test_norm_relu_conv(positive):
    net = Net()
    h = net.norm(net.op("MaxPool", net.input(["N", 4, 5, 5]), kernel_shape=[2, 2]), 4, 2, positive)
    result = fold_model(net.model(net.conv(net.op("Relu", h), 4, 3, pads=[1] * 4)))
    assert len(result.ops) <= 4
    assert_same_function(result)
