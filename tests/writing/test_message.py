"""The file that is written tensor by tensor is the one that protobuf would have written."""

from __future__ import annotations

import io
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import Net
from onnx import numpy_helper

import bnfuse
from bnfuse.errors import OutputError
from bnfuse.onnxfiles.message import ModelMessage
from bnfuse.onnxfiles.size import model_bytes
from bnfuse.onnxfiles.write import Writing

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16, np.int64]


def model_of(*arrays: np.ndarray) -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    x = net.op("Relu", net.input(["N", 4]))
    model = net.model(x)
    for i, array in enumerate(arrays):
        tensor = numpy_helper.from_array(array, f"w{i}")
        tensor.doc_string = f"number {i}"
        model.graph.initializer.append(tensor)
    model.doc_string = "behind the graph"
    return model


def written(model: ir.Model) -> bytes:
    file = io.BytesIO()
    ModelMessage.of(model).write(file, lambda *_: None)
    return file.getvalue()


def lazy(array: np.ndarray, name: str) -> ir.LazyTensor:
    tensor = ir.Tensor(array, name=name)
    return ir.LazyTensor(lambda: tensor, tensor.dtype, tensor.shape, name=name)


def sizes() -> list[int]:
    """Around every length at which a length takes one byte more, and the limit to large."""
    return [0, 1, 31, 32, 4000, 4096, 1 << 14, (1 << 19) + 1]


def test_it_parses_as_what_protobuf_writes() -> None:
    arrays = [(np.arange(n) % 100).astype(dtype) for dtype in DTYPES for n in sizes()]
    model = ir.serde.deserialize_model(model_of(*arrays))
    ours = onnx.ModelProto.FromString(written(model))
    assert ours == ir.serde.serialize_model(model)
    assert ours.SerializeToString() == ir.serde.serialize_model(model).SerializeToString()


def test_it_is_as_long_as_was_said_and_always_the_same() -> None:
    arrays = [np.arange(n, dtype=np.float32) for n in sizes()]
    model = ir.serde.deserialize_model(model_of(*arrays))
    assert len(written(model)) == model_bytes(model)
    assert written(model) == written(model)


def test_a_tensor_that_is_computed_is_computed_once_and_only_to_be_written() -> None:
    calls: list[str] = []
    model = ir.serde.deserialize_model(model_of(np.zeros(4, np.float32)))
    value = model.graph.initializers["w0"]
    tensor = ir.Tensor(np.ones(4, np.float32))

    def compute() -> ir.TensorProtocol:
        calls.append("once")
        return tensor

    value.const_value = ir.LazyTensor(compute, tensor.dtype, tensor.shape, name="w0")
    model_bytes(model)
    assert not calls
    after = onnx.ModelProto.FromString(written(model))
    assert calls == ["once"]
    assert np.array_equal(numpy_helper.to_array(after.graph.initializer[0]), tensor.numpy())
    assert isinstance(value.const_value, ir.LazyTensor)


def test_a_tensor_that_gives_other_bytes_than_it_said_is_an_error() -> None:
    model = ir.serde.deserialize_model(model_of(np.zeros(4, np.float32)))
    wrong = ir.Tensor(np.ones(5, np.float32))
    model.graph.initializers["w0"].const_value = ir.LazyTensor(
        lambda: wrong, wrong.dtype, ir.Shape([4]), name="w0"
    )
    with pytest.raises(OutputError, match=r"'w0' gave 20 bytes instead of 16"):
        written(model)


def test_how_far_it_is_is_told(tmp_path: Path) -> None:
    arrays = [np.zeros(1 << 14, np.float32)] * 3
    model = ir.serde.deserialize_model(model_of(*arrays))
    heard: list[tuple[int, int]] = []
    with Writing(tmp_path / "model.onnx") as writing:
        size = writing.save(model, lambda done, total: heard.append((done, total)))
    assert [total for _, total in heard] == [size] * 3
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_a_model_with_external_data_is_folded_away_from_it(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the output refers to a file of the source, whether it has one of its own."""
    monkeypatch.setattr("bnfuse.onnxfiles.write._INLINE_LIMIT", limit)
    net = Net(dtype=np.float32)
    x = net.conv(net.input(["N", 3, 8, 8]), 3, 16)
    x = net.op("Sigmoid", net.norm(x, 16, 2))
    model = net.model(net.conv(x, 16, 16))
    source, output = tmp_path / "in" / "net.onnx", tmp_path / "out" / "net.onnx"
    source.parent.mkdir()
    output.parent.mkdir()
    onnx.save(model, source, save_as_external_data=True, location="net.data", size_threshold=0)
    folded = bnfuse.fold(source, output=output)
    assert folded.report.verdict == "PASS"
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    onnx.checker.check_model(str(output))
    after = onnx.load(output)
    assert [node.op_type for node in after.graph.node] == ["Conv", "Sigmoid", "Conv"]
    names = ["net.onnx"] if limit else ["net.onnx", "net.onnx.data"]
    assert sorted(p.name for p in output.parent.iterdir()) == names
    assert folded.report.bytes.after == sum(p.stat().st_size for p in output.parent.iterdir())
