"""Shapes come from ONNX's inference, and the model it runs on is given back as it was."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common
from graphs import Net
from random_graphs import seeded_model

from bnfuse.lifting.preparing.shape_inference import infer_shapes


def shapes(model: ir.Model) -> dict[str | None, tuple[object, object]]:
    return {v.name: (v.shape, v.dtype) for node in model.graph for v in node.outputs}


def test_it_finds_what_the_pass_of_onnx_ir_finds() -> None:
    for seed in range(20):
        proto = seeded_model(seed)
        ours, theirs = (ir.serde.deserialize_model(proto) for _ in range(2))
        infer_shapes(ours)
        common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(theirs)
        assert shapes(ours) == shapes(theirs)


def test_no_constant_is_lost_and_none_is_read() -> None:
    net = Net(dtype=np.float32)
    model = ir.serde.deserialize_model(net.model(net.conv(net.input(["N", 64, 8, 8]), 64, 64)))
    before = {name: v.const_value for name, v in model.graph.initializers.items()}

    def read() -> ir.TensorProtocol:
        raise AssertionError("the inference read a weight")

    (weight,) = (v for v in model.graph.initializers.values() if v.const_value.size > 1000)
    weight.const_value = ir.LazyTensor(
        read, weight.const_value.dtype, weight.const_value.shape, name=weight.name
    )
    before[weight.name] = weight.const_value
    infer_shapes(model)
    assert {name: v.const_value for name, v in model.graph.initializers.items()} == before
    assert model.graph.outputs[0].shape is not None
    assert list(model.graph.outputs[0].shape)[1:] == [64, 6, 6]


def test_an_operator_that_onnx_does_not_know_hides_no_other_shape() -> None:
    net = Net(dtype=np.float32)
    x = net.input([2, 3])
    proto = net.model(net.op("Relu", x), net.op("Softplus", x))
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "Strange", "elsewhere"
    for output in proto.graph.output:
        output.ClearField("type")
    proto.opset_import.add(domain="elsewhere", version=1)
    model = ir.serde.deserialize_model(proto)
    infer_shapes(model)
    assert model.graph[0].outputs[0].shape == ir.Shape([2, 3])
    assert model.graph[1].outputs[0].shape is None
