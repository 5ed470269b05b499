"""A length that ONNX infers and ONNX Runtime computes otherwise is not used."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from graphs import Net, feeds_for, fold_model

from bnfuse.lifting.preparing.shape_inference import infer_shapes


def _run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options)
    return [np.asarray(array) for array in session.run(None, feeds)]


def _without_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Outputs as a runtime takes them: what inference claims of their shapes is no part of it."""
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _assert_runs_the_same(model: onnx.ModelProto) -> onnx.ModelProto:
    model = _without_sizes(model)
    after = fold_model(model).after
    feeds = feeds_for(model)
    for one, two in zip(_run(model, feeds), _run(after, feeds), strict=True):
        assert one.shape == two.shape
        assert np.max(np.abs(one - two)) <= 1e-4 * np.max(np.abs(one))
    return after


def _resized(net: Net, x: str, scale: float) -> str:
    scales = net.const(np.array([1, 1, scale, scale], np.float32))
    return net.op("Resize", x, "", scales, mode="nearest")


def _pooled(net: Net, x: str, op_type: str, kernel: int, stride: int, pad: int) -> str:
    return net.op(
        op_type, x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, ceil_mode=1
    )


def _grown(net: Net, kind: str, x: str) -> str:
    if kind.startswith("Resize"):
        return _resized(net, x, 1.3 if kind == "Resize up" else 0.7)
    return (
        _pooled(net, x, kind, 2, 2, 1) if kind == "AveragePool" else _pooled(net, x, kind, 1, 3, 0)
    )


KINDS = ["Resize up", "Resize down", "MaxPool", "AveragePool"]
SIZES = {"MaxPool": 9, "AveragePool": 9}


def _start(kind: str, opset: int) -> tuple[Net, str]:
    net = Net(dtype=np.float32, opset=opset)
    size = SIZES.get(kind, 10)
    return net, net.conv(net.input([2, 3, size, size]), 3, 4, (1, 1))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sum_over_positions_behind_it(kind: str, opset: int) -> None:
    net, x = _start(kind, opset)
    total = net.op("ReduceSum", _grown(net, kind, x), net.ints(2, 3), keepdims=0)
    _assert_runs_the_same(net.model(net.norm(total, 4, 0, positive=True)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sum_over_positions_behind_a_norm_of_it(kind: str) -> None:
    net, x = _start(kind, 13)
    grown = net.norm(_grown(net, kind, net.op("Tanh", x)), 4, 2, positive=True)
    total = net.op("ReduceSum", grown, net.ints(2, 3), keepdims=0)
    _assert_runs_the_same(net.model(net.op("Gemm", total, net.param(4, 5), net.param(5))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flattened_one(kind: str) -> None:
    net, x = _start(kind, 13)
    flat = net.op("Flatten", net.norm(_grown(net, kind, net.op("Tanh", x)), 4, 2, positive=True))
    total = net.op("ReduceSum", net.op("Mul", flat, net.scalar(0.3)), net.ints(1))
    _assert_runs_the_same(net.model(net.op("Tanh", flat), total))


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_from_it_is_not_known_either(kind: str) -> None:
    net, x = _start(kind, 13)
    conv = net.conv(net.conv(_grown(net, kind, x), 4, 4, (1, 1)), 4, 6, (1, 1))
    model = ir.serde.deserialize_model(net.model(net.op("Relu", conv)))
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert shape is not None
    assert shape[:2] == (2, 6)
    assert not any(isinstance(dim, int) for dim in shape[2:])


def test_a_size_that_everyone_computes_alike_is_known() -> None:
    net = Net(dtype=np.float32, opset=13)
    x = net.input([2, 3, 12, 12])
    for grown in (
        _resized(net, x, 1.5),
        _resized(net, x, 1.3),
        _pooled(net, x, "MaxPool", 3, 2, 0),
    ):
        model = ir.serde.deserialize_model(net.model(grown))
        infer_shapes(model)
        runtime = _run(_without_sizes(net.model(grown)), {"x": np.zeros((2, 3, 12, 12), "f")})
        assert tuple(model.graph.outputs[0].shape or ()) == runtime[0].shape


def test_one_of_them_behind_another() -> None:
    net, x = _start("Resize up", 13)
    twice = _resized(net, _pooled(net, _resized(net, x, 1.3), "MaxPool", 2, 2, 1), 1.4)
    total = net.op("ReduceSum", twice, net.ints(2, 3), keepdims=0)
    _assert_runs_the_same(net.model(net.norm(total, 4, 0, positive=True)))


def test_a_size_that_the_file_declares_from_the_same_inference() -> None:
    net, x = _start("Resize up", 13)
    total = net.op("ReduceSum", _resized(net, x, 1.3), net.ints(2, 3), keepdims=0)
    model = _without_sizes(net.model(net.norm(total, 4, 0, positive=True)))
    _assert_runs_the_same(onnx.shape_inference.infer_shapes(model))
