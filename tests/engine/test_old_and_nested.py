"""Old operator sets, overridable initialisers, subgraphs and functions: handled, never wrong."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from graphs import Net, assert_same_function, feeds_for, fold_model
from onnx import TensorProto, helper, numpy_helper

from bnfuse.errors import ExportError
from bnfuse.lifting.preparing.prepare import prepare


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 13, 17, 21])
def test_every_operator_set_from_7_on(opset: int) -> None:
    net = Net(opset=opset, dtype=np.float32)
    conv = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    pooled = net.op("AveragePool", net.norm(conv, 4, 2), kernel_shape=[2, 2])
    flat = net.op("Flatten", net.batch_norm(pooled, 4))
    gemm = net.op("Gemm", flat, net.param(36, 4), net.param(4))
    result = fold_model(net.model(net.norm(gemm, 4, 0)))
    assert result.ops == ["Conv", "AveragePool", "Flatten", "Gemm"]
    # onnx.reference takes batch statistics in BatchNormalization before opset 14: ask a runtime.
    feeds = feeds_for(result.before)
    before, after = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, feeds)[0]
        for m in (result.before, result.after)
    )
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * np.abs(before).max())


def test_initialisers_that_may_be_overridden_are_no_constants_and_this_is_said() -> None:
    net = Net()
    model = net.model(net.batch_norm(net.conv(net.input([2, 3, 6, 6]), 3, 4), 4))
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    graph = ir.serde.deserialize_model(model)
    _, notes = prepare(graph)
    assert any("may be overridden" in note for note in notes)
    assert [v.name for v in graph.graph.inputs] == [value.name for value in model.graph.input]
    assert not any(site.folded for site in fold_model(model).sites)


def conditional(*, captured: str) -> onnx.ModelProto:
    """Conv, norm, and an If whose branches read either the norm's output or the Conv's."""
    net = Net()
    x = net.input([2, 3, 6, 6])
    conv = net.conv(x, 3, 4, name="conv")
    normed = net.op("Identity", net.norm(conv, 4, 2), name="normed")
    condition = net.input([], name="condition", dtype=np.int64)
    flag = net.op("Cast", condition, to=TensorProto.BOOL)
    value = "conv" if captured == "conv" else normed
    branches = [
        helper.make_graph(
            [helper.make_node(op, [value], [f"{op}_out"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}_out", TensorProto.DOUBLE, None)],
        )
        for op in ("Relu", "Sigmoid")
    ]
    chosen = net.op("If", flag, then_branch=branches[0], else_branch=branches[1])
    return net.model(net.op("Relu", normed), net.op("Identity", chosen))


def test_a_subgraph_that_reads_the_value_before_the_norm_keeps_it() -> None:
    result = fold_model(conditional(captured="conv"))
    assert not result.norms[0].folded
    assert "feeds 3 consumers" in result.norms[0].reason
    assert_same_function(result)


def test_a_subgraph_that_reads_the_norm_reads_the_folded_conv() -> None:
    result = fold_model(conditional(captured="norm"))
    assert result.norms[0].folded
    assert_same_function(result)


def test_a_norm_inside_a_subgraph_is_left_alone() -> None:
    net = Net()
    flag = net.op("Cast", net.input([], name="flag", dtype=np.int64), to=TensorProto.BOOL)
    x = net.input([2, 3, 6, 6])
    weight = numpy_helper.from_array(net.floats(4, 3, 3, 3), "w")
    shift = numpy_helper.from_array(net.floats(4, 1, 1), "t")
    output = [helper.make_tensor_value_info("out", TensorProto.DOUBLE, None)]
    nodes = [
        helper.make_node("Conv", [x, "w"], ["c"]),
        helper.make_node("Add", ["c", "t"], ["out"]),
    ]
    branch = helper.make_graph(nodes, "branch", [], output, [weight, shift])
    chosen = net.op("If", flag, then_branch=branch, else_branch=branch)
    result = fold_model(net.model(net.op("Relu", chosen)))
    assert result.ops == ["Cast", "If", "Relu"]
    assert_same_function(result)


def test_functions_are_inlined_and_their_norms_fold() -> None:
    net = Net()
    conv = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    norm = helper.make_node(
        "Norm", [conv, net.param(4, 1, 1), net.param(4, 1, 1)], ["y"], domain="my"
    )
    net.inputs.append(helper.make_tensor_value_info("y", TensorProto.DOUBLE, [2, 4, 4, 4]))
    model = net.model(net.op("Relu", "y"))
    del model.graph.input[-1]
    model.graph.node.insert(1, norm)
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.functions.append(
        helper.make_function(
            "my",
            "Norm",
            ["x", "s", "t"],
            ["y"],
            [
                helper.make_node("Mul", ["x", "s"], ["scaled"]),
                helper.make_node("Add", ["scaled", "t"], ["y"]),
            ],
            [helper.make_opsetid("", 20)],
        )
    )
    result = fold_model(model)
    assert result.ops == ["Conv", "Relu"]
    assert result.all_folded
    assert_same_function(result)


def test_a_model_without_an_operator_set_is_refused() -> None:
    with pytest.raises(ExportError, match="no ONNX operator set"):
        prepare(ir.Model(ir.Graph([], [], nodes=[], opset_imports={}), ir_version=10))
