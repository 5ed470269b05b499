"""Models are made ready to lift: functions inlined, initialisers constant, domains minded."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from graphs import Net
from onnx import helper
from spellings import Spelling, add, mul

from bnfuse.errors import ExportError
from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare


@pytest.mark.parametrize(("ir_version", "kinds"), [(3, ["norm"]), (10, [])])
def test_initialisers_among_the_inputs_are_constants_where_none_may_be_overridden(
    ir_version, kinds
):
    net = Spelling()
    y = add(net, mul(net, net.x))
    model = net.model(y)
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    model.ir_version = ir_version
    graph = ir.serde.deserialize_model(model)
    prepare(graph)
    assert [site.kind.value for site in lift(graph).sites] == kinds


def test_local_functions_are_inlined():
    net = Spelling()
    y = net.op("norm_of", net.x, net.vector(), net.vector(), domain="local")
    model = _declared(net, y, ["N", 4, 4, 4], "local")
    body = [
        helper.make_node("Mul", ["x", "s"], ["scaled"]),
        helper.make_node("Add", ["scaled", "t"], ["y"]),
    ]
    opset = [helper.make_opsetid("", 20)]
    model.functions.append(
        helper.make_function("local", "norm_of", ["x", "s", "t"], ["y"], body, opset)
    )
    graph = ir.serde.deserialize_model(model)
    _, notes = prepare(graph)
    assert any("inlined" in note for note in notes)
    assert [site.kind.value for site in lift(graph).sites] == ["norm"]


def test_a_model_without_an_operator_set_is_an_error():
    net = Spelling()
    model = net.model(net.x)
    model.opset_import[0].domain = "elsewhere"
    with pytest.raises(ExportError, match="imports no ONNX operator set"):
        prepare(ir.serde.deserialize_model(model))


def test_an_op_of_another_domain_is_not_what_its_name_says():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4]))
    y = net.op("Sigmoid", net.op("Mul", h, net.param(4), domain="elsewhere"))
    model = ir.serde.deserialize_model(_declared(net, y, [2, 4], "elsewhere"))
    prepare(model)
    assert lift(model).sites == ()


def _declared(net: Net, output: str, shape: list[int | str], domain: str) -> onnx.ModelProto:
    """A model with an op that shape inference does not know."""
    info = helper.make_tensor_value_info(output, onnx.TensorProto.DOUBLE, shape)
    graph = helper.make_graph(net.nodes, "net", net.inputs, [info], net.constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets)
