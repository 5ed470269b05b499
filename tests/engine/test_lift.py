"""However a norm is spelt, it is read as one scale and one shift along one tracked axis."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from spellings import ROOTS, SCALES, SHIFTS, Spelling, add, by_root, div, inside, mul, sub, sub_from


@pytest.mark.parametrize("before", SHIFTS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("after", SHIFTS)
def test_every_order_and_side(before, scale, after):
    net = Spelling()
    result = fold_model(net.model(after(net, scale(net, before(net, net.x)))))
    assert_folded(result, ["Conv"])


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("centre", [sub, sub_from])
def test_every_spelling_of_the_deviation(root, centre):
    net = Spelling()
    result = fold_model(net.model(add(net, mul(net, root(net, centre(net, net.x))))))
    assert len(result.norms) == 1
    assert_folded(result, ["Conv"])


@pytest.mark.parametrize("order", list(itertools.permutations([sub, div, mul, add])))
def test_every_order_of_four_ops(order):
    net = Spelling()
    y = net.x
    for step in order:
        y = step(net, y)
    assert_folded(fold_model(net.model(y)), ["Conv"])


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_constants_of_any_shape_that_broadcasts(shape):
    net = Spelling()
    net.shape = shape
    assert_folded(
        fold_model(net.model(add(net, mul(net, by_root(net, sub(net, net.x)))))), ["Conv"]
    )


def test_einsum_with_a_vector():
    net = Spelling()
    y = net.op("Einsum", net.x, net.param(4), equation="nchw,c->nchw")
    assert_folded(fold_model(net.model(add(net, y))), ["Conv"])


@pytest.mark.parametrize("equation", ["nchw,w->nchw", "nchw,h -> nchw"])
def test_einsum_along_another_axis_of_the_same_length_is_left(equation):
    net = Spelling()
    y = net.op("Einsum", net.x, net.param(4), equation=equation)
    assert_left(fold_model(net.model(y)), "its constants run along axis")


@pytest.mark.parametrize(
    "equation", ["nchw,c->nhwc", "nchw,c->nhw", "nchw,k->nchw", "nchw,n->nchw"]
)
def test_einsums_that_are_no_scale_stay_right(equation):
    net = Net()
    conv = net.conv(net.input([4, 3, 6, 6]), 3, 4)
    assert_same_function(
        fold_model(net.model(net.op("Einsum", conv, net.param(4), equation=equation)))
    )


def test_batch_norm_of_pytorch_with_its_epsilon():
    net = Spelling()
    assert_folded(fold_model(net.model(net.batch_norm(net.x, 4))), ["Conv"])


def test_the_default_epsilon_is_the_specified_one():
    net = Spelling()
    parameters = [net.param(4) for _ in range(3)] + [net.const(np.full(4, 1e-6))]
    y = net.op("BatchNormalization", net.x, *parameters)
    assert_folded(fold_model(net.model(y)), ["Conv"])


def test_addcmul_and_a_frozen_scale_and_bias():
    net = Spelling()
    scale = net.op("Div", net.vector(), net.op("Sqrt", inside(net)))
    bias = net.op("Sub", net.vector(), net.op("Mul", net.vector(), scale))
    assert_folded(fold_model(net.model(net.op("Add", bias, net.op("Mul", scale, net.x)))), ["Conv"])


def test_a_weight_that_is_a_constant_expression():
    net = Net()
    v, g = net.param(4, 3, 3, 3), net.param(4, 1, 1, 1)
    norm = net.op("ReduceL2", v, net.ints(1, 2, 3), keepdims=1)
    weight = net.op("Mul", v, net.op("Div", g, norm))
    y = net.op("Conv", net.input(["N", 3, 6, 6]), weight)
    assert_folded(fold_model(net.model(net.norm(y, 4, 2))), ["Conv"])


def test_a_transposed_linear_weight_and_its_bias_as_expressions():
    net = Net()
    weight = net.op("Transpose", net.param(5, 6), perm=[1, 0])
    product = net.op("MatMul", net.input(["N", 7, 6]), weight)
    biased = net.op("Add", product, net.op("Neg", net.param(5)))
    assert_folded(fold_model(net.model(net.norm(biased, 5, 0))), ["MatMul", "Add"])


def test_what_depends_on_no_input_is_no_site():
    net = Net()
    scaled = net.op("Mul", net.param(4, 3), net.param(4, 1))
    y = net.op("MatMul", net.input([2, 4]), scaled)
    assert fold_model(net.model(y)).sites == ()


def test_a_scale_of_integers_is_no_site():
    net = Net()
    y = net.op("Mul", net.input([2, 4], dtype=np.int64), net.ints(1, 2, 3, 4))
    result = fold_model(net.model(net.op("Cast", y, to=onnx.TensorProto.DOUBLE)))
    assert result.sites == ()


def test_a_product_of_two_inputs_is_no_site():
    net = Net()
    y = net.op("Mul", net.input([2, 4]), net.input([2, 4], "z"))
    assert fold_model(net.model(y)).sites == ()


def test_a_value_plus_itself_is_no_site():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4]))
    assert fold_model(net.model(net.op("Add", h, h))).sites == ()
