"""Through the product of an attention: rows that sum to 1 pass a whole norm."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

TOKENS, HEADS, WIDTH = 5, 2, 4


def dense(net: Net, x: str, inputs: int, outputs: int) -> str:
    product = net.op("MatMul", x, net.param(inputs, outputs))
    return net.op("Add", product, net.param(outputs))


def scores(net: Net, x: str, axis: int = -1, rank: int = 3) -> str:
    """Rows of weights (..., L, L) made of x (..., L, C)."""
    turned = net.op("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])
    return net.op("Softmax", net.op("MatMul", net.op("Tanh", x), turned), axis=axis)


def heads(net: Net, x: str) -> str:
    """(N, L, C) to (N, heads, L, C / heads)."""
    parted = net.op("Reshape", x, net.ints(0, TOKENS, HEADS, WIDTH))
    return net.op("Transpose", parted, perm=[0, 2, 1, 3])


def joined(net: Net, x: str) -> str:
    turned = net.op("Transpose", x, perm=[0, 2, 1, 3])
    return net.op("Reshape", turned, net.ints(0, TOKENS, HEADS * WIDTH))


@pytest.mark.parametrize("batch", ["N", 2])
def test_a_norm_behind_the_product_goes_into_the_values(batch):
    net = Net()
    x = net.input([batch, TOKENS, WIDTH])
    y = net.op("MatMul", scores(net, x), dense(net, x, WIDTH, WIDTH))
    assert_folded(fold_model(net.model(net.norm(y, WIDTH, 0))))


def test_a_norm_of_the_values_goes_into_the_output():
    net = Net()
    x = net.input(["N", TOKENS, WIDTH])
    y = net.op("MatMul", scores(net, x), net.norm(net.op("Tanh", x), WIDTH, 0))
    assert_folded(fold_model(net.model(dense(net, y, WIDTH, 3))))


def test_a_norm_behind_the_joined_heads_goes_into_the_values():
    net = Net()
    x = net.input(["N", TOKENS, HEADS * WIDTH])
    values = heads(net, dense(net, x, HEADS * WIDTH, HEADS * WIDTH))
    y = joined(net, net.op("MatMul", scores(net, heads(net, x), rank=4), values))
    result = fold_model(net.model(net.norm(y, HEADS * WIDTH, 0)))
    assert_folded(result)
    assert result.norms[0].through == ("Reshape", "Transpose", "MatMul")


def test_a_norm_before_the_heads_goes_into_the_output():
    net = Net()
    x = net.input(["N", TOKENS, HEADS * WIDTH])
    values = heads(net, net.norm(net.op("Tanh", x), HEADS * WIDTH, 0))
    y = joined(net, net.op("MatMul", scores(net, heads(net, x), rank=4), values))
    assert_folded(fold_model(net.model(dense(net, y, HEADS * WIDTH, 3))))


def test_a_norm_per_head_passes():
    net = Net()
    x = net.input(["N", HEADS, TOKENS, WIDTH])
    values = net.conv(x, HEADS, HEADS, (1, 1))
    y = net.op("MatMul", scores(net, x, rank=4), values)
    assert_folded(fold_model(net.model(net.norm(y, HEADS, 2))))


def test_a_mask_before_the_softmax_changes_nothing():
    net = Net()
    x = net.input(["N", TOKENS, WIDTH])
    mask = net.const(np.where(np.tri(TOKENS), 0.0, -np.inf))
    logits = net.op("MatMul", x, net.op("Transpose", x, perm=[0, 2, 1]))
    weights = net.op("Softmax", net.op("Add", logits, mask), axis=2)
    kept = net.op("Identity", net.op("Dropout", weights))
    y = net.op("MatMul", kept, dense(net, x, WIDTH, WIDTH))
    result = fold_model(net.model(net.norm(y, WIDTH, 0)))
    assert result.norms[0].folded
    assert_same_function(result)


@pytest.mark.parametrize("spoilt", ["other axis", "scaled", "masked", "gated", "dropped"])
def test_rows_that_do_not_sum_to_one_pass_no_shift(spoilt):
    net = Net()
    x = net.input([2, TOKENS, WIDTH])
    weights = scores(net, x, axis=1 if spoilt == "other axis" else -1)
    if spoilt == "scaled":
        weights = net.op("Mul", weights, net.param(TOKENS, TOKENS))
    elif spoilt == "masked":
        mask = net.const(np.tri(TOKENS, dtype=bool))
        weights = net.op("Where", mask, weights, net.scalar(0.0))
    elif spoilt == "gated":
        weights = net.op("Relu", weights)
    elif spoilt == "dropped":
        weights = net.op("Dropout", weights, "", net.const(np.array(True)))
    y = net.op("MatMul", weights, dense(net, x, WIDTH, WIDTH), name="mix")
    shifted = net.op("Add", y, net.param(WIDTH))
    result = fold_model(net.model(shifted))
    reason = "a shift does not pass MatMul 'mix': the rows beside it are not known to sum to 1"
    assert any(reason in site.reason for site in result.sites)
    if spoilt != "dropped":
        assert_same_function(result)


def test_any_product_passes_the_scale_of_its_columns_and_of_its_rows():
    net = Net()
    x = net.input(["N", TOKENS, WIDTH])
    turned = net.op("Transpose", dense(net, x, WIDTH, WIDTH), perm=[0, 2, 1])
    rows = net.op("MatMul", turned, net.op("Tanh", x))
    other = net.op("Tanh", net.op("Transpose", x, perm=[0, 2, 1]))
    columns = net.op("MatMul", other, dense(net, x, WIDTH, WIDTH))
    first = net.op("Mul", rows, net.param(WIDTH, 1))
    second = net.op("Mul", columns, net.param(WIDTH))
    assert_folded(fold_model(net.model(first, second)))


def test_rows_that_sum_to_one_have_no_shift_of_their_own():
    net = Net()
    x = net.input([2, TOKENS, WIDTH])
    y = net.op("MatMul", scores(net, x), dense(net, x, WIDTH, WIDTH), name="mix")
    result = fold_model(net.model(net.op("Add", y, net.param(TOKENS, 1))))
    assert_left(result, "a shift does not pass MatMul 'mix'")


@pytest.mark.parametrize("place", [0, 1])
def test_the_axis_that_is_summed_over_passes_nothing(place):
    net = Net()
    x = net.input([2, 4, 4])
    normed = net.op("Mul", net.op("Tanh", x), net.param(*((4,), (4, 1))[place]))
    factors = [normed, net.op("Sigmoid", x)]
    y = net.op("MatMul", *(factors[::-1] if place else factors), name="mix")
    result = fold_model(net.model(dense(net, y, 4, 4)))
    assert_left(result, "its constants run along an axis that MatMul 'mix' does not keep")


def test_a_factor_that_is_broadcast_over_the_constants_does_not_take_them():
    net = Net()
    x = net.input([2, 4, 4, 4])
    one = net.op("ReduceMean", net.conv(x, 4, 4, (1, 1)), net.ints(1))
    y = net.op("MatMul", scores(net, x, rank=4), one)
    result = fold_model(net.model(net.norm(y, 4, 2)))
    assert not result.all_folded
    assert_same_function(result)


def test_a_product_of_a_value_with_itself_is_left():
    net = Net()
    h = net.norm(net.op("Tanh", net.input([2, 4, 4])), 4, 0)
    result = fold_model(net.model(net.op("MatMul", h, h)))
    assert not result.all_folded
    assert_same_function(result)


def test_the_constant_of_a_product_per_head_takes_the_norm():
    net = Net()
    x = net.input(["N", HEADS, TOKENS, WIDTH])
    y = net.op("MatMul", net.op("Tanh", x), net.param(HEADS, WIDTH, 3))
    assert_folded(fold_model(net.model(net.op("Mul", y, net.param(3)))))
