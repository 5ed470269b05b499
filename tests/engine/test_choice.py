"""Through Max, Min, Mean and Where of run-time values, and through Clip."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, fold_model

CHOICES = ["Max", "Min", "Mean", "Where"]


def _join(net: Net, op_type: str, x: str, *parts: str) -> str:
    chooser = [net.op("Greater", x, net.scalar(0.1))] if op_type == "Where" else []
    return net.op(op_type, *chooser, *parts, name="joined")


@pytest.mark.parametrize("op_type", CHOICES)
def test_every_branch_takes_the_whole_affine(op_type):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1))]
    y = net.norm(_join(net, op_type, x, *parts), 4, 2, positive=True)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert len(result.norms[0].into) == 2
    assert_folded(result)


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_a_negative_scale_would_turn_the_choice_round(op_type):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1))]
    gamma = net.const(np.array([1.0, -1.0, 1.0, 1.0]).reshape(4, 1, 1))
    y = net.op("Mul", _join(net, op_type, x, *parts), gamma)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert_left(result, f"the scale of channel 1 is negative, next to {op_type} 'joined'")


@pytest.mark.parametrize("op_type", ["Mean", "Where"])
def test_a_negative_scale_passes_what_does_not_compare(op_type):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Tanh", x), 4, 4, (1, 1))]
    y = net.op("Mul", _join(net, op_type, x, *parts), net.const(-np.ones((4, 1, 1))))
    assert_folded(fold_model(net.model(net.op("Sigmoid", y))))


@pytest.mark.parametrize("op_type", CHOICES)
@pytest.mark.parametrize("position", [0, 1])
def test_the_other_branch_takes_the_inverse_where_the_norm_goes_on(op_type, position):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(net.op("Sigmoid", x), 4, 4, (1, 1))]
    parts[position] = net.norm(net.op("Tanh", x), 4, 2, positive=True)
    y = net.conv(_join(net, op_type, x, *parts), 4, 3)
    assert_folded(fold_model(net.model(net.op("Sigmoid", y))))


def test_a_scale_of_zero_before_a_choice_cannot_be_undone():
    net = Net()
    x = net.input([2, 4, 5, 5])
    gamma = net.const(np.array([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1))
    parts = [net.op("Mul", net.op("Tanh", x), gamma), net.conv(x, 4, 4, (1, 1))]
    result = fold_model(net.model(net.conv(_join(net, "Max", x, *parts), 4, 3)))
    assert_left(result, "a scale of 0 cannot be undone in 'joined'")


def test_a_branch_that_broadcasts_along_the_channels_keeps_the_norm():
    net = Net()
    x = net.input([2, 4, 5, 5])
    parts = [net.conv(x, 4, 4, (1, 1)), net.conv(x, 4, 1, (1, 1), name="mask")]
    y = net.norm(_join(net, "Max", x, *parts), 4, 2, positive=True)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert_left(result, "Max 'joined' broadcasts 'mask' along the channels")


def test_bounds_take_a_scale_and_a_shift_that_all_channels_share():
    net = Net()
    conv = net.conv(net.input(["N", 4, 5, 5]), 4, 4)
    clipped = net.op("Clip", conv, net.scalar(-0.5), net.scalar(1.5))
    y = net.op("Add", net.op("Mul", clipped, net.scalar(0.25)), net.scalar(0.5))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert_folded(result)
    (clip,) = (node for node in result.after.graph.node if node.op_type == "Clip")
    shapes = {tensor.name: list(tensor.dims) for tensor in result.after.graph.initializer}
    assert [shapes[bound] for bound in clip.input[1:]] == [[], []], "a bound is a scalar"


def test_bounds_take_the_inverse_of_what_goes_on():
    net = Net()
    x = net.op("Tanh", net.input(["N", 4, 5, 5]))
    scaled = net.op("Add", net.op("Mul", x, net.scalar(0.25)), net.scalar(0.5))
    clipped = net.op("Clip", scaled, net.scalar(0.3), "")
    assert_folded(fold_model(net.model(net.conv(clipped, 4, 4))))


def test_a_clip_at_zero_is_a_relu():
    net = Net()
    conv = net.conv(net.input(["N", 4, 5, 5]), 4, 4)
    clipped = net.op("Clip", conv, net.scalar(0.0))
    y = net.op("Mul", clipped, net.param(4, 1, 1, low=0.5))
    assert_folded(fold_model(net.model(net.op("Sigmoid", y))))


def test_bounds_are_the_same_for_all_channels():
    net = Net()
    conv = net.conv(net.input(["N", 4, 5, 5]), 4, 4)
    clipped = net.op("Clip", conv, net.scalar(0.0), net.scalar(6.0), name="relu6")
    y = net.op("Mul", clipped, net.param(4, 1, 1, low=0.5))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert_left(result, "Clip 'relu6' would need another bound for each channel")


def test_bounds_that_a_run_computes_keep_the_scale():
    net = Net()
    conv = net.conv(net.input(["N", 4, 5, 5]), 4, 4)
    clipped = net.op("Clip", conv, net.input([], "lowest"), name="bound")
    y = net.op("Mul", clipped, net.scalar(0.25))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert_left(result, "the bound of Clip 'bound' is computed at run time")


@pytest.mark.parametrize("op_type", ["Abs", "ReduceL1", "ReduceL2"])
def test_a_size_passes_a_positive_scale_and_no_shift(op_type):
    net = Net()
    axes = [] if op_type == "Abs" else [net.ints(2, 3)]
    conv = net.conv(net.input(["N", 4, 5, 5]), 4, 4)
    sized = net.op(op_type, conv, *axes, name="size")
    scaled = net.op("Mul", sized, net.param(4, 1, 1, low=0.5))
    assert_folded(fold_model(net.model(net.op("Sigmoid", scaled))))
    shifted = net.op("Add", sized, net.param(4, 1, 1))
    assert_left(fold_model(net.model(net.op("Sigmoid", shifted))), f"{op_type} 'size'")
