"""An average pool and a border of zeros as parts of a branch."""

from __future__ import annotations

import pytest
from graphs import Net, assert_same_function, fold_model

SIZES = (7, 6)


def check(net: Net, y: str, ops: list[str]) -> None:
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert sorted(result.ops) == sorted([*ops, "Sigmoid"])
    assert_same_function(result, sizes=SIZES)
    assert fold_model(result.after).after.graph == result.after.graph


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(
    ("pool", "conv"),
    [
        ({"kernel_shape": [3, 3]}, {}),
        ({"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, {"pads": [1] * 4}),
        (
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "count_include_pad": 1},
            {"pads": [1] * 4, "strides": [2, 2]},
        ),
        (
            {"kernel_shape": [2, 3], "dilations": [2, 1], "auto_pad": "VALID"},
            {"auto_pad": "VALID"},
        ),
    ],
)
def test_an_average_is_a_kernel(pool, conv, group):
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    pooled = net.op("AveragePool", net.conv(x, 4, 4, (1, 1), group=group), **pool)
    check(net, net.op("Add", pooled, net.conv(x, 4, 4, group=group, **conv)), ["Conv"])


def test_an_average_of_the_input_itself():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    pooled = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    check(net, net.op("Sum", pooled, net.conv(x, 4, 4, pads=[1] * 4), x), ["Conv"])


@pytest.mark.parametrize(
    "pool",
    [
        {"pads": [1] * 4},
        {"pads": [1] * 4, "count_include_pad": 1, "ceil_mode": 1},
        {"auto_pad": "SAME_UPPER", "count_include_pad": 1},
    ],
)
def test_an_average_whose_windows_differ_is_none(pool):
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    pooled = net.op("AveragePool", x, kernel_shape=[3, 3], **pool)
    result = fold_model(net.model(net.op("Add", pooled, net.conv(x, 4, 4, pads=[1] * 4))))
    assert sorted(result.ops) == ["Add", "AveragePool", "Conv"]
    assert_same_function(result, sizes=SIZES)


def test_a_bias_before_an_average_that_pads_stays():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    one = net.conv(x, 4, 4, (1, 1), bias=True)
    pooled = net.op("AveragePool", one, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    result = fold_model(net.model(net.op("Add", pooled, net.conv(x, 4, 4, pads=[1] * 4))))
    assert result.ops.count("Conv") == 2
    assert "the bias before it must not reach" in result.log.unmerged[0].reason
    assert_same_function(result, sizes=SIZES)


def test_an_average_of_averages_needs_a_conv():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    pooled = [net.op("AveragePool", x, kernel_shape=[3, 3]) for _ in range(2)]
    result = fold_model(net.model(net.op("Add", *pooled)))
    assert result.ops == ["AveragePool", "AveragePool", "Add"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_border_before_a_branch(shared):
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    padded = net.op("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    other = padded if shared else net.op("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    deep = net.conv(net.batch_norm(net.conv(padded, 4, 3, (1, 1)), 3), 3, 4)
    mean = net.op("AveragePool", net.conv(other, 4, 4, (1, 1), bias=True), kernel_shape=[3, 3])
    total = net.op("Sum", net.conv(x, 4, 4, pads=[1] * 4), deep, mean)
    check(net, total, ["Conv"])


def test_a_norm_that_stays_behind_a_padded_average_is_part_of_the_branch():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    options = {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}
    pooled = net.batch_norm(net.op("AveragePool", net.conv(x, 4, 4, (1, 1)), **options), 4)
    net_ = net.op("Add", pooled, net.conv(x, 4, 4, pads=[1] * 4))
    result = fold_model(net.model(net_))
    assert result.ops == ["Conv"]
    assert result.all_folded
    assert_same_function(result, sizes=SIZES)


def test_a_narrow_chain_is_free_where_a_kernel_is_there_anyhow():
    net = Net()
    x = net.input(["N", 8, "H", "W"])
    chain = net.conv(net.conv(x, 8, 2, (1, 1)), 2, 8, bias=True)
    check(net, net.op("Add", chain, net.conv(x, 8, 8)), ["Conv"])


def _bordered(net: Net, y: str, channels: int) -> str:
    """A norm inside a border of what it makes of zero, computed in the graph."""
    gamma, beta, mean, variance = (net.param(channels, low=0.3) for _ in range(4))
    normed = net.op("BatchNormalization", y, gamma, beta, mean, variance, epsilon=2.0**-10)
    deviation = net.op("Sqrt", net.op("Add", variance, net.scalar(2.0**-10)))
    of_zero = net.op("Sub", beta, net.op("Div", net.op("Mul", mean, gamma), deviation))
    border = net.op("Reshape", of_zero, net.ints(1, -1, 1, 1))
    inner = net.op("Sub", normed, border)
    padded = net.op("Pad", inner, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return net.op("Add", padded, border)


def test_a_border_of_the_norm_of_zero_is_zeros_before_it():
    """The bias cancels but for what float64 leaves of it."""
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    deep = net.conv(_bordered(net, net.conv(x, 4, 5, (1, 1)), 5), 5, 6)
    mean = net.op("AveragePool", _bordered(net, net.conv(x, 4, 6, (1, 1)), 6), kernel_shape=[3, 3])
    parts = [net.conv(x, 4, 6, pads=[1] * 4), net.conv(x, 4, 6, (1, 1)), deep, mean]
    total = net.op("Sum", *(net.batch_norm(part, 6) for part in parts))
    check(net, total, ["Conv"])


def test_a_border_of_something_else_stays():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    border = net.param(1, 5, 1, 1)
    inner = net.op("Sub", net.batch_norm(net.conv(x, 4, 5, (1, 1)), 5), border)
    padded = net.op("Add", net.op("Pad", inner, net.ints(0, 0, 1, 1, 0, 0, 1, 1)), border)
    result = fold_model(net.model(net.conv(padded, 5, 4)))
    assert result.ops == ["Conv", "Conv"]
    assert "the bias before it must not reach" in result.log.unmerged[0].reason
    assert_same_function(result, sizes=SIZES)
