"""New numbers are rounded once from float64, and each is held to a second derivation."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from graphs import EPSILON, Net, assert_same_function, fold_model
from onnx import helper, numpy_helper

from bnfuse.errors import FoldError
from bnfuse.graph.initializers import Initializers
from bnfuse.lifting.linear import LinearMap


def _nodes(model: onnx.ModelProto, *op_types: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in op_types]


def _tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    return numpy_helper.to_array(tensor)


DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


def _precise_net(dtype) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """MatMul, then a scale, then a shift: with the weight and bias that they come to, exactly."""
    rng = np.random.default_rng(7)
    weight, scale, shift = (
        rng.uniform(0.5, 2.0, shape).astype(dtype) for shape in ((32, 48), (48,), (48,))
    )
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = [
        numpy_helper.from_array(array, name)
        for name, array in (("w", weight), ("s", scale), ("t", shift))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "fc"),
        helper.make_node("Add", ["product", "t"], ["biased"], "bias"),
        helper.make_node("Mul", ["biased", "s"], ["scaled"], "gamma"),
        helper.make_node("Sub", ["scaled", "t"], ["y"], "beta"),
    ]
    infos = [
        helper.make_tensor_value_info(name, element, ["N", 3, k])
        for name, k in (("x", 32), ("y", 48))
    ]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    w, s, t = (array.astype(np.float64) for array in (weight, scale, shift))
    return model, w * s, t * s - t


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_and_biases_are_rounded_once(dtype):
    model, weight, bias = _precise_net(dtype)
    result = fold_model(model)
    assert result.ops == ["MatMul", "Add"]
    (product,), (add,) = _nodes(result.after, "MatMul"), _nodes(result.after, "Add")
    stored_weight = _tensor(result.after, product.input[1])
    (bias_name,) = set(add.input) & {tensor.name for tensor in result.after.graph.initializer}
    stored_bias = _tensor(result.after, bias_name)
    for stored, exact in ((stored_weight, weight), (stored_bias, bias)):
        assert stored.dtype == np.dtype(dtype)
        nearest = _nearest(exact, dtype)
        assert np.array_equal(stored.astype(np.float64), nearest.astype(np.float64))


def _nearest(exact: np.ndarray, dtype) -> np.ndarray:
    return (
        exact.astype(np.float32).astype(dtype)
        if dtype is ml_dtypes.bfloat16
        else exact.astype(dtype)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_batch_norm_after_a_conv_is_folded_in_double_precision(dtype):
    net = Net(seed=3, dtype=dtype)
    weight, bias = net.floats(16, 8, 3, 3), net.floats(16)
    conv = net.op("Conv", net.input(["N", 8, 6, 6]), net.const(weight), net.const(bias))
    gamma, beta, mean, variance = (net.floats(16, low=0.3) for _ in range(4))
    parameters = [net.const(array) for array in (gamma, beta, mean, variance)]
    y = net.op("BatchNormalization", conv, *parameters, epsilon=EPSILON)
    result = fold_model(net.model(y))
    w, b, g, t, m, v = (a.astype(np.float64) for a in (weight, bias, gamma, beta, mean, variance))
    scale = g / np.sqrt(v + float(np.float32(EPSILON)))
    (folded,) = _nodes(result.after, "Conv")
    stored = [_tensor(result.after, name) for name in folded.input[1:]]
    assert np.array_equal(stored[0], (w * scale[:, None, None, None]).astype(dtype))
    assert np.array_equal(stored[1], (b * scale + (t - m * scale)).astype(dtype))


def test_what_is_left_of_several_ops_is_rounded_once():
    net = Net(dtype=np.float32)
    parts = [net.floats(4, 1, 1, low=0.3) for _ in range(3)]
    y = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    for part in parts:
        y = net.op("Mul", y, net.const(part))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    (left,) = _nodes(result.after, "Mul")
    exact = np.prod([part.astype(np.float64) for part in parts], axis=0)
    assert np.array_equal(_tensor(result.after, left.input[1]), exact.astype(np.float32))


def _folding_net() -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    h = net.conv(net.input(["N", 4, 6, 6]), 4, 6, group=2)
    return net.model(net.conv(net.op("Sigmoid", net.norm(h, 6, 2)), 6, 4, (1, 1)))


def _off_by(value, index, factor):
    changed = np.array(value, copy=True)
    changed.reshape(-1)[index] *= factor
    return changed


TAMPERINGS = {
    "one weight": ("exact_weight", lambda weight: _off_by(weight, 0, 1 + 1e-6)),
    "a whole channel": ("exact_weight", lambda weight: weight[:, ::-1]),
    "a swapped group": ("exact_weight", lambda weight: weight[::-1]),
    "a swapped tap": ("exact_weight", lambda weight: weight[..., ::-1]),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_weight_that_differs_from_its_derivation_is_an_error(monkeypatch, what):
    name, tamper = TAMPERINGS[what]
    original = getattr(LinearMap, name)
    monkeypatch.setattr(LinearMap, name, lambda self: tamper(original(self)))
    with pytest.raises(FoldError, match=r"'w_1.*differs from its independent derivation") as error:
        fold_model(_folding_net())
    assert "'conv_2'" in str(error.value)
    assert "absorb" in str(error.value)


@pytest.mark.parametrize("channel", [0, 5])
def test_a_bias_that_differs_from_its_derivation_is_an_error(monkeypatch, channel):
    original = LinearMap.after

    def tampered(self: LinearMap, affine):
        folded = original(self, affine)
        object.__setattr__(folded, "offset", _off_by(folded.offset, channel, 1 + 1e-5))
        return folded

    monkeypatch.setattr(LinearMap, "after", tampered)
    with pytest.raises(FoldError, match="differs from its independent derivation"):
        fold_model(_folding_net())


def test_numbers_that_are_rounded_twice_are_an_error(monkeypatch):
    original = Initializers.add

    def coarse(self, array, dtype, after):
        return original(self, array.astype(np.float16).astype(np.float64), dtype, after)

    monkeypatch.setattr(Initializers, "add", coarse)
    with pytest.raises(FoldError, match="differs from its independent derivation"):
        fold_model(_folding_net())


def test_a_derivation_gives_each_constant_its_exact_value_and_unit():
    result = fold_model(_folding_net())
    derived = [c for d in result.lowered.derivations for c in d.constants()]
    assert len(derived) == 2
    for constant in derived:
        stored = _tensor(result.after, constant.tensor)
        assert constant.value.shape == stored.shape
        assert np.array_equal(constant.value.astype(np.float32), stored)
        assert np.all(constant.unit >= np.abs(constant.value) * (1 - 1e-12))


def test_a_model_given_in_memory_can_be_lowered_without_a_fold():
    result = fold_model(_folding_net(), limit=0)
    assert not any(site.folded for site in result.sites)
    assert all(site.reason for site in result.sites)
    assert_same_function(result, rtol=1e-5)
