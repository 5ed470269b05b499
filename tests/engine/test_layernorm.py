"""The scale and shift of LayerNormalization and its kin: given to what follows, or added to.

The normalisers stay; only what they end with moves.
"""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_left, assert_same_function, feeds_for, fold_model, run
from normalisers import linear, normalise, untouched

KINDS = ("LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization")


def test_query_key_and_value_take_the_scale_and_shift():
    net = Net()
    y = normalise(net, net.input(["N", 3, 4]))
    result = fold_model(net.model(*(linear(net, y, n) for n in (4, 2, 6))))
    (site,) = result.sites
    assert (site.kind, site.spelling, site.folded) == ("affine", ("LayerNormalization",), True)
    assert [name.split()[0] for name in site.into] == ["MatMul"] * 3
    assert not result.norms
    assert result.ops == ["LayerNormalization", *["MatMul", "Add"] * 3]
    assert_same_function(result)
    (bare,) = (n for n in result.after.graph.node if n.op_type == "LayerNormalization")
    assert len(bare.input) == 2
    assert bare.output[0] != "normaliser", "a name may not mean something new"


def test_normalisers_of_one_size_share_their_ones():
    net = Net()
    y = net.input([2, 3, 4])
    for _ in range(3):
        y = linear(net, net.op("LayerNormalization", y, net.param(4), net.param(4)))
    result = fold_model(net.model(y))
    assert result.all_folded
    ones = {n.input[1] for n in result.after.graph.node if n.op_type == "LayerNormalization"}
    assert len(ones) == 1
    assert_same_function(result)


def test_a_folded_model_has_nothing_left_to_say():
    net = Net()
    result = fold_model(net.model(linear(net, normalise(net, net.input([2, 3, 4])))))
    again = fold_model(result.after)
    assert not again.sites
    assert again.after.graph.SerializeToString() == result.after.graph.SerializeToString()


@pytest.mark.parametrize("kind", ["InstanceNormalization", "GroupNormalization"])
def test_convolutions_without_padding_take_it(kind):
    net = Net(opset=21)
    y = normalise(net, net.input(["N", 4, 4, 4]), kind)
    result = fold_model(net.model(net.conv(y, 4, 2), net.conv(y, 4, 3, (1, 1))))
    assert result.all_folded
    assert_same_function(result)


def test_root_mean_square_normalisation_has_no_shift():
    net = Net(opset=23)
    y = normalise(net, net.input(["N", 3, 4]), "RMSNormalization")
    gate, up = (net.op("MatMul", y, net.param(4, 6)) for _ in range(2))
    result = fold_model(net.model(net.op("Mul", net.op("Sigmoid", gate), up)))
    assert result.all_folded
    assert_same_function(result)


def test_it_goes_on_through_what_only_moves_elements():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    y = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1]), net.ints(2, 4, 3, 1))
    result = fold_model(net.model(net.conv(y, 4, 4, (1, 1))))
    assert result.all_folded
    assert result.sites[0].through == ("Transpose", "Reshape")
    assert_same_function(result)


def test_one_consumer_that_cannot_take_it_keeps_it_as_it_was():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    result = fold_model(net.model(linear(net, y), net.op("Tanh", y, name="blocker")))
    assert_left(result, "Tanh 'blocker'")
    untouched(result)


def test_a_residual_stream_keeps_it():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    result = fold_model(net.model(net.op("Softsign", net.op("Add", linear(net, y), y))))
    assert_left(result, "Softsign")
    untouched(result)


def test_a_graph_output_keeps_it():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    result = fold_model(net.model(linear(net, y), y))
    assert_left(result, "'normaliser' is an output of the graph")
    untouched(result)


def test_padding_keeps_it():
    net = Net()
    y = normalise(net, net.input([2, 4, 5, 5]), "InstanceNormalization")
    result = fold_model(net.model(net.conv(y, 4, 4, pads=[1] * 4)))
    assert_left(result, "pads with zeros")
    untouched(result)


def test_a_product_without_bias_keeps_a_shift_that_would_cost_an_add():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    result = fold_model(net.model(net.op("MatMul", y, net.param(4, 4), name="bare")))
    assert_left(result, "MatMul 'bare' has no bias")
    untouched(result)


def test_a_product_of_matrices_becomes_a_gemm_and_takes_the_shift():
    net = Net()
    y = normalise(net, net.input(["N", 4]))
    result = fold_model(net.model(net.op("MatMul", y, net.param(4, 4))))
    assert result.ops == ["LayerNormalization", "Gemm"]
    assert_same_function(result)


def test_constants_over_several_axes_are_left():
    net = Net()
    x = net.input([2, 3, 4])
    y = net.op("LayerNormalization", x, net.param(3, 4), net.param(3, 4), axis=1)
    result = fold_model(net.model(linear(net, y)))
    assert_left(result, "over more than one axis")
    untouched(result)


def test_one_number_over_several_axes_is_taken():
    net = Net()
    x = net.input([2, 3, 4])
    y = net.op("LayerNormalization", x, net.const(np.full((3, 4), 2.5)), axis=1)
    result = fold_model(net.model(linear(net, y)))
    assert result.all_folded
    assert_same_function(result)


def test_a_scale_that_is_computed_is_left():
    net = Net()
    x = net.input([2, 3, 4])
    y = net.op("LayerNormalization", x, net.input([4], "gamma"), net.param(4))
    result = fold_model(net.model(linear(net, y)))
    assert_left(result, "computed at run time")
    untouched(result)


def test_a_scale_that_is_not_finite_is_left():
    net = Net()
    y = net.op("LayerNormalization", net.input([2, 3, 4]), net.const(np.array([1, np.nan, 1, 1])))
    result = fold_model(net.model(linear(net, y)))
    assert "not finite" in result.reason()
    untouched(result)


def test_a_weight_that_would_overflow_keeps_it():
    net = Net(dtype=np.float16)
    x, weight = net.input([2, 3, 4]), net.const(np.full((4, 4), 100, np.float16))
    y = net.op("LayerNormalization", x, net.const(np.full(4, 1000, np.float16)))
    result = fold_model(net.model(net.op("MatMul", y, weight)))
    assert "would overflow float16" in result.reason()
    untouched(result)


def test_the_mean_and_the_deviation_stay_what_they_are():
    net = Net()
    x = net.input([2, 3, 4])
    y, mean, deviation = net.ops("LayerNormalization", x, net.param(4), net.param(4), count=3)
    outputs = linear(net, y), net.op("Tanh", mean), net.op("Mul", deviation, net.param(1))
    result = fold_model(net.model(*outputs))
    assert result.sites[0].folded
    assert_same_function(result)


def test_statistics_are_not_what_takes_a_scale():
    net = Net()
    x = net.input([2, 3, 4])
    y, mean = net.ops("LayerNormalization", x, net.param(4), count=2)
    scaled = net.op("Tanh", net.op("Mul", mean, net.scalar(3.0)))
    result = fold_model(net.model(net.op("Tanh", y), scaled))
    assert any("is a statistic of" in site.reason for site in result.sites)
    assert_same_function(result)


@pytest.mark.parametrize("kind", KINDS)
def test_a_norm_behind_it_vanishes_into_its_own_scale_and_shift(kind):
    net = Net(opset=23)
    y = normalise(net, net.input(["N", 4, 4]), kind)
    if kind == "LayerNormalization":
        y = net.norm(y, 4, 0)
    elif kind == "RMSNormalization":
        y = net.op("Mul", y, net.param(4))
    else:
        y = net.batch_norm(y, 4)
    result = fold_model(net.model(net.op("Softsign", y)))
    own, norm = result.sites
    assert not own.folded
    assert norm.folded
    assert norm.into == (f"{kind} normaliser",)
    assert result.ops == [kind, "Softsign"]
    assert len(result.lowered.rescaled) == (1 if kind == "RMSNormalization" else 2)
    assert_same_function(result)


def test_a_norm_behind_it_may_stand_behind_a_transpose():
    net = Net()
    y = normalise(net, net.input([2, 3, 4]))
    y = net.batch_norm(net.op("Transpose", y, perm=[0, 2, 1]), 4)
    result = fold_model(net.model(net.op("Softsign", y)))
    assert result.ops == ["LayerNormalization", "Transpose", "Softsign"]
    assert_same_function(result)


def test_both_go_on_into_what_follows():
    net = Net()
    y = linear(net, net.norm(normalise(net, net.input([2, 3, 4])), 4, 0))
    result = fold_model(net.model(y))
    assert result.all_folded
    for site in result.sites:
        assert [name.split()[0] for name in site.into] == ["MatMul"]
    assert_same_function(result)


def test_a_shift_behind_root_mean_square_normalisation_finds_no_place_there():
    net = Net(opset=23)
    y = normalise(net, net.input([2, 3, 4]), "RMSNormalization")
    result = fold_model(net.model(net.op("Softsign", net.op("Add", y, net.param(4)))))
    assert "has no shift" in result.reason(1)
    assert_same_function(result)


def test_a_norm_along_another_axis_stays():
    net = Net()
    y = net.batch_norm(normalise(net, net.input([2, 4, 4])), 4)
    result = fold_model(net.model(net.op("Softsign", y)))
    assert "along another axis" in result.reason(1)
    assert_same_function(result)


def test_numbers_that_the_scale_cannot_hold_stay():
    net = Net(dtype=np.float16)
    x = net.input([2, 3, 4])
    y = net.op("LayerNormalization", x, net.const(np.full(4, 1000, np.float16)))
    y = net.op("Tanh", net.op("Mul", y, net.const(np.full(4, 200, np.float16))))
    result = fold_model(net.model(y))
    assert "cannot hold the numbers" in result.reason(1)


@pytest.mark.parametrize("uniform", [True, False])
def test_a_scale_for_a_whole_group(uniform):
    """Before opset 21 GroupNormalization has one scale and shift a group."""
    net = Net(opset=18)
    x = net.input([2, 4, 3])
    y = net.op("GroupNormalization", x, net.param(2), net.param(2), num_groups=2)
    factor = np.repeat(net.floats(2), 2) if uniform else net.floats(4)
    y = net.op("Mul", y, net.const(factor.reshape(4, 1)))
    result = fold_model(net.model(net.op("Softsign", y)))
    assert result.sites[1].folded == uniform
    if not uniform:
        assert "one scale for a whole group" in result.reason(1)
    assert_same_function(result)


def test_a_scale_for_a_whole_group_is_given_to_each_of_its_channels():
    net = Net(opset=18)
    x = net.input([2, 4, 3])
    y = net.op("GroupNormalization", x, net.param(2), net.param(2), num_groups=2)
    result = fold_model(net.model(net.conv(y, 4, 4, (1,))))
    assert result.all_folded
    assert_same_function(result)


def test_what_it_takes_must_not_come_back_from_what_it_gave():
    """Two ways lead from it to an affine that stays: it neither gives nor loops."""
    net = Net()
    y = normalise(net, net.input([2, 4, 4]))
    turned = net.op("Transpose", y, perm=[0, 2, 1])
    # A scale of 0 cannot be undone for the linear map, so the affine does stay.
    gamma = net.const(np.array([0.0, 1.0, 2.0, 3.0]).reshape(4, 1))
    scaled = net.op("Add", net.op("Mul", turned, gamma), net.param(4, 1))
    result = fold_model(net.model(net.op("Tanh", scaled), linear(net, y)))
    assert "stays in any case" in result.reason()
    assert_same_function(result)


def test_it_takes_a_norm_that_another_reader_can_lose_again():
    net = Net()
    y = normalise(net, net.input([2, 4, 4]))
    turned = net.op("Transpose", y, perm=[0, 2, 1])
    outputs = net.op("Tanh", net.norm(turned, 4, 1)), linear(net, y)
    result = fold_model(net.model(*outputs))
    norm = result.norms[0]
    assert norm.folded
    assert norm.into == ("LayerNormalization normaliser",)
    assert len(norm.corrected) == 1
    assert_same_function(result)


def test_weights_in_half_precision_are_not_rounded_again():
    net = Net(dtype=np.float16)
    y = normalise(net, net.input([4, 8, 4]))
    result = fold_model(net.model(linear(net, y)))
    assert "would be rounded to float16 once more" in result.reason()
    untouched(result)


def test_a_norm_behind_it_in_half_precision_is_rounded_once():
    net = Net(dtype=np.float16)
    y = net.norm(normalise(net, net.input([4, 8, 4])), 4, 0)
    result = fold_model(net.model(net.op("Softsign", y)))
    assert result.norms[0].folded
    feeds = feeds_for(result.before)
    before, after = (next(iter(run(m, feeds).values())) for m in (result.before, result.after))
    assert after.dtype == np.float16
    assert np.max(np.abs(before - after)) < 1e-2 * np.max(np.abs(before))
