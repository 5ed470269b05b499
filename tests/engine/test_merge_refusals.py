"""Branches that a merge must leave alone, or merge without touching what stands beside them."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model


def test_another_term_that_broadcasts_over_positions_keeps_the_shapes_valid():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    pooled = net.op("GlobalAveragePool", x)
    gates = [net.conv(pooled, 4, 4, (1, 1)) for _ in range(2)]
    result = fold_model(net.model(net.op("Add", net.op("Add", *gates), x)))
    assert result.ops.count("Conv") == 1
    assert_same_function(result)


def test_another_term_of_higher_rank_keeps_the_shapes_valid():
    net = Net()
    x = net.input([3, 4, 5, 5])
    convs = [net.conv(x, 4, 4, (1, 1)) for _ in range(2)]
    result = fold_model(
        net.model(net.op("Sum", convs[0], net.input([2, 3, 4, 5, 5], "z"), convs[1]))
    )
    assert_same_function(result)


def test_a_narrower_term_is_added_after_the_merge():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    mean = net.op("ReduceMean", x, net.ints(1), keepdims=1)
    convs = [net.conv(x, 4, 4, (1, 1)) for _ in range(2)]
    result = fold_model(net.model(net.op("Sum", convs[0], mean, convs[1])))
    assert result.ops == ["ReduceMean", "Conv", "Add"]
    assert_same_function(result)


@pytest.mark.parametrize("what", ["weight", "bias"])
def test_half_constants_that_would_overflow_together_stay_apart(what):
    net = Net(dtype=np.float16)
    x = net.input([2, 4, 5, 5])
    big, small = np.float16(5e4), np.float16(1e-3)
    weight = np.full((4, 4, 1, 1), big if what == "weight" else small, np.float16)
    bias = np.full(4, big if what == "bias" else small, np.float16)
    convs = [net.op("Conv", x, net.const(weight), net.const(bias)) for _ in range(2)]
    result = fold_model(net.model(net.op("Add", *convs)))
    assert result.ops == ["Conv", "Conv", "Add"]
    assert [refusal.reason for refusal in result.log.unmerged] == [
        f"a {what} would overflow float16"
    ]


@pytest.mark.parametrize("tapped", [0, 1])
def test_a_branch_that_something_else_reads_stays(tapped):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    convs = [net.conv(x, 4, 4, (1, 1)) for _ in range(2)]
    result = fold_model(net.model(net.op("Add", *convs), net.op("Sigmoid", convs[tapped])))
    assert result.ops.count("Conv") == 2
    assert_same_function(result)


def test_a_partial_sum_that_the_graph_gives_keeps_its_name():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    convs = [net.conv(x, 4, 4, (1, 1)) for _ in range(3)]
    part = net.op("Add", *convs[:2])
    result = fold_model(net.model(net.op("Sigmoid", net.op("Add", part, convs[2])), part))
    assert_same_function(result)


def test_the_input_itself_twice_and_groups_that_nest():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    wide = net.conv(x, 4, 4, pads=[1] * 4)
    nested = [net.conv(x, 4, 4, (1, 1), group=4), net.conv(x, 4, 4, group=2, pads=[1] * 4)]
    result = fold_model(net.model(net.op("Sum", x, wide, x, *nested)))
    assert result.ops == ["Conv"]
    assert_same_function(result)


def test_a_branch_whose_shape_was_read_for_its_norm_merges_at_once():
    net = Net()
    x = net.input(["N", 4, 5])
    conv = net.conv(x, 4, 4, (1,), group=2)
    shifted = net.op("Add", conv, net.op("Expand", net.param(4, 1), net.op("Shape", conv)))
    result = fold_model(net.model(net.op("Add", net.batch_norm(shifted, 4), x)))
    assert result.ops == ["Conv"]
    assert_same_function(result)


def test_a_norm_after_a_merge_with_another_term_goes_on_into_both_at_once():
    net = Net()
    x = net.input([4, 3, 9, 5])
    conv = net.batch_norm(net.conv(x, 3, 3, (1, 1)), 3)
    total = net.op("Add", net.op("Add", conv, x), net.param(3, 9, 5))
    result = fold_model(net.model(net.op("Mul", total, net.param(3, 1, 1))))
    assert result.ops == ["Conv", "Add"]
    assert_same_function(result)


@pytest.mark.parametrize("shape", [["N", 3, "H", 5], ["N", 3, 1, 5], [1, 3, "H", "W"], [3, 1, 1]])
def test_a_norm_after_a_merge_goes_on_through_all_that_is_left_at_once(shape):
    net = Net()
    x, z = net.input(["N", 3, "H", 5]), net.input(shape, "z")
    convs = [net.conv(x, 3, 3, (1, 1)) for _ in range(2)]
    others = [net.conv(net.op("Sigmoid", x), 3, 3, (1, 1)) for _ in range(2)]
    total = net.op("Sum", *convs, *others, net.op("Mul", net.op("Sigmoid", z), net.param(3, 1, 1)))
    result = fold_model(net.model(net.op("Mul", total, net.param(3, 1, 1))))
    assert result.ops.count("Conv") == 2 + 1
    assert_same_function(result, sizes=(5, 5))
    again = fold_model(result.after)
    assert again.after.graph.node == result.after.graph.node
    assert again.after.graph.initializer == result.after.graph.initializer
