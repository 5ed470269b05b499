"""Through Concat: each input takes its own channels' constants, or one input's move on alone."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


@pytest.mark.parametrize("axis", [1, -3])
def test_each_input_takes_the_constants_of_its_channels(axis):
    net = Net()
    x = net.input(["N", 3, 4, 4])
    parts = [net.conv(x, 3, n, (1, 1)) for n in (1, 4, 2)]
    result = fold_model(net.model(net.norm(net.op("Concat", *parts, axis=axis), 7, 2)))
    assert len(result.norms[0].into) == 3
    assert_folded(result, ["Conv", "Conv", "Conv", "Concat"])


def test_one_input_that_cannot_take_its_part_keeps_the_norm():
    net = Net()
    x = net.input([2, 4, 4, 4])
    parts = [net.conv(x, 4, 4, (1, 1)), net.op("Tanh", x, name="blocker")]
    result = fold_model(net.model(net.norm(net.op("Concat", *parts, axis=1), 8, 2)))
    assert_left(result, "Tanh 'blocker'")


def test_one_value_joined_twice_keeps_the_norm():
    net = Net()
    conv = net.conv(net.input([2, 4, 4, 4]), 4, 4, (1, 1), name="shared")
    result = fold_model(net.model(net.norm(net.op("Concat", conv, conv, axis=1), 8, 2)))
    assert_left(result, "Conv 'shared' feeds 2 consumers")


def test_a_constant_that_is_joined_takes_its_part():
    net = Net()
    conv = net.conv(net.input([2, 4, 4, 4]), 4, 4, (1, 1))
    joined = net.op("Concat", net.param(2, 3, 4, 4), conv, axis=1)
    assert_folded(fold_model(net.model(net.norm(joined, 7, 2))), ["Conv", "Concat"])


def test_a_constant_that_is_joined_twice_is_recomputed_for_each_place():
    net = Net()
    conv, token = net.conv(net.input([2, 4, 4, 4]), 4, 4, (1, 1)), net.param(2, 2, 4, 4)
    joined = net.op("Concat", token, conv, token, axis=1)
    assert_folded(fold_model(net.model(net.norm(joined, 8, 2))), ["Conv", "Concat"])


def test_a_constant_that_feeds_something_else_too_keeps_its_old_value_there():
    net = Net()
    x, token = net.input([2, 4, 4, 4]), net.param(2, 4, 4, 4)
    joined = net.op("Concat", token, net.conv(x, 4, 4, (1, 1)), axis=1)
    other = net.op("Sigmoid", net.op("Max", x, token))
    assert_folded(fold_model(net.model(net.norm(joined, 8, 2), other)))


@pytest.mark.parametrize("axis", [2, 3])
def test_joined_along_positions_each_input_takes_the_whole(axis):
    net = Net()
    x = net.input([2, 4, 4, 4])
    parts = [net.conv(x, 4, 8, (1, 1)) for _ in range(2)]
    result = fold_model(net.model(net.norm(net.op("Concat", *parts, axis=axis), 8, 2)))
    assert_folded(result, ["Conv", "Conv", "Concat"])


def test_constants_along_a_joined_width_are_cut_along_it():
    net = Net()
    x = net.input([2, 4, 4])
    parts = [net.op("MatMul", x, net.param(4, 4)) for _ in range(2)]
    joined = net.op("Concat", *parts, axis=2)
    assert_folded(fold_model(net.model(net.norm(joined, 8, 0))))


def test_uniform_scalars_reach_every_input():
    net = Net()
    x = net.input(["N", 4, 4, 4])
    parts = [net.conv(x, 4, 4, (1, 1)) for _ in range(2)]
    y = net.op(
        "Add", net.op("Mul", net.op("Concat", *parts, axis=1), net.scalar(3.0)), net.scalar(1.0)
    )
    assert_folded(fold_model(net.model(y)), ["Conv", "Conv", "Concat"])


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_norm_before_one_input_moves_on_with_the_identity_beside_it(position):
    net = Net()
    x = net.input(["N", 2, 4, 4])
    parts = [net.op(op, x) for op in ("Sigmoid", "Tanh", "Softsign")]
    parts[position] = net.norm(parts[position], 2, 2)
    y = net.conv(net.op("Concat", *parts, axis=1), 6, 3)
    result = fold_model(net.model(y))
    assert result.norms[0].through == ("Concat",)
    assert_folded(result)


def test_a_norm_per_chunk_goes_into_the_linear_map_after_they_are_joined():
    net = Net()
    chunks = net.ops(
        "Split", net.op("Sigmoid", net.input(["N", 6])), count=3, axis=1, num_outputs=3
    )
    joined = net.op("Concat", *(net.norm(chunk, 2, 0) for chunk in chunks), axis=1)
    result = fold_model(net.model(net.op("Gemm", joined, net.param(6, 4))))
    assert len(result.norms) == 3
    assert_folded(result, ["Sigmoid", "Split", "Concat", "Gemm"])


def test_a_uniform_scalar_before_one_input_concerns_only_its_channels():
    net = Net()
    x = net.input(["N", 2, 4, 4])
    halved = net.op("Mul", net.op("Sigmoid", x), net.scalar(0.5))
    y = net.conv(net.op("Concat", net.op("Tanh", x), halved, axis=1), 4, 3, pads=[1, 1, 1, 1])
    assert_folded(fold_model(net.model(y)))


def test_the_graphs_input_takes_no_inverse_for_what_it_is_joined_with():
    net = Net()
    x = net.input([2, 4, 4, 4])
    joined = net.op("Concat", net.norm(net.op("Sigmoid", x), 4, 2), x, axis=3, name="join")
    result = fold_model(net.model(net.conv(joined, 4, 4)))
    assert_left(result, "it is fed by the graph's input 'x'")


def test_inputs_of_an_unknown_number_of_channels_keep_the_norm_after():
    net = Net()
    first, second = net.input([2, "A", 4, 4]), net.input([2, "B", 4, 4], "z")
    joined = net.op("Concat", first, second, axis=1, name="join")
    result = fold_model(net.model(net.batch_norm(joined, 6)))
    reason = "how many channels each input of Concat 'join' has is not known"
    assert_left(result, reason, sizes=(3,))


def test_inputs_of_an_unknown_number_of_channels_keep_the_norm_before():
    net = Net()
    first, second = net.input([2, 3, 4, 4]), net.input([2, "B", 4, 4], "z")
    joined = net.op("Concat", net.batch_norm(first, 3), second, axis=1, name="join")
    result = fold_model(net.model(net.conv(joined, 6, 4)))
    reason = "how many channels each input of Concat 'join' has is not known"
    assert_left(result, reason, sizes=(3,))


def test_a_part_that_is_not_concerned_keeps_its_name():
    net = Net()
    x = net.input([2, 2, 4, 4])
    joined = net.op("Concat", net.norm(net.op("Sigmoid", x), 2, 2), net.op("Tanh", x), axis=1)
    first = net.op("Gather", joined, net.ints(2, 3), axis=1)
    second = net.conv(joined, 4, 4)
    result = fold_model(net.model(first, second))
    assert {output.name for output in result.after.graph.output} == {first, second}
    assert first in {name for node in result.after.graph.node for name in node.output}
    assert_same_function(result)


def test_two_chunks_in_another_order_take_each_others_constants():
    net = Net()
    conv = net.conv(net.input(["N", 4, 3, 3]), 4, 4, (1, 1))
    first, second = net.ops("Split", conv, count=2, axis=1, num_outputs=2)
    joined = net.op("Concat", second, first, axis=1)
    assert_folded(fold_model(net.model(net.norm(joined, 4, 2))), ["Conv", "Split", "Concat"])


def test_a_constant_met_by_both_chunks_is_recomputed_for_both():
    net = Net()
    conv = net.conv(net.input(["N", 4, 3, 3]), 4, 4, (1, 1))
    met = net.op("Add", conv, net.param(4, 3, 3))
    first, second = net.ops("Split", met, count=2, axis=1, num_outputs=2)
    joined = net.op("Concat", second, first, axis=1)
    result = fold_model(net.model(net.norm(joined, 4, 2)))
    assert_same_function(result)


def test_a_constant_met_after_both_halves_moved_on_is_recomputed_for_both():
    net = Net()
    gamma = net.param(4, 1, 1, low=0.3)
    scaled = net.op("Mul", net.op("Sigmoid", net.input(["N", 4, 3, 3])), gamma)
    joined = net.op("Concat", net.op("Relu", scaled), net.op("LeakyRelu", scaled), axis=1)
    y = net.conv(net.op("Add", joined, net.param(8, 3, 3)), 8, 4, (1, 1))
    assert_same_function(fold_model(net.model(y)))


def test_zero_scales_pass():
    net = Net()
    x = net.input(["N", 3, 4, 4])
    joined = net.op("Concat", net.conv(x, 3, 2, (1, 1)), net.conv(x, 3, 2, (1, 1)), axis=1)
    y = net.op("Mul", joined, net.const(np.array([0.0, 1.0, -2.0, 0.0]).reshape(4, 1, 1)))
    assert_folded(fold_model(net.model(y)), ["Conv", "Conv", "Concat"])


def test_parts_of_unlike_width_that_all_lost_a_norm_meet_again():
    net = Net()
    parts = net.ops(
        "Split", net.norm(net.input(["N", 8, 5, 5]), 8, 2), net.ints(3, 5), count=2, axis=1
    )
    swapped = net.op("Concat", *reversed(parts), axis=1)
    assert_folded(fold_model(net.model(net.conv(swapped, 8, 4))))


def test_along_another_axis_the_other_inputs_take_the_inverse():
    net = Net()
    x = net.input(["N", 6, 4])
    first, second = (net.op("MatMul", x, net.param(4, 5)) for _ in range(2))
    joined = net.op("Concat", net.norm(net.op("Tanh", first), 5, 0), second, axis=1)
    result = fold_model(net.model(net.op("MatMul", joined, net.param(5, 3))))
    assert_folded(result)


def test_along_another_axis_an_input_that_takes_no_inverse_keeps_the_norm():
    net = Net()
    x = net.input(["N", 6, 5])
    joined = net.op("Concat", net.norm(net.op("Tanh", x), 5, 0), net.op("Sigmoid", x), axis=1)
    result = fold_model(net.model(net.op("MatMul", joined, net.param(5, 3))))
    assert_left(result, "no exact rule moves it back through Sigmoid")
