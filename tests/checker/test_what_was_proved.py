"""What was once called equal and is not stays unproved, and what lies beside it stays proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from open_pairs import pair
from pairs_of_inputs import labelled
from pairs_that_were_proved import RIGHT, WRONG
from premises import Pair

from bnfuse.proving import prove

TEXT = '<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (float[1,3] y) {{ {nodes} }}'

SQUARE = {"w": np.arange(4, dtype=np.float32).reshape(2, 2), "wide": [6, -1], "k": np.float32(2.0)}
UNFIT = (
    # The weights do not fit what the candidate makes of the input.
    pair(
        "t = Transpose(x)  m = MatMul(t, w)  y = Reshape(m, wide)",
        "t = Transpose(x)  m = Reshape(t, wide)  y = MatMul(m, w)",
        "float[2,3] x",
        SQUARE,
    ),
    pair(
        "r = Add(x, k)  m = MatMul(r, w)  f = Reshape(m, wide)  y = Abs(f)",
        "r = Add(x, k)  f = Reshape(r, wide)  m = MatMul(f, w)  y = Abs(m)",
        "float[3,2] x",
        SQUARE,
    ),
    pair(
        "m = Conv(x, w)  y = Reshape(m, row)",
        "r = Reshape(x, row)  y = Conv(r, w)",
        "float[2,2,3] x",
        {"w": np.arange(4, dtype=np.float32).reshape(2, 2, 1), "row": [1, -1]},
    ),
)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_same_is_not_proved(name: str) -> None:
    tried = WRONG[name]
    assert not tried.is_proved()
    assert tried.why or tried.is_wrong(), "both are the same"


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_the_same_stays_proved(name: str) -> None:
    tried = RIGHT[name]
    found = prove(*tried.models)
    assert found.proved, found.reason
    assert tried.why or not tried.is_wrong(), "they differ"


@pytest.mark.parametrize("tried", UNFIT, ids=lambda tried: tried.b)
def test_looking_for_a_proof_of_what_cannot_be_run_raises_nothing(tried: Pair) -> None:
    assert not tried.is_proved()
    assert tried.is_wrong()


def test_strings_are_not_compared_by_where_they_lie() -> None:
    # They lay in one place or in two as it happened, so once is not enough.
    assert not any(labelled("a" * 3000, "b" * 3000).is_proved() for _ in range(10))
    assert all(labelled("a" * 3000, "a" * 3000).is_proved() for _ in range(10))


def outside() -> onnx.TensorProto:
    """A tensor whose numbers lie in a file beside the model's."""
    tensor = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def saved(model: onnx.ModelProto, folder: Path, numbers: list[float]) -> Path:
    """A model's file, and beside it the numbers of ``outside``."""
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    np.array(numbers, np.float32).tofile(folder / "w.bin")
    return folder / "m.onnx"


def test_other_numbers_beside_the_file_of_a_body_are_not_proved(tmp_path: Path) -> None:
    body = "{} () => (float[1,3] {}_y) {{ {}_y = Mul(x, w) }}"
    both = ", ".join(
        f"{side}_branch = " + body.replace("{}", side).replace("{{", "{").replace("}}", "}")
        for side in ("then", "else")
    )
    text = TEXT.format(inputs="float[1,3] x, bool c", nodes=f"y = If (c) <{both}>")
    model = onnx.parser.parse_model(text)
    for attribute in model.graph.node[0].attribute:
        attribute.g.initializer.append(outside())
    first = saved(model, tmp_path / "first", [1.0, 2.0, 3.0])
    second = saved(model, tmp_path / "second", [7.0, 8.0, 9.0])
    assert not prove(first, second).proved


def test_numbers_of_a_constant_are_not_read_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.parser.parse_model(TEXT.format(inputs="float[1,3] x", nodes="y = Mul(x, w)"))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=outside()))
    first = saved(model, tmp_path / "first", [1.0, 2.0, 3.0])
    second = saved(model, tmp_path / "second", [7.0, 8.0, 9.0])
    saved(model, tmp_path, [5.0, 5.0, 5.0])
    monkeypatch.chdir(tmp_path)
    assert not prove(first, second).proved


def number(value: int) -> bytes:
    """A number as Protocol Buffers write it."""
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def written(path: Path, numbers: list[float], more: list[float] | None = None) -> Path:
    """A model's file with a tensor, and a second field of its number that is no field of bytes."""
    array = np.array(numbers, np.float32)
    # So long that it is not read with the rest.
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2], doc_string="x" * 5000)
    tensor.raw_data = array.tobytes()
    body = tensor.SerializeToString()
    if more is not None:
        body += number(9 << 3 | 1) + np.array(more, np.float32).tobytes()
    text = TEXT.format(inputs="float[1,2] x", nodes="y = Mul(x, w)").replace("[1,3] y", "[1,2] y")
    model = onnx.parser.parse_model(text)
    graph = model.graph.SerializeToString() + number(5 << 3 | 2) + number(len(body)) + body
    model.ClearField("graph")
    path.write_bytes(model.SerializeToString() + number(7 << 3 | 2) + number(len(graph)) + graph)
    return path


def test_a_field_of_another_kind_is_not_read_as_a_tensors_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "first.onnx", [1.0, 2.0])
    same = written(tmp_path / "same.onnx", [1.0, 2.0])
    other = written(tmp_path / "other.onnx", [5.0, 6.0], more=[1.0, 2.0])
    read = onnx.load(other).graph.initializer[0]
    np.testing.assert_array_equal(numpy_helper.to_array(read), [5.0, 6.0])
    assert prove(first, same).proved
    assert not prove(first, other).proved
