"""What a model declares beside its nodes is there again after a fold, and no version moves."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from graphs import Net
from onnx import TensorProto, helper, numpy_helper

import bnfuse
from bnfuse.errors import BnfuseError, ExportError


def conv_norm(opset: int = 20, ir_version: int = 10) -> onnx.ModelProto:
    """Conv, hand-written norm and Relu in float32."""
    net = Net(dtype=np.float32, opset=opset)
    x = net.input([2, 3, 6, 6])
    model = net.model(net.op("Relu", net.norm(net.conv(x, 3, 4), 4, 2)))
    model.ir_version = ir_version
    return model


def listed_as_inputs(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        if not names or tensor.name in names:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            model.graph.input.append(info)
    return model


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    after = ir.serde.serialize_model(bnfuse.fold(model, verified=False).model)
    onnx.checker.check_model(after, full_check=True)
    return after


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: onnx.ModelProto, **feeds: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = feeds or {"x": np.random.default_rng(0).standard_normal((2, 3, 6, 6), np.float32)}
    return session.run(None, feeds)[0]


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    np.testing.assert_allclose(run(after), run(before), atol=1e-5)


def test_in_ir_version_3_every_initialiser_is_an_input_before_and_after() -> None:
    model = listed_as_inputs(conv_norm(opset=8, ir_version=3))
    after = folded(model)
    assert after.ir_version == 3
    assert ops(after) == ["Conv", "Relu"]
    stored = {tensor.name for tensor in after.graph.initializer}
    names = [value.name for value in after.graph.input]
    assert names[0] == "x"
    assert set(names) == stored | {"x"}
    assert len(names) == len(set(names))
    assert_same(model, after)


def test_in_ir_version_3_inputs_keep_their_order_whatever_else_goes() -> None:
    model = listed_as_inputs(conv_norm(opset=8, ir_version=3))
    inputs = list(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend([*inputs[1:], inputs[0]])
    assert folded(model).graph.input[0].name == "x"


def test_an_overridable_initialiser_is_no_constant() -> None:
    model = conv_norm()
    weight = model.graph.initializer[0].name
    listed_as_inputs(model, weight)
    after = folded(model)
    assert [value.name for value in after.graph.input] == ["x", weight]
    assert weight in {tensor.name for tensor in after.graph.initializer}
    feeds = {"x": np.ones((2, 3, 6, 6), np.float32), weight: np.ones((4, 3, 3, 3), np.float32)}
    np.testing.assert_allclose(run(after, **feeds), run(model, **feeds), atol=1e-5)
    assert_same(model, after)


def test_overridable_constants_of_a_norm_keep_it_where_it_is_and_the_note_says_why() -> None:
    model = listed_as_inputs(conv_norm())
    result = bnfuse.fold(model, verified=False)
    assert not any(norm.folded for norm in result.report.norms)
    assert any("may be overridden" in note for note in result.report.notes)
    after = ir.serde.serialize_model(result.model)
    assert ops(after) == ops(model)
    assert list(after.graph.input) == list(model.graph.input)


def sparse(array: np.ndarray, name: str) -> onnx.SparseTensorProto:
    at = np.flatnonzero(array)
    values = numpy_helper.from_array(array.reshape(-1)[at], name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(at, f"{name}.at"), array.shape)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_sparse_initialiser_is_a_constant(tmp_path, as_file) -> None:
    dense = conv_norm()
    model = onnx.ModelProto.FromString(dense.SerializeToString())
    weight = model.graph.initializer.pop(0)
    model.graph.sparse_initializer.append(sparse(numpy_helper.to_array(weight), weight.name))
    source = tmp_path / "model.onnx"
    onnx.save(model, source)
    result = bnfuse.fold(source if as_file else model, verified=False)
    after = ir.serde.serialize_model(result.model)
    onnx.checker.check_model(after, full_check=True)
    assert ops(after) == ["Conv", "Relu"]
    assert_same(dense, after)


def test_a_sparse_constant_is_a_constant() -> None:
    dense = conv_norm()
    model = onnx.ModelProto.FromString(dense.SerializeToString())
    weight = model.graph.initializer.pop(0)
    array = numpy_helper.to_array(weight)
    coordinates = np.argwhere(array != 0)
    given = helper.make_sparse_tensor(
        numpy_helper.from_array(array[array != 0], "v"),
        numpy_helper.from_array(coordinates, "i"),
        array.shape,
    )
    model.graph.node.insert(0, helper.make_node("Constant", [], [weight.name], sparse_value=given))
    after = folded(model)
    assert ops(after) == ["Conv", "Relu"]
    assert_same(dense, after)


@pytest.mark.parametrize("wrong", ["index", "size"])
def test_a_sparse_initialiser_that_lies_about_itself_is_refused(tmp_path, wrong) -> None:
    model = conv_norm()
    tensor = sparse(np.eye(4, dtype=np.float32), "s")
    if wrong == "index":
        tensor.indices.CopyFrom(numpy_helper.from_array(np.array([0, 5, 10, 999]), "at"))
    else:
        tensor.dims[:] = [2**40, 2**20]
    model.graph.sparse_initializer.append(tensor)
    source = tmp_path / "model.onnx"
    source.write_bytes(model.SerializeToString())
    for given in (source, model):
        with pytest.raises(BnfuseError) as caught:
            bnfuse.fold(given, verified=False)
        assert caught.value.exit_code == 2


def test_what_people_wrote_beside_the_nodes_stays(tmp_path) -> None:
    net = Net(dtype=np.float32)
    x = net.input([2, 3, 6, 6])
    relu = net.op("Relu", x, name="relu")
    conv = net.conv(relu, 3, 4, name="conv")
    model = net.model(net.op("Sigmoid", net.norm(conv, 4, 2), name="end"), net.op("Abs", relu))
    model.doc_string, model.graph.doc_string = "a model", "a graph"
    model.producer_name, model.producer_version, model.domain = "someone", "7", "net.example"
    model.model_version = 3
    helper.set_model_props(model, {"author": "someone"})
    model.graph.metadata_props.add(key="of", value="the graph")
    for node in model.graph.node:
        node.doc_string = f"about {node.name}"
        node.metadata_props.add(key="at", value=node.name)
    model.graph.value_info.append(helper.make_tensor_value_info("relu", 1, [2, 3, 6, 6]))
    model.graph.value_info[0].doc_string = "positive"
    output = tmp_path / "out.onnx"
    bnfuse.fold(model, output=output, verified=False)
    after = onnx.load(output)
    for field in ("doc_string", "domain", "model_version"):
        assert getattr(after, field) == getattr(model, field)
    written = {entry.key: entry.value for entry in after.metadata_props}
    assert written["author"] == "someone"
    assert written["bnfuse.source_producer"] == "someone 7"
    assert after.graph.doc_string == "a graph"
    assert list(after.graph.metadata_props) == list(model.graph.metadata_props)
    assert model.graph.value_info[0] in after.graph.value_info
    kept = {node.name: node for node in after.graph.node}
    for name in ("relu", "conv", "end"):
        assert kept[name].doc_string == f"about {name}"
        assert [(p.key, p.value) for p in kept[name].metadata_props] == [("at", name)]


def with_training_info(model: onnx.ModelProto, weight: str) -> onnx.ModelProto:
    step = helper.make_graph(
        [helper.make_node("Neg", [weight], ["stepped"])],
        "algorithm",
        [],
        [helper.make_tensor_value_info("stepped", TensorProto.FLOAT, [4, 3, 3, 3])],
    )
    model.training_info.append(helper.make_training_info(step, [(weight, "stepped")], None, None))
    return model


def test_training_info_of_weights_that_stay_is_kept(tmp_path) -> None:
    net = Net(dtype=np.float32)
    model = net.model(net.conv(net.input([2, 3, 6, 6]), 3, 4))
    with_training_info(model, model.graph.initializer[0].name)
    onnx.save(model, tmp_path / "in.onnx")
    for source in (model, tmp_path / "in.onnx"):
        bnfuse.fold(source, output=tmp_path / "out.onnx", verified=False)
        assert list(onnx.load(tmp_path / "out.onnx").training_info) == list(model.training_info)


def test_training_info_of_a_weight_that_is_folded_goes_and_this_is_said(tmp_path) -> None:
    model = conv_norm()
    with_training_info(model, model.graph.initializer[0].name)
    result = bnfuse.fold(model, output=tmp_path / "out.onnx", verified=False)
    assert not onnx.load(tmp_path / "out.onnx").training_info
    assert any("training" in note for note in result.report.notes)


@pytest.mark.parametrize("node_domain", ["", "ai.onnx"])
def test_the_standard_operators_by_their_other_name(node_domain) -> None:
    model = conv_norm()
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = node_domain
    after = folded(model)
    assert ops(after) == ["Conv", "Relu"]
    assert [opset.version for opset in after.opset_import] == [20]
    assert_same(conv_norm(), after)


def test_a_model_without_standard_operators_comes_back_as_it_was() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", scale=[2.0])
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)],
    )
    after = folded(model)
    assert after.opset_import == model.opset_import
    assert after.graph == model.graph


def test_standard_operators_without_their_import_are_refused() -> None:
    model = conv_norm()
    model.opset_import[0].domain = "ai.onnx.ml"
    model.opset_import[0].version = 3
    with pytest.raises(ExportError, match="no ONNX operator set"):
        bnfuse.fold(model, verified=False)


def with_function(opset: int, own: int, body: list[onnx.NodeProto]) -> onnx.ModelProto:
    net = Net(dtype=np.float32, opset=opset)
    conv = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    constants = [net.param(4, 1, 1), net.param(4, 1, 1)]
    net.inputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, 4, 4]))
    model = net.model(net.op("Relu", net.norm("y", 4, 2)))
    del model.graph.input[-1]
    model.graph.node.insert(1, helper.make_node("Norm", [conv, *constants], ["y"], domain="my"))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.functions.append(
        helper.make_function(
            "my", "Norm", ["x", "s", "t"], ["y"], body, [helper.make_opsetid("", own)]
        )
    )
    return model


AFFINE = [
    helper.make_node("Mul", ["x", "s"], ["scaled"]),
    helper.make_node("Add", ["scaled", "t"], ["y"]),
]


def test_a_function_of_another_opset_that_means_the_same_is_inlined() -> None:
    model = with_function(20, 15, AFFINE)
    after = folded(model)
    assert ops(after) == ["Conv", "Relu"]
    assert not after.functions
    assert_same(model, after)


def test_a_function_of_an_opset_in_which_its_operators_differ_stays_as_it_is() -> None:
    squeeze = [
        helper.make_node("Unsqueeze", ["x"], ["wide"], axes=[0]),
        helper.make_node("Squeeze", ["wide"], ["narrow"], axes=[0]),
        helper.make_node("Mul", ["narrow", "s"], ["scaled"]),
        helper.make_node("Add", ["scaled", "t"], ["y"]),
    ]
    model = with_function(20, 11, squeeze)
    result = bnfuse.fold(model, verified=False)
    after = ir.serde.serialize_model(result.model)
    assert [function.name for function in after.functions] == ["Norm"]
    assert after.functions[0].opset_import[0].version == 11
    assert any("another operator set" in note for note in result.report.notes)
    assert "Norm" in ops(after)


def old_model(body: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        """
        <ir_version: 3, opset_import: ["" : 6, "own" : 1]>
        net (float[2, 4, 6, 6] x, float[4] s, float[4, 4, 1, 1] w) => (float[2, 4, 6, 6] y) {
        """
        + body
        + "}"
    )
    rng = np.random.default_rng(0)
    for name, shape in (("s", (4,)), ("w", (4, 4, 1, 1))):
        array = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def test_a_model_of_an_old_opset_is_converted_and_this_is_said() -> None:
    model = old_model("c = Conv(x, w) y = BatchNormalization <is_test = 1> (c, s, s, s, s)")
    del model.opset_import[1]
    result = bnfuse.fold(model, verified=False)
    assert any("opset 6" in note and "7" in note for note in result.report.notes)
    after = ir.serde.serialize_model(result.model)
    onnx.checker.check_model(after, full_check=True)
    assert (ops(after), after.opset_import[0].version) == (["Conv"], 7)
    x = np.random.default_rng(1).standard_normal((2, 4, 6, 6)).astype(np.float32)
    s, w = (numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer)
    conv = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], x)
    per_channel = s[:, None, None]
    expected = (conv - per_channel) / np.sqrt(per_channel + 1e-5) * per_channel + per_channel
    np.testing.assert_allclose(run(after, x=x), expected, atol=1e-4)


@pytest.mark.parametrize(
    "body",
    [
        "y = Mul <axis = 1, broadcast = 1> (x, s)",
        "y = BatchNormalization (x, s, s, s, s)",
        "y, a, b, c, d = BatchNormalization (x, s, s, s, s)",
        "y = Dropout (x)",
    ],
)
def test_an_old_model_that_does_not_convert_is_refused_in_one_sentence(body) -> None:
    with pytest.raises(BnfuseError, match="opset 6") as caught:
        bnfuse.fold(old_model(body), verified=False)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opset", range(7, 27))
@pytest.mark.parametrize("ir_version", [4, 8, 10])
def test_no_fold_moves_a_version(opset, ir_version) -> None:
    model = conv_norm(opset, ir_version)
    after = folded(model)
    assert after.ir_version == ir_version
    assert list(after.opset_import) == list(model.opset_import)
    assert ops(after) == ["Conv", "Relu"]
    assert_same(model, after)
