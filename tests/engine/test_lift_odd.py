"""Graphs that are legal and rare come through: no crash, the same function."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_same_function, feeds_for, fold_model, run


def test_two_integer_products_in_a_row() -> None:
    net = Net(dtype=np.int64)
    h = net.input(["N", 4])
    for _ in range(2):
        h = net.op("MatMul", h, net.const(np.arange(16, dtype=np.int64).reshape(4, 4)))
    result = fold_model(net.model(h))
    assert result.ops == ["MatMul", "MatMul"]
    feeds = feeds_for(result.before)
    assert np.array_equal(
        *(next(iter(run(m, feeds).values())) for m in (result.before, result.after))
    )


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub", "Div"])
def test_integer_arithmetic_beside_an_integer_product(op_type: str) -> None:
    net = Net(dtype=np.int64)
    h = net.op("MatMul", net.input(["N", 4]), net.const(np.full((4, 4), 3)))
    y = net.op(op_type, h, net.const(np.full(4, 2)))
    result = fold_model(net.model(net.op("Gemm", y, net.const(np.eye(4, dtype=np.int64)))))
    feeds = feeds_for(result.before)
    assert np.array_equal(
        *(next(iter(run(m, feeds).values())) for m in (result.before, result.after))
    )


def _unknown(net: Net, rank: int = 2) -> str:
    """A value of whose shape nothing is known before a run."""
    target = net.op("Abs", net.input(["R"], "shape", dtype=np.int64))
    return net.op("Reshape", net.input([2] * rank), target)


_CONSUMERS = {
    "Gemm": lambda net, x: net.op("Gemm", x, net.param(2, 2), net.param(2)),
    "MatMul": lambda net, x: net.op("MatMul", x, net.param(2, 2)),
    "MatMul on the left": lambda net, x: net.op("MatMul", net.param(2, 2), x),
    "Conv": lambda net, x: net.conv(x, 2, 2, (1,)),
    "LayerNormalization": lambda net, x: net.op(
        "LayerNormalization", x, net.param(2), net.param(2)
    ),
    "BatchNormalization": lambda net, x: net.batch_norm(x, 2),
    "Mul": lambda net, x: net.op("Mul", x, net.param(2)),
    "Softmax": lambda net, x: net.op("Softmax", x),
    "ReduceSum": lambda net, x: net.op("ReduceSum", x, net.ints(-1)),
    "Transpose": lambda net, x: net.op("Transpose", x),
    "Flatten": lambda net, x: net.op("Flatten", x),
    "Concat": lambda net, x: net.op("Concat", x, x, axis=0),
    "Gather": lambda net, x: net.op("Gather", x, net.ints(0, 1)),
    "Split": lambda net, x: net.ops("Split", x, count=2, axis=0, num_outputs=2)[0],
    "Slice": lambda net, x: net.op("Slice", x, net.ints(0), net.ints(1)),
    "Pad": lambda net, x: net.op("Pad", x, net.ints(0, 1, 0, 1)),
    "Expand": lambda net, x: net.op("Expand", x, net.ints(2, 2)),
    "Squeeze": lambda net, x: net.op("Squeeze", x),
    "Add": lambda net, x: net.op("Add", x, x),
    "Max": lambda net, x: net.op("Max", x, net.param(2)),
    "Where": lambda net, x: net.op("Where", net.const(np.array([True, False])), x, net.param(2)),
    "Clip": lambda net, x: net.op("Clip", x, net.scalar(0.0)),
    "Einsum": lambda net, x: net.op("Einsum", x, net.param(2), equation="ab,b->ab"),
    "PRelu": lambda net, x: net.op("PRelu", x, net.param(2)),
    "Resize": lambda net, x: net.op("Resize", x, "", net.const(np.ones(2, np.float32))),
    "GlobalAveragePool": lambda net, x: net.op("GlobalAveragePool", x),
    "MaxPool": lambda net, x: net.op("MaxPool", x, kernel_shape=[1]),
    "DepthToSpace": lambda net, x: net.op("DepthToSpace", x, blocksize=1),
    "InstanceNormalization": lambda net, x: net.op(
        "InstanceNormalization", x, net.param(2), net.param(2)
    ),
    "GroupNormalization": lambda net, x: net.op(
        "GroupNormalization", x, net.param(2), net.param(2), num_groups=2
    ),
    "Sum": lambda net, x: net.op("Sum", x, x, x),
    "Mean": lambda net, x: net.op("Mean", x, x),
    "Tile": lambda net, x: net.op("Tile", x, net.ints(1, 2)),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("what", _CONSUMERS)
def test_an_input_of_unknown_rank(what: str, behind: bool) -> None:
    """It need not run: it must come through, before and after a norm."""
    net = Net(opset=21)
    x = _unknown(net)
    y = _CONSUMERS[what](net, net.op("Mul", x, net.param(2)) if behind else x)
    y = net.op("Mul", net.op("Add", y, net.param(2)), net.param(2))
    y = net.op("Reshape", net.op("MatMul", y, net.param(2, 2)), net.ints(-1))
    _folds(net.model(y))


def _folds(model: onnx.ModelProto) -> onnx.ModelProto:
    return fold_model(model).after


@pytest.mark.parametrize("op_type", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("width", [1, 6, "W", None])
@pytest.mark.parametrize("behind", [False, True])
def test_a_layer_norm_with_one_number_for_a_width_that_is_not_known(op_type, width, behind) -> None:
    net = Net(opset=23)
    x = net.input(["N", 6]) if width is None else net.input(["N", width])
    if width is None:
        x = net.op("Reshape", x, net.op("Abs", net.input([2], "shape", dtype=np.int64)))
    h = net.op(op_type, x, net.const(np.array([1.7])))
    if behind:
        h = net.op("Mul", h, net.const(np.array([0.3])))
    result = fold_model(net.model(net.op("Tanh", h)))
    if width is not None:
        assert_same_function(result)


@pytest.mark.parametrize("op_type", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("width", [6, "W"])
def test_a_batch_norm_behind_a_layer_norm_with_one_number(op_type, width) -> None:
    net = Net(opset=23)
    h = net.op(op_type, net.input(["N", width]), net.const(np.array([1.7])))
    assert_same_function(fold_model(net.model(net.batch_norm(h, 6))), sizes=(6,))


def test_two_batch_norms_of_an_input_of_unknown_rank() -> None:
    net = Net()
    y = net.batch_norm(net.batch_norm(_unknown(net), 2), 2)
    result = fold_model(net.model(net.op("Reshape", y, net.ints(-1))))
    feeds = {"x": np.ones((2, 2)), "shape": np.array([2, 2])}
    before, after = (next(iter(run(m, feeds).values())) for m in (result.before, result.after))
    assert np.allclose(before, after, rtol=1e-12)


@pytest.mark.parametrize("width", [6, "W"])
def test_a_layer_norm_with_one_number_before_a_linear_map(width) -> None:
    net = Net()
    h = net.op("LayerNormalization", net.input(["N", width]), net.const(np.array([1.7])))
    result = fold_model(net.model(net.op("MatMul", h, net.param(6, 5))))
    assert_same_function(result, sizes=(6,))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_a_matrix_of_no_numbers(shape: tuple[int, int]) -> None:
    net = Net()
    x = net.norm(net.input(["N", shape[0]]), shape[0], 0)
    y = net.op("Add", net.op("MatMul", x, net.param(*shape)), net.param(shape[1]))
    result = fold_model(net.model(net.op("Mul", y, net.param(shape[1]))))
    assert "MatMul" in result.ops


@pytest.mark.parametrize("shape", [(0, 3, 1, 1), (4, 0, 1, 1)])
def test_a_convolution_of_no_numbers(shape: tuple[int, ...]) -> None:
    net = Net()
    y = net.op("Conv", net.input(["N", shape[1], 4, 4]), net.param(*shape))
    fold_model(net.model(net.norm(y, shape[0], 2)))


def test_a_gemm_of_no_numbers_between_two_norms() -> None:
    net = Net()
    h = net.norm(net.op("Gemm", net.input(["N", 4]), net.param(4, 0), net.param(0)), 0, 0)
    fold_model(net.model(net.op("Gemm", h, net.param(0, 3), net.param(3))))


def test_norms_of_no_channels() -> None:
    net = Net()
    x = net.input(["N", 0, 3, 3])
    fold_model(net.model(net.batch_norm(net.op("Relu", x), 0)))
    net = Net()
    x = net.input(["N", 0])
    fold_model(net.model(net.op("LayerNormalization", x, net.param(0), net.param(0))))
