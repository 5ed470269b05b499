"""A matrix product after another is one, where both mix the same axis and that is cheaper."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model


def check(net: Net, y: str, ops: list[str]) -> None:
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert result.ops == [*ops, "Sigmoid"]
    assert_same_function(result, sizes=(4, 3))
    assert fold_model(result.after).after.graph == result.after.graph


def product(net: Net, x: str, weight: tuple[int, int], bias: int | None = None) -> str:
    y = net.op("MatMul", x, net.param(*weight))
    return y if bias is None else net.op("Add", y, net.param(bias))


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("biases", [(None, None), (6, None), (None, 3), (6, 3)])
def test_products_on_the_right(rank, biases):
    net = Net()
    x = net.input(["N", *[2] * (rank - 2), 4])
    y = product(net, product(net, x, (4, 6), biases[0]), (6, 3), biases[1])
    has_bias = biases != (None, None)
    ops = ["MatMul", "Add"] if has_bias and rank > 2 else ["Gemm" if has_bias else "MatMul"]
    check(net, y, ops)


@pytest.mark.parametrize("rank", [2, 3])
def test_products_on_the_left(rank):
    net = Net()
    x = net.input([*[2] * (rank - 2), 4, "N"])
    h = net.op("Add", net.op("MatMul", net.param(6, 4), x), net.param(6, 1))
    check(net, net.op("MatMul", net.param(3, 6), h), ["MatMul", "Add"])


@pytest.mark.parametrize("turned", range(16))
def test_gemms_however_their_factors_are_turned(turned):
    first, second, sides = turned & 1, turned >> 1 & 1, turned >> 2
    net = Net()
    x = net.input([4, 4])
    for transposed, on_left in ((first, sides & 1), (second, sides >> 1)):
        factors = (net.param(4, 4), x) if on_left else (x, net.param(4, 4))
        bias = net.param(4, 1) if on_left else net.param(4)
        x = net.op("Gemm", *factors, bias, transA=transposed, transB=1, alpha=0.5, beta=3.0)
    result = fold_model(net.model(net.op("Sigmoid", x)))
    assert_same_function(result)
    again = fold_model(result.after)
    assert again.after.graph == result.after.graph


def test_some_of_them_merge_although_they_stand_on_other_sides():
    net = Net()
    h = net.op("Gemm", net.param(4, 4), net.input([4, "N"]))
    check(net, net.op("Gemm", h, net.param(4, 4), transA=1), ["Gemm"])


def test_a_gemm_and_a_product():
    net = Net()
    h = net.op("Gemm", net.input(["N", 4]), net.param(6, 4), net.param(6), transB=1)
    check(net, product(net, h, (6, 4)), ["Gemm"])
    net = Net()
    h = product(net, net.input(["N", 4]), (4, 6), 6)
    check(net, net.op("Gemm", h, net.param(6, 4), transA=0), ["Gemm"])


def test_a_norm_between_goes_first():
    net = Net()
    h = net.norm(product(net, net.input(["N", 2, 4]), (4, 6)), 6, 0)
    check(net, product(net, h, (6, 4)), ["MatMul", "Add"])


def test_products_that_mix_other_axes_stay():
    net = Net()
    h = net.op("MatMul", net.param(4, 4), net.input([2, 4, 4]))
    result = fold_model(net.model(net.op("MatMul", h, net.param(4, 4))))
    assert result.ops == ["MatMul", "MatMul"]
    assert not result.log.unmerged
    assert_same_function(result)


def test_a_bottleneck_stays():
    net = Net()
    h = product(net, net.input(["N", 64]), (64, 4))
    result = fold_model(net.model(product(net, h, (4, 64))))
    assert result.ops == ["MatMul", "MatMul"]
    (refusal,) = result.log.unmerged
    assert "FLOPs 1,024 → 8,192, bytes 4,096 → 32,768" in refusal.reason


def test_a_bottleneck_inside_a_chain_is_found():
    net = Net()
    y = net.input(["N", 32])
    for sizes in ((32, 4), (4, 32), (32, 4), (4, 32)):
        y = product(net, y, sizes)
    result = fold_model(net.model(y))
    assert result.ops == ["MatMul", "MatMul"]
    assert_same_function(result)


@pytest.mark.parametrize("what", ["read", "output"])
def test_a_middle_that_is_needed_stays(what):
    net = Net()
    h = product(net, net.input(["N", 4]), (4, 4))
    y = product(net, h, (4, 4))
    result = fold_model(net.model(y, h if what == "output" else net.op("Sigmoid", h)))
    assert result.ops.count("MatMul") == 2


@pytest.mark.parametrize(
    ("size", "reason"), [(2e2, "a weight would overflow"), (1e-4, "a channel would vanish")]
)
def test_half_constants_whose_product_does_not_fit_stay_apart(size, reason):
    net = Net(dtype=np.float16)
    x = net.input([2, 4])
    for _ in range(2):
        x = net.op("MatMul", x, net.const(np.full((4, 4), size, np.float16)))
    result = fold_model(net.model(x))
    assert result.ops == ["MatMul", "MatMul"]
    assert reason in result.log.unmerged[0].reason


def test_one_weight_in_two_towers_stays_shared():
    net = Net()
    first, second = net.param(4, 6), net.param(6, 4)
    towers = [net.input(["N", 4], name) for name in "xz"]
    towers = [net.op("MatMul", net.op("MatMul", x, first), second) for x in towers]
    result = fold_model(net.model(*(net.op("Sigmoid", y) for y in towers)))
    assert result.ops.count("MatMul") == 4
    assert_same_function(result)
