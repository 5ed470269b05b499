"""A value that others read too gains an affine, and the others lose it again.

In float64: what one consumer's norm adds to the value, its inverse takes from every other one.
"""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import helper

from bnfuse.folding.search import Search


def _stream(net: Net, x: str, signs: list[list[int]], activation: str = "Relu") -> str:
    """Pre-activation blocks on one stream, the norms' scales of the signs given."""
    stream = net.conv(x, 3, 4)
    for block in signs:
        gamma = np.array(block, dtype=np.float64) * net.floats(4, low=0.2)
        scaled = net.op("Mul", stream, net.const(gamma.reshape(4, 1, 1)))
        normed = net.op("Add", scaled, net.param(4, 1, 1))
        branch = net.conv(net.op(activation, normed), 4, 4, pads=[1, 1, 1, 1])
        stream = net.op("Add", stream, branch)
    return stream


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_every_norm_on_a_stream_before_a_relu_goes(blocks):
    net = Net()
    stream = _stream(net, net.input(["N", 3, 8, 8]), [[1, 1, 1, 1]] * blocks)
    y = net.conv(net.op("Relu", net.norm(stream, 4, 2, positive=True)), 4, 2)
    result = fold_model(net.model(y))
    assert_folded(result)
    assert result.ops.count("Conv") == blocks + 2
    assert result.ops.count("Add") == blocks


def test_scales_may_be_negative_where_all_norms_of_the_stream_agree():
    net = Net()
    stream = _stream(net, net.input(["N", 3, 8, 8]), [[1, -1, 1, -1]] * 3)
    assert_folded(fold_model(net.model(net.conv(stream, 4, 2))))


def test_a_scale_against_the_sign_of_the_norm_before_it_stays_before_its_relu():
    net = Net()
    stream = _stream(net, net.input(["N", 3, 8, 8]), [[1, 1, 1, 1], [1, -1, 1, 1]])
    result = fold_model(net.model(net.conv(stream, 4, 2)))
    assert [site.folded for site in result.norms] == [True, False]
    assert result.leftovers == ["BatchNormalization"]
    assert_left(result, "feeds 2 consumers")


def test_a_norm_in_a_branch_moves_into_the_norm_that_the_stream_already_has():
    """The sum of what a norm leaves in the stream and a norm after a Gelu: only one can stay."""
    net = Net()
    x = net.norm(net.op("Sigmoid", net.input(["N", 4, 8, 8])), 4, 2)
    spatial = net.conv(x, 4, 4, group=4, pads=[1, 1, 1, 1])
    mixed = net.op("Add", x, net.norm(net.op("Gelu", spatial), 4, 2))
    result = fold_model(net.model(net.op("Sigmoid", net.conv(mixed, 4, 4, (1, 1)))))
    assert [site.folded for site in result.norms] == [False, True]
    assert result.norms[1].into[-1].startswith("Conv")
    assert result.leftovers == ["BatchNormalization"]
    assert_same_function(result)


@pytest.mark.parametrize("other", ["Conv", "Gemm"])
def test_a_linear_map_beside_the_norm_takes_the_inverse(other):
    net = Net()
    if other == "Conv":
        shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
        parts = net.norm(shared, 4, 2), net.conv(shared, 4, 4, transposed=False)
    else:
        shared = net.op("Gemm", net.input(["N", 3]), net.param(3, 4))
        parts = net.norm(shared, 4, 0), net.op("Gemm", shared, net.param(4, 4))
    result = fold_model(net.model(*(net.op("Sigmoid", part) for part in parts)))
    assert_folded(result)
    first, second = (n.name for n in result.after.graph.node if n.op_type == other)
    assert result.norms[0].into == (f"{other} {first}",)
    assert result.norms[0].corrected == (f"{other} {second}",)


def test_a_zero_padded_conv_beside_the_norm_cannot_lose_the_shift():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="shared")
    padded = net.conv(shared, 4, 4, pads=[1, 1, 1, 1])
    outputs = (net.op("Sigmoid", y) for y in (net.norm(shared, 4, 2), padded))
    assert_left(fold_model(net.model(*outputs)), "Conv 'shared' feeds 2 consumers")


def test_a_zero_padded_conv_beside_a_scale_is_divided_by_it():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    padded = net.conv(shared, 4, 4, pads=[1, 1, 1, 1])
    scaled = net.op("Mul", shared, net.param(4, 1, 1))
    assert_folded(fold_model(net.model(*(net.op("Sigmoid", y) for y in (scaled, padded)))))


def test_a_scale_of_zero_cannot_be_undone():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="shared")
    gamma = net.const(np.array([1.0, 0.0, 2.0, 3.0]).reshape(4, 1, 1))
    outputs = net.op("Mul", shared, gamma), net.conv(shared, 4, 4)
    result = fold_model(net.model(*(net.op("Sigmoid", y) for y in outputs)))
    assert_left(result, "Conv 'shared' feeds 2 consumers")


@pytest.mark.parametrize(("factor", "folded"), [(15.0, True), (17.0, False), (1 / 17, False)])
def test_half_precision_keeps_a_shared_value_near_its_size(factor, folded):
    net = Net(dtype=np.float16)
    shared = net.conv(net.input([2, 3, 6, 6]), 3, 4, name="shared")
    gamma = net.const(np.array([1.0, 2.0, factor, 3.0], np.float16).reshape(4, 1, 1))
    outputs = net.op("Mul", shared, gamma), net.conv(shared, 4, 4)
    result = fold_model(net.model(*(net.op("Sigmoid", y) for y in outputs)))
    assert result.all_folded is folded


def test_a_shared_value_that_the_graph_gives_is_left():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="shared")
    outputs = (net.op("Sigmoid", y) for y in (net.norm(shared, 4, 2), net.conv(shared, 4, 4)))
    result = fold_model(net.model(shared, *outputs))
    assert_left(result, "gives the graph output 'shared'")


def test_a_reader_in_a_subgraph_is_left_in_peace():
    net = Net()
    shared = net.conv(net.input([2, 3, 6, 6]), 3, 4, name="shared")
    body = [helper.make_node("Identity", [shared], ["read"])]
    other = [helper.make_node("Neg", [shared], ["negated"])]
    outputs = [helper.make_tensor_value_info(name, 11, None) for name in ("read", "negated")]
    choice = net.op(
        "If",
        net.input([], "choose", dtype=np.bool_),
        then_branch=helper.make_graph(body, "then", [], outputs[:1]),
        else_branch=helper.make_graph(other, "else", [], outputs[1:]),
    )
    result = fold_model(net.model(net.op("Sigmoid", net.norm(shared, 4, 2)), choice))
    assert not result.all_folded


def test_two_norms_of_one_value_leave_one():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    outputs = [net.op("Sigmoid", net.norm(shared, 4, 2)) for _ in range(2)]
    result = fold_model(net.model(*outputs))
    assert result.leftovers == ["BatchNormalization"]
    assert_same_function(result)


def test_a_value_that_meets_itself_again_is_left():
    net = Net()
    shared = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="shared")
    summed = net.op("Add", shared, net.op("Relu", shared))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(summed, 4, 2))))
    assert not result.all_folded
    assert_same_function(result)


def test_two_edits_of_one_weight_must_hold_together():
    """Each alone fits float16: a bias of -40,000 and a scale of 16. Together they do not."""
    net = Net(dtype=np.float16)
    shared = net.conv(net.input([2, 4, 6, 6]), 4, 4, (1, 1))
    weight = net.const(np.full((4, 4, 1, 1), 10, np.float16))
    branch = net.op("Relu", net.op("Conv", shared, weight, name="both"))
    scaled = net.op("Mul", net.op("Add", branch, shared), net.const(np.full((4, 1, 1), 16, "f2")))
    y = net.op("Add", scaled, net.const(np.full((4, 1, 1), 16000, np.float16)))
    result = fold_model(net.model(net.op("Softsign", y)))
    assert not result.all_folded
    assert "a bias of 'both' would overflow float16" in result.reason()


def test_a_stream_longer_than_a_search_may_be_ends_it(monkeypatch):
    """It stops, says so, and what is folded is right."""
    monkeypatch.setattr(Search, "_FAR", (20, 0))
    net = Net()
    stream = _stream(net, net.input([1, 3, 4, 4]), [[1, -1, 1, 1]] * 20)
    result = fold_model(net.model(net.conv(stream, 4, 2)))
    assert_left(result, "the search for a place to put it grew too large", sizes=(1,))
