"""Parallel branches of one input become one Conv, straight from the graph."""

from __future__ import annotations

import pytest
from graphs import Net, Result, assert_same_function, fold_model


def block(net: Net, branches: list[str]) -> str:
    total = branches[0]
    for branch in branches[1:]:
        total = net.op("Add", total, branch)
    return net.op("Relu", total)


def convs(result: Result) -> list[list[int]]:
    kernels = {t.name: list(t.dims[2:]) for t in result.after.graph.initializer}
    return [kernels[n.input[1]] for n in result.after.graph.node if n.op_type == "Conv"]


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_repvgg_block(group: int, batch_norm: bool) -> None:
    net = Net()
    x = net.op("Relu", net.input(["N", 4, "H", 6]))

    def norm(y: str) -> str:
        return net.batch_norm(y, 4) if batch_norm else net.norm(y, 4, 2)

    three = norm(net.conv(x, 4, 4, group=group, pads=[1, 1, 1, 1]))
    one = norm(net.conv(x, 4, 4, (1, 1), group=group))
    result = fold_model(net.model(block(net, [three, one, norm(x)])))
    assert result.ops == ["Relu", "Conv", "Relu"]
    assert convs(result) == [[3, 3]]
    assert result.all_folded
    assert_same_function(result)


def test_strided_block_without_identity() -> None:
    net = Net()
    x = net.input(["N", 4, 8, 8])
    three = net.batch_norm(net.conv(x, 4, 8, strides=[2, 2], pads=[1, 1, 1, 1]), 8)
    one = net.batch_norm(net.conv(x, 4, 8, (1, 1), strides=[2, 2]), 8)
    result = fold_model(net.model(block(net, [three, one])))
    assert result.ops == ["Conv", "Relu"]
    assert_same_function(result)


def test_mobileone_depthwise_block_with_many_branches_and_a_scale() -> None:
    net = Net()
    x = net.op("Relu", net.input(["N", 4, 7, 7]))
    branches = [net.batch_norm(net.conv(x, 4, 4, group=4, pads=[1, 1, 1, 1]), 4) for _ in range(4)]
    scale = net.batch_norm(net.conv(x, 4, 4, (1, 1), group=4), 4)
    result = fold_model(net.model(block(net, [*branches, scale, net.batch_norm(x, 4)])))
    assert result.ops == ["Relu", "Conv", "Relu"]
    assert_same_function(result)


def test_acnet_block_of_square_and_bars() -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    square = net.batch_norm(net.conv(x, 4, 4, pads=[1, 1, 1, 1]), 4)
    tall = net.batch_norm(net.conv(x, 4, 4, (3, 1), pads=[1, 0, 1, 0]), 4)
    wide = net.batch_norm(net.conv(x, 4, 4, (1, 3), pads=[0, 1, 0, 1]), 4)
    result = fold_model(net.model(block(net, [tall, wide, square])))
    assert convs(result) == [[3, 3]]
    assert_same_function(result)


def test_bars_alone_would_cost_more_as_a_square_and_stay() -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    tall = net.conv(x, 4, 4, (3, 1), pads=[1, 0, 1, 0])
    wide = net.conv(x, 4, 4, (1, 3), pads=[0, 1, 0, 1])
    result = fold_model(net.model(block(net, [tall, wide])))
    assert result.ops == ["Conv", "Conv", "Add", "Relu"]


def test_other_terms_of_the_sum_stay() -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    other = net.op("Sigmoid", x)
    three = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    one = net.conv(x, 4, 4, (1, 1))
    result = fold_model(net.model(block(net, [three, other, one])))
    assert sorted(result.ops) == ["Add", "Conv", "Relu", "Sigmoid"]
    assert_same_function(result)


def test_dilated_kernels() -> None:
    net = Net()
    x = net.input([2, 4, 9, 9])
    three = net.conv(x, 4, 4, dilations=[2, 2], pads=[2, 2, 2, 2])
    one = net.conv(x, 4, 4, (1, 1))
    result = fold_model(net.model(block(net, [three, one])))
    assert result.ops == ["Conv", "Relu"]
    assert_same_function(result)


@pytest.mark.parametrize(
    "second",
    [
        {"strides": [2, 2], "pads": [3, 3, 3, 3]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2], "kernel": (3, 3)},
        {"pads": [1, 1, 0, 0], "kernel": (2, 2)},
    ],
)
def test_what_does_not_lie_on_one_grid_stays(second: dict) -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    first = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    if "strides" in second:
        first = net.conv(x, 4, 4, strides=[2, 2], pads=[1, 1, 1, 1])
        other = net.conv(x, 4, 4, (5, 5), strides=[2, 2], pads=[1, 1, 3, 3])
        total = net.op("Relu", net.op("Add", first, other))
    else:
        kernel = second.pop("kernel")
        other = net.conv(x, 4, 4, kernel, **second)
        total = net.op("Relu", net.op("Add", first, other))
    result = fold_model(net.model(total))
    assert_same_function(result)


def test_a_branch_with_another_consumer_or_input_stays() -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    one = net.conv(x, 4, 4, (1, 1))
    three = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.op("Add", one, three), net.op("Relu", one)))
    assert result.ops.count("Conv") == 2
    net = Net()
    x = net.input([2, 4, 7, 7])
    one = net.conv(net.op("Sigmoid", x), 4, 4, (1, 1))
    three = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    result = fold_model(net.model(net.op("Relu", net.op("Add", one, three))))
    assert result.ops.count("Conv") == 2


def test_a_norm_after_the_merged_branches_goes_in_too() -> None:
    net = Net()
    x = net.input([2, 4, 7, 7])
    total = net.op("Add", net.conv(x, 4, 4, (1, 1)), net.conv(x, 4, 4, pads=[1, 1, 1, 1]))
    result = fold_model(net.model(net.op("Relu", net.norm(total, 4, 2))))
    assert result.ops == ["Conv", "Relu"]
    assert_same_function(result)
    assert fold_model(result.after).after.graph == result.after.graph


def test_one_block_for_two_inputs_keeps_its_weight_once() -> None:
    net = Net()
    weights = net.param(4, 4, 3, 3), net.param(4, 4, 1, 1)
    outputs = []
    for name in "xz":
        x = net.input(["N", 4, "H", "W"], name)
        three = net.op("Conv", x, weights[0], pads=[1] * 4)
        outputs.append(block(net, [three, net.op("Conv", x, weights[1]), x]))
    result = fold_model(net.model(*outputs))
    assert result.ops == ["Conv", "Relu"] * 2
    assert len(result.after.graph.initializer) == 1
    assert_same_function(result)
