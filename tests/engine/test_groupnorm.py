"""What ends a group norm, in whatever ops, is its scale and shift and not a batch norm."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model

GROUPS, CHANNELS = 2, 4


def _grouped(net: Net, x: str) -> str:
    return net.op("Reshape", x, net.ints(0, GROUPS, -1))


def _restored(net: Net, x: str) -> str:
    return net.op("Reshape", x, net.ints(0, CHANNELS, 5, 5))


def _by_instance_norm(net: Net, x: str) -> str:
    ones, zeros = net.const(np.ones(GROUPS)), net.const(np.zeros(GROUPS))
    return _restored(net, net.op("InstanceNormalization", _grouped(net, x), ones, zeros))


def _by_layer_norm(net: Net, x: str) -> str:
    h = net.op("LayerNormalization", _grouped(net, x), net.const(np.ones(CHANNELS // GROUPS * 25)))
    return _restored(net, h)


def _by_group_norm(net: Net, x: str) -> str:
    ones, zeros = net.const(np.ones(GROUPS)), net.const(np.zeros(GROUPS))
    return net.op("GroupNormalization", x, ones, zeros, num_groups=GROUPS)


def _centred(net: Net, x: str) -> tuple[str, str]:
    mean = net.op("ReduceMean", x, net.ints(-1))
    return mean, net.op("Sub", x, mean)


def _deviation(net: Net, variance: str) -> str:
    return net.op("Sqrt", net.op("Add", variance, net.scalar(1e-5)))


def _by_quotient(net: Net, x: str) -> str:
    _, centred = _centred(net, _grouped(net, x))
    variance = net.op("ReduceMean", net.op("Mul", centred, centred), net.ints(-1))
    return _restored(net, net.op("Div", centred, _deviation(net, variance)))


def _by_reciprocal(net: Net, x: str) -> str:
    _, centred = _centred(net, _grouped(net, x))
    variance = net.op("ReduceMean", net.op("Mul", centred, centred), net.ints(-1))
    inverse = net.op("Reciprocal", _deviation(net, variance))
    return _restored(net, net.op("Mul", centred, inverse))


def _by_the_mean_of_squares(net: Net, x: str) -> str:
    grouped = _grouped(net, x)
    mean, centred = _centred(net, grouped)
    squares = net.op("ReduceMean", net.op("Mul", grouped, grouped), net.ints(-1))
    variance = net.op("Sub", squares, net.op("Mul", mean, mean))
    return _restored(net, net.op("Div", centred, _deviation(net, variance)))


def _by_an_unbiased_deviation(net: Net, x: str) -> str:
    _, centred = _centred(net, _grouped(net, x))
    total = net.op("ReduceSum", net.op("Mul", centred, centred), net.ints(-1))
    deviation = net.op("Sqrt", net.op("Div", total, net.scalar(49.0)))
    return _restored(net, net.op("Div", centred, net.op("Add", deviation, net.scalar(1e-5))))


SPELLINGS = [
    _by_instance_norm,
    _by_layer_norm,
    _by_group_norm,
    _by_quotient,
    _by_reciprocal,
    _by_the_mean_of_squares,
    _by_an_unbiased_deviation,
]


def _tail(net: Net, x: str) -> str:
    scaled = net.op("Mul", x, net.param(CHANNELS, 1, 1))
    return net.op("Add", scaled, net.param(CHANNELS, 1, 1))


def _counted(result) -> list[tuple[str, tuple[str, ...]]]:
    return [(site.kind, site.spelling) for site in result.sites if site.kind != "scalar"]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_its_scale_and_shift_are_an_affine(spell) -> None:
    net = Net()
    y = _tail(net, spell(net, net.input(["N", CHANNELS, 5, 5])))
    result = fold_model(net.model(net.op("Tanh", y)))
    assert _counted(result) == [("affine", ("Mul", "Add"))]
    assert_same_function(result)


@pytest.mark.parametrize("spell", SPELLINGS)
def test_they_go_into_the_linear_map_behind(spell) -> None:
    net = Net()
    y = _tail(net, spell(net, net.input(["N", CHANNELS, 5, 5])))
    result = fold_model(net.model(net.conv(y, CHANNELS, 3, (1, 1))))
    assert [site.folded for site in result.sites if site.kind == "affine"] == [True]
    assert_same_function(result)


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_norm_behind_them_is_a_norm(spell) -> None:
    net = Net()
    y = _tail(net, spell(net, net.input(["N", CHANNELS, 5, 5])))
    result = fold_model(net.model(net.norm(y, CHANNELS, 2)))
    assert _counted(result) == [("affine", ("Mul", "Add")), ("norm", ("Sub", "Div", "Mul", "Add"))]
    assert_same_function(result)


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_batch_norm_behind_a_normaliser_without_scale_is_a_norm(spell) -> None:
    net = Net()
    y = spell(net, net.input(["N", CHANNELS, 5, 5]))
    result = fold_model(net.model(net.batch_norm(y, CHANNELS)))
    assert _counted(result) == [("norm", ("BatchNormalization",))]
    assert_same_function(result)


def test_a_scale_and_shift_behind_a_normaliser_that_has_its_own_are_a_norm() -> None:
    net = Net()
    x = net.input(["N", CHANNELS, 5, 5])
    h = net.op("InstanceNormalization", x, net.param(CHANNELS), net.param(CHANNELS))
    result = fold_model(net.model(_tail(net, h)))
    assert [kind for kind, _ in _counted(result)] == ["affine", "norm"]
    assert_same_function(result)


def test_a_quotient_by_anything_else_makes_no_normaliser() -> None:
    net = Net()
    x = net.input(["N", CHANNELS, 5, 5])
    root = net.op("Sqrt", net.op("Sigmoid", net.input(["N", CHANNELS, 1, 1], "z")))
    result = fold_model(net.model(_tail(net, net.op("Div", x, root))))
    assert _counted(result) == [("norm", ("Mul", "Add"))]
    assert_same_function(result)
