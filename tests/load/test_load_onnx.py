"""ONNX files: under any name, with external data, and damaged in every way that has a name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from load_samples import small_onnx
from onnx import TensorProto, helper, numpy_helper

from bnfuse.errors import LoadError, UnsafeFileError
from bnfuse.loading import FileKind, load
from bnfuse.onnxfiles.mapped import MappedTensor


def saved(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def external(folder, location="weights.bin", offset=0, length=16, dims=(2, 2), data=bytes(16)):
    model = small_onnx()
    tensor = model.graph.initializer[0]
    del tensor.float_data[:]
    tensor.ClearField("raw_data")
    tensor.dims[:] = dims
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    if data is not None:
        (folder / "weights.bin").write_bytes(data)
    return saved(folder / "model.pt", model)


def test_a_model_under_the_name_pt(tmp_path):
    loaded = load(saved(tmp_path / "model.pt", small_onnx()))
    assert loaded.kind is FileKind.ONNX
    assert loaded.module is None
    assert loaded.inputs is None
    assert [node.op_type for node in loaded.model.graph] == ["MatMul"]


def test_options_that_do_nothing_are_noted(tmp_path):
    loaded = load(saved(tmp_path / "m.onnx", small_onnx()), model="a:b", allow=["a.B"])
    assert len(loaded.notes) == 2


def test_external_data_stays_in_its_file_until_it_is_read(tmp_path):
    values = np.arange(4, dtype=np.float32)
    loaded = load(external(tmp_path, data=values.tobytes()))
    tensor = loaded.model.graph.initializers["w"].const_value
    assert isinstance(tensor, MappedTensor)
    assert tensor.file.path == tmp_path / "weights.bin"
    assert tensor.numpy().ravel().tolist() == values.tolist()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin"])
def test_external_data_outside_the_folder_is_refused(tmp_path, location):
    inside = tmp_path / "inside"
    (inside / "a").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    with pytest.raises(UnsafeFileError, match="outside its own folder"):
        load(external(inside, location=location))


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (inside / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(UnsafeFileError, match="outside"):
        load(external(inside, data=None))


def test_missing_external_data_is_named(tmp_path):
    with pytest.raises(LoadError, match=r"weights\.bin, which is not there"):
        load(external(tmp_path, data=None))


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": bytes(15)},
        {"offset": 1},
        {"offset": -16},
        {"length": 8},
        {"dims": (2**20, 2**21), "length": 2**43},
        {"dims": (-2, 2)},
        {"offset": "x"},
    ],
)
def test_external_data_that_does_not_fit(tmp_path, wrong):
    with pytest.raises(LoadError) as caught:
        load(external(tmp_path, **wrong))
    assert caught.value.exit_code == 2


def _absurd(model):
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


def _short(model):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.dims[:] = [2, 3]
    model.graph.initializer[0].CopyFrom(tensor)


def _unknown_op(model):
    model.graph.node[0].op_type = "MatMull"


def _undefined(model):
    model.graph.node[0].input[0] = "nothing"


def _no_outputs(model):
    del model.graph.output[:]


def _undefined_output(model):
    model.graph.output[0].name = "z"


def _absurd_constant(model):
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [1], b"\0\0\0\0", raw=True)
    tensor.dims[:] = [2**40]
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def _opset(model):
    model.opset_import[0].version = -3


@pytest.mark.parametrize(
    "damage",
    [
        _absurd,
        _short,
        _unknown_op,
        _undefined,
        _no_outputs,
        _undefined_output,
        _absurd_constant,
        _opset,
    ],
)
def test_damaged_models(tmp_path, damage):
    model = small_onnx()
    damage(model)
    with pytest.raises(LoadError) as caught:
        load(saved(tmp_path / "model.onnx", model))
    assert "\n" not in str(caught.value)


def test_functions_and_other_domains_are_left_to_their_definitions(tmp_path):
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20, "own" : 1, "com.microsoft" : 1]>
        net (float[N, 2] x) => (float[N, 2] y) { h = own.twice(x) y = com.microsoft.FastGelu(h) }
        <domain: "own", opset_import: ["" : 20]>
        twice (a) => (b) { b = Add(a, a) }
        """
    )
    assert load(saved(tmp_path / "model.onnx", model)).model is not None


def test_initializers_that_are_inputs_too_are_fine(tmp_path):
    model = small_onnx()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 2]))
    assert load(saved(tmp_path / "model.onnx", model)).model is not None


def test_subgraphs_may_read_the_outer_graph(tmp_path):
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20]>
        net (float[N, 2] x, bool c) => (float[N, 2] y) {
          y = If (c) <
            then_branch = a () => (float[N, 2] p) { p = Relu(x) },
            else_branch = b () => (float[N, 2] q) { q = Neg(x) }
          >
        }
        """
    )
    assert load(saved(tmp_path / "model.onnx", model)).model is not None
