"""Sizes that are known before a run are constants, however the graph asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import EPSILON, Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import TensorProto


def _whole_shape(net: Net, x: str) -> str:
    return net.op("Gather", net.op("Shape", x), net.ints(1))


def _part_of_shape(net: Net, x: str) -> str:
    return net.op("Shape", x, start=1, end=2)


def _counted_from_the_end(net: Net, x: str) -> str:
    return net.op("Slice", net.op("Shape", x), net.ints(-3), net.ints(-2))


def _one_number(net: Net, x: str) -> str:
    number = net.op("Gather", net.op("Shape", x), net.const(np.array(1)))
    return net.op("Unsqueeze", number, net.ints(0))


def _multiplied(net: Net, x: str) -> str:
    half = net.op("Div", _one_number(net, x), net.ints(2))
    return net.op("Mul", half, net.ints(2))


CHANNELS = [_whole_shape, _part_of_shape, _counted_from_the_end, _one_number, _multiplied]


def _like(net: Net, number: float, x: str, channels) -> str:
    return net.op("CastLike", net.op("Expand", net.scalar(number), channels(net, x)), x)


@pytest.mark.parametrize("shape", [["N", 3, "H", "W"], [2, 3, 6, 6]])
@pytest.mark.parametrize("channels", CHANNELS)
def test_an_instance_norm_whose_scale_is_expanded_to_the_channels(channels, shape) -> None:
    net = Net()
    x = net.conv(net.input(shape), 3, 4, (1, 1))
    scale, shift = _like(net, 1.0, x, channels), _like(net, 0.0, x, channels)
    h = net.op("InstanceNormalization", x, scale, shift)
    result = fold_model(net.model(net.norm(h, 4, 2)))
    assert not result.lifted.unlifted
    assert_folded(result, None)


@pytest.mark.parametrize("channels", CHANNELS)
def test_a_norm_whose_parameters_are_expanded_to_the_channels(channels) -> None:
    net = Net()
    x = net.conv(net.input(["N", 3, "H", "W"]), 3, 4, (1, 1))
    ones, zeros = _like(net, 1.0, x, channels), _like(net, 0.0, x, channels)
    parameters = (ones, zeros, net.param(4), net.param(4, low=0.3))
    y = net.op("BatchNormalization", x, *parameters, epsilon=EPSILON)
    assert_folded(fold_model(net.model(y)), ["Conv"])


def test_a_size_that_is_not_known_is_no_constant() -> None:
    net = Net()
    x = net.op("Sigmoid", net.input(["N", "C", 4, 4]))
    scale, shift = _like(net, 2.0, x, _part_of_shape), _like(net, 1.0, x, _part_of_shape)
    result = fold_model(net.model(net.op("InstanceNormalization", x, scale, shift)))
    assert "computed at run time" in result.reason()


def test_a_batch_that_is_not_known_stays_unknown_beside_channels_that_are() -> None:
    net = Net()
    x = net.conv(net.input(["N", 4, 4, 4]), 4, 4, (1, 1))
    batch = net.op("Cast", net.op("Shape", x, end=1), to=TensorProto.DOUBLE)
    channels = net.op("Cast", net.op("Shape", x, start=1, end=2), to=TensorProto.DOUBLE)
    y = net.op("Mul", net.op("Mul", x, channels), batch)
    result = fold_model(net.model(y))
    assert result.ops.count("Mul") == 1
    assert_same_function(result)


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("shape", [["N", 3, 6, 6], ["N", 3, "H", "W"], [2, 3, 6, 6]])
def test_a_channel_shuffle_whose_shapes_are_computed(shape, forward: bool) -> None:
    net = Net()
    x = net.input([shape[0], 4, *shape[2:]] if forward else shape)
    x = net.norm(net.op("Sigmoid", x), 4, 2) if forward else net.conv(x, 3, 4, (1, 1))
    batch, rest = net.op("Shape", x, end=1), net.op("Shape", x, start=2)
    split = net.op("Concat", batch, net.ints(2), net.ints(2), rest, axis=0)
    h = net.op("Transpose", net.op("Reshape", x, split), perm=[0, 2, 1, 3, 4])
    whole = net.op("Concat", batch, net.ints(4), rest, axis=0)
    h = net.op("Reshape", net.op("Identity", h), whole)
    y = net.conv(h, 4, 5, (1, 1)) if forward else net.norm(h, 4, 2)
    assert_folded(fold_model(net.model(y)), None)


def _tracked(net: Net, x: str, *, batch: str | None = None, rest: str | None = None) -> str:
    """An InstanceNorm by running statistics, as PyTorch's exporter writes it."""
    count = batch or net.op("Shape", x, end=1)
    parameters = [net.param(4), net.param(4), net.param(4), net.param(4, low=0.3)]
    tiled = [net.op("Tile", p, count) for p in parameters]
    target = net.op("Concat", net.ints(1, -1), rest or net.op("Shape", x, start=2), axis=0)
    h = net.op("Reshape", x, target)
    h = net.op("BatchNormalization", h, *tiled, epsilon=EPSILON)
    return net.op("Reshape", h, net.op("Shape", x))


@pytest.mark.parametrize("shape", [["N", 3, 6, 6], ["N", 3, "H", "W"], [2, 3, 6, 6], ["N", 3, 8]])
def test_an_instance_norm_by_running_statistics(shape) -> None:
    net = Net()
    conv = net.conv(net.input(shape), 3, 4, (1,) * (len(shape) - 2))
    result = fold_model(net.model(_tracked(net, conv)))
    assert len(result.norms) == 1
    assert_folded(result, None)
    assert "BatchNormalization" not in result.ops


def test_an_instance_norm_by_running_statistics_that_stays_is_one_norm() -> None:
    net = Net()
    x = net.op("Sigmoid", net.input(["N", 4, 5, 5]))
    result = fold_model(net.model(net.op("Tanh", _tracked(net, x))))
    assert result.ops.count("BatchNormalization") == 1
    assert result.ops.count("Tile") == 0
    assert_same_function(result)


def test_a_batch_folded_with_another_axis_is_left() -> None:
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 6]), 3, 4, (1, 1))
    result = fold_model(net.model(_tracked(net, conv, rest=net.ints(6, 4))))
    assert_left(result, "computed at run time")


def test_a_batch_folded_behind_the_channels_is_left() -> None:
    net = Net()
    x = net.conv(net.input(["N", 3, 5, 5]), 3, 4, (1, 1))
    result = fold_model(net.model(_tracked(net, net.op("Transpose", x, perm=[1, 0, 2, 3]))))
    assert_same_function(result, sizes=(4,))
