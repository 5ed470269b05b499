"""What a fold puts back stands after everything that it reads, and is valid where it stands."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_same_function, fold_model
from onnx import TensorProto, numpy_helper


def _in_order(model: onnx.ModelProto) -> bool:
    known = {v.name for v in (*model.graph.input, *model.graph.initializer)} | {""}
    for node in model.graph.node:
        if not set(node.input) <= known:
            return False
        known |= set(node.output)
    return True


def _constant(net: Net, dims: tuple[int, ...]) -> str:
    return net.op("Constant", value=numpy_helper.from_array(net.floats(*dims)))


def _cast(net: Net, dims: tuple[int, ...]) -> str:
    return net.op("Cast", net.const(net.floats(*dims).astype(np.float32)), to=TensorProto.DOUBLE)


def _identity(net: Net, dims: tuple[int, ...]) -> str:
    return net.op("Identity", net.param(*dims))


MAKERS = [_constant, _cast, _identity]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_a_bias_that_is_made_behind_its_product(make, first: bool) -> None:
    net = Net()
    product = net.op("MatMul", net.input(["N", 4]), net.param(4, 5))
    bias = make(net, (5,))
    y = net.op("Add", bias, product) if first else net.op("Add", product, bias)
    model = net.model(net.op("Tanh", y))
    result = fold_model(model)
    assert _in_order(result.after)
    assert sorted(result.ops) == sorted(
        n.op_type for n in model.graph.node if n.op_type != "Constant"
    )
    assert_same_function(result)


@pytest.mark.parametrize("make", MAKERS)
def test_a_norm_behind_a_bias_that_is_made_behind_its_product(make) -> None:
    net = Net()
    product = net.op("MatMul", net.input(["N", 4]), net.param(4, 5))
    y = net.norm(net.op("Add", product, make(net, (5,))), 5, 0)
    assert_folded(fold_model(net.model(y)), ["Gemm"])


@pytest.mark.parametrize("make", MAKERS)
def test_two_products_and_a_bias_between_them(make) -> None:
    net = Net()
    x = net.input(["N", 4])
    h = net.op("MatMul", x, net.param(4, 4))
    other = net.op("Add", net.op("MatMul", x, net.param(4, 4)), make(net, (4,)))
    bias = make(net, (4,))
    y = net.op("Mul", net.op("Tanh", other), net.op("Tanh", net.op("Add", h, bias)))
    result = fold_model(net.model(y))
    assert _in_order(result.after)
    assert_same_function(result)


@pytest.mark.parametrize("make", MAKERS)
def test_an_affine_whose_constants_are_made_on_the_way(make) -> None:
    net = Net()
    y = net.op("Tanh", net.input(["N", 4, 3, 3]))
    for op_type in ("Mul", "Add", "Mul"):
        y = net.op(op_type, y, make(net, (4, 1, 1)))
    result = fold_model(net.model(net.op("Tanh", y)))
    assert _in_order(result.after)
    assert_same_function(result)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13])
def test_a_gemm_has_its_third_input_where_the_opset_asks_for_it(opset: int) -> None:
    net = Net(opset=opset)
    zeros = net.const(np.zeros(5))
    h = net.op("Gemm", net.input(["N", 5]), net.param(5, 5), zeros)
    result = fold_model(net.model(net.op("Gemm", h, net.param(5, 5), zeros)))
    assert result.ops == ["Gemm"]
    assert _in_order(result.after)
    (gemm,) = result.after.graph.node
    assert len(gemm.input) == 3 or opset >= 11
    assert_same_function(result)


@pytest.mark.parametrize("opset", [7, 10])
def test_a_product_and_a_scale_before_opset_11(opset: int) -> None:
    net = Net(opset=opset)
    h = net.op("Mul", net.op("MatMul", net.input(["N", 5]), net.param(5, 5)), net.param(5))
    result = fold_model(net.model(h))
    assert all(len(n.input) == 3 for n in result.after.graph.node if n.op_type == "Gemm")
    assert_folded(result)
