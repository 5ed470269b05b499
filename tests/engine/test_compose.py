"""Two affines that meet along one axis become one."""

from __future__ import annotations

import numpy as np
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


def test_two_norms_with_a_transpose_between_become_one():
    net = Net()
    first = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    turned = net.op("Transpose", first, perm=[0, 2, 3, 1])
    result = fold_model(net.model(net.op("Sigmoid", net.norm(turned, 4, 0))))
    assert len(result.norms) == 2
    assert len(result.ops) <= 5
    assert_same_function(result)


def test_two_norms_that_met_go_into_a_linear_map_together():
    net = Net()
    first = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    turned = net.op("Transpose", first, perm=[0, 2, 3, 1])
    second = net.norm(turned, 4, 0)
    y = net.conv(net.op("Transpose", second, perm=[0, 3, 1, 2]), 4, 4)
    result = fold_model(net.model(y))
    assert all(y in site.into[-1] for site in result.norms)
    assert_folded(result)


def test_constants_along_two_axes_do_not_meet():
    net = Net()
    first = net.norm(net.op("Sigmoid", net.input([2, 4, 4, 4])), 4, 2)
    result = fold_model(net.model(net.op("Sigmoid", net.norm(first, 4, 0))))
    assert_left(result, "beside it runs along another axis")


def test_a_uniform_map_meets_any_axis():
    net = Net()
    first = net.norm(net.op("Sigmoid", net.input([2, 4, 4, 4])), 4, 0)
    turned = net.op("Transpose", first, perm=[0, 2, 1, 3])
    halved = net.op("Mul", turned, net.scalar(0.5))
    result = fold_model(net.model(net.op("Sigmoid", halved)))
    assert result.ops.count("Mul") == 1
    assert_same_function(result)


def test_half_constants_that_would_not_hold_together_stay_apart():
    net = Net(dtype=np.float16)
    big = net.const(np.full((4, 1, 1), 6e4, np.float16))
    first = net.op("Mul", net.op("Sigmoid", net.input([2, 4, 4, 4])), big)
    turned = net.op("Transpose", first, perm=[0, 1, 3, 2])
    second = net.op("Mul", turned, big)
    result = fold_model(net.model(net.op("Sigmoid", second)))
    assert "its constants would not fit" in result.reason()
    assert result.ops.count("Mul") == 2
