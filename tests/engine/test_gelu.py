"""A GELU in elementary ops keeps its numbers: ONNX Runtime makes one op of it by them."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model


def by_erf(net: Net, x: str, half_first: bool) -> str:
    one_more = net.op(
        "Add", net.op("Erf", net.op("Div", x, net.scalar(np.sqrt(2)))), net.scalar(1.0)
    )
    return halved_product(net, x, one_more, half_first)


def by_tanh(net: Net, x: str, half_first: bool) -> str:
    cubic = net.op("Mul", net.op("Pow", x, net.scalar(3.0)), net.scalar(0.044715))
    inner = net.op("Mul", net.op("Add", x, cubic), net.scalar(np.sqrt(2 / np.pi)))
    return halved_product(net, x, net.op("Add", net.op("Tanh", inner), net.scalar(1.0)), half_first)


def halved_product(net: Net, x: str, factor: str, half_first: bool) -> str:
    half = net.scalar(0.5)
    if half_first:
        return net.op("Mul", net.op("Mul", x, half), factor)
    return net.op("Mul", net.op("Mul", x, factor), half)


def linear(net: Net, x: str) -> str:
    return net.op("Add", net.op("MatMul", x, net.param(4, 4)), net.param(4))


@pytest.mark.parametrize("half_first", [True, False])
@pytest.mark.parametrize("gelu", [by_erf, by_tanh])
def test_its_numbers_stay(gelu, half_first):
    net = Net()
    y = linear(net, gelu(net, linear(net, net.input([2, 3, 4])), half_first))
    result = fold_model(net.model(y))
    assert result.after.graph.node == result.before.graph.node
    assert {site.reason for site in result.sites} == {
        "ONNX Runtime makes one op of the GELU that it is part of"
    }


def test_a_norm_behind_it_goes_on_and_leaves_it_alone():
    net = Net()
    y = by_erf(net, linear(net, net.input([2, 3, 4])), half_first=False)
    result = fold_model(net.model(linear(net, net.norm(y, 4, 0))))
    assert [site.folded for site in result.norms] == [True]
    assert result.ops == ["MatMul", "Add", "Div", "Erf", "Add", "Mul", "Mul", "MatMul", "Add"]
    assert_same_function(result)


def test_a_norm_behind_it_that_can_go_nowhere_is_one_op():
    net = Net()
    y = by_erf(net, linear(net, net.input([2, 4])), half_first=False)
    result = fold_model(net.model(net.op("Softsign", net.norm(y, 4, 0))))
    assert "keeps its number" in result.norms[0].reason
    assert result.ops[-3:] == ["Mul", "BatchNormalization", "Softsign"]
    assert_same_function(result)


def test_another_use_of_an_error_function_is_no_gelu():
    net = Net()
    x = linear(net, net.input([2, 3, 4]))
    y = net.op("Mul", net.op("Erf", net.op("Mul", x, net.scalar(0.7))), net.scalar(0.5))
    result = fold_model(net.model(linear(net, y)))
    assert result.all_folded
    assert_same_function(result)
