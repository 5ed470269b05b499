"""Reading a file without its weights, certificates changed one claim at a time, and more guards."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from bnfuse.checker.__main__ import check_files
from bnfuse.checker.graph import Graph, digest_of
from bnfuse.checker.lean import lean
from bnfuse.checker.nodes import NotProved
from bnfuse.proving import prove

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3,8,8] x) => (float[N,5] y)
{ c = Conv(x, w1)  m = Mul(c, s)  n = Add(m, t)  r = Relu(n)  d = Conv(r, w2)
  p = GlobalAveragePool(d)  f = Flatten(p)  y = Gemm(f, w3) }
"""


def numbers() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"w1": (16, 3, 5, 5), "w2": (64, 16, 3, 3), "w3": (64, 5)}
    found = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    found["s"], found["t"] = rng.uniform(0.5, 2.0, (16, 1, 1)), rng.standard_normal((16, 1, 1))
    return found


def model_of(text: str, given: dict[str, Any]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(
        numpy_helper.from_array(a.astype(np.float32), n) for n, a in given.items()
    )
    return model


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A net, and one in which the first norm went in two steps around the Relu."""
    given = numbers()
    scale = given["s"].reshape(16)
    taken = {
        "w1": given["w1"],
        "t": given["t"] / given["s"],
        "w2": given["w2"] * scale[:, None, None],
        "w3": given["w3"],
    }
    text = TEXT.replace("m = Mul(c, s)  n = Add(m, t)", "n = Add(c, t)")
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(model_of(TEXT, given), paths[0])
    onnx.save(model_of(text, taken), paths[1])
    return paths


def test_a_file_is_read_as_onnx_reads_it(pair: tuple[Path, Path]) -> None:
    graph, whole = Graph.read(pair[0]), onnx.load(pair[0])
    left = [t.name for t in graph.proto.graph.initializer if t.external_data]
    assert left == ["w1", "w2"]
    for tensor in whole.graph.initializer:
        found = graph.constant(tensor.name)
        assert found is not None
        np.testing.assert_array_equal(found, numpy_helper.to_array(tensor))
    assert graph.proto.graph.node == whole.graph.node


def test_external_data_is_read_and_bound(pair: tuple[Path, Path], tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    onnx.save(
        onnx.load(pair[1]), outside, save_as_external_data=True, location="w", size_threshold=0
    )
    found = prove(pair[0], outside)
    assert found.proved, found.reason
    before = digest_of(outside)
    data = bytearray((tmp_path / "w").read_bytes())
    data[5] ^= 1
    (tmp_path / "w").write_bytes(data)
    assert digest_of(outside) != before


@pytest.mark.parametrize("kind", ["cut short", "no protobuf", "empty", "two places"])
def test_a_file_that_is_none_shows_nothing(
    kind: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    path, content = tmp_path / "c.onnx", pair[1].read_bytes()
    if kind == "two places":
        model = onnx.load(pair[1])
        tensor = model.graph.initializer[0]
        tensor.external_data.add(key="location", value="w")
        tensor.data_location = TensorProto.EXTERNAL
        content = model.SerializeToString()
    changed = {"cut short": content[:-500], "no protobuf": b"\xff" * 99, "empty": b""}
    path.write_bytes(changed.get(kind, content))
    assert not prove(pair[0], path).proved


def test_a_length_beyond_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(bytes([7 << 3 | 2, 0xFF, 0x7F]))
    with pytest.raises(ValueError, match="no ONNX file"):
        lean(path)


def changes(cuts: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The claims with one of them left out, moved, or made to say more."""
    made = []
    for place, cut in enumerate(cuts):
        made.append((f"without {place}", cuts[:place] + cuts[place + 1 :]))
        if place:
            made.append((f"{place} first", [cut, *cuts[:place], *cuts[place + 1 :]]))
        for key in ("scale", "shift"):
            for number in (0.0, -1.0, 1e300, 1.001) if key in cut else ():
                other = copy.deepcopy(cuts)
                value = other[place][key]
                if isinstance(value, list):
                    value[0] = number + value[0] * (key == "shift" and number)
                else:
                    other[place][key] = number
                if other != cuts:
                    made.append((f"{key} of {place} {number}", other))
        if "over" in cut:
            other = copy.deepcopy(cuts)
            other[place]["over"] = [[cut["a"], cut["b"]]]
            made.append((f"{place} over itself", other))
    return made


def test_a_certificate_with_one_claim_changed_is_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate = prove(*pair).certificate
    assert certificate is not None
    assert any("scale" in cut for cut in certificate["cuts"])
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(certificate))
    check_files(path, *pair)
    for what, cuts in changes(certificate["cuts"]):
        path.write_text(json.dumps({**certificate, "cuts": cuts}))
        try:
            check_files(path, *pair)
        except NotProved:
            continue
        pytest.fail(what)


POOL = """
<ir_version: 10, opset_import: ["" : {opset}]>
g (float[2,4,{size}] x) => (float[A,B,C] y) {{ {body} }}
"""
GUARDED = [
    (
        "y = MaxPool<kernel_shape = [2], strides = [2]>(x)",
        "y = MaxPool<kernel_shape = [2], strides = [2], ceil_mode = 1>(x)",
    ),
    (
        "y = MaxPool<kernel_shape = [2], strides = [2], ceil_mode = 1>(x)",
        'y = MaxPool<kernel_shape = [2], strides = [2], ceil_mode = 1, auto_pad = "VALID">(x)',
    ),
    (
        "y = MaxPool<kernel_shape = [3], pads = [1,1]>(x)",
        'y = MaxPool<kernel_shape = [3], auto_pad = "VALID">(x)',
    ),
    (
        'y = MaxPool<kernel_shape = [3], auto_pad = "SAME_UPPER">(x)',
        'y = MaxPool<kernel_shape = [3], auto_pad = "SAME_LOWER">(x)',
    ),
    (
        "y = MaxPool<kernel_shape = [2], dilations = [1]>(x)",
        "y = MaxPool<kernel_shape = [2], dilations = [2]>(x)",
    ),
    (
        "y = AveragePool<kernel_shape = [3], pads = [1,1]>(x)",
        "y = AveragePool<kernel_shape = [3], pads = [1,1], count_include_pad = 1>(x)",
    ),
    (
        "y = ReduceMean<keepdims = 1>(x)",
        "y = ReduceMean<keepdims = 1, noop_with_empty_axes = 1>(x)",
    ),
]


@pytest.mark.parametrize(("a", "b"), GUARDED)
def test_an_attribute_that_matters_is_no_default(a: str, b: str) -> None:
    models = [onnx.parser.parse_model(POOL.format(opset=20, size=7, body=body)) for body in (a, b)]
    assert prove(models[0], models[0]).proved
    assert not prove(*models).proved


def test_an_axis_that_another_opset_takes_otherwise_is_no_default() -> None:
    body = "y = Softmax<axis = 1>(x)"
    models = [onnx.parser.parse_model(POOL.format(opset=o, size=7, body=body)) for o in (11, 13)]
    assert not prove(*models).proved


OLD = [
    ("Mul", {"broadcast": 1, "axis": 1}, (4,)),
    ("Add", {"broadcast": 1, "axis": 1}, (4,)),
    ("PRelu", {}, (4,)),
]


@pytest.mark.parametrize(("op", "attributes", "shape"), OLD, ids=[row[0] for row in OLD])
def test_a_constant_along_the_channels_of_an_old_opset_is_none_along_the_width(
    op: str, attributes: dict[str, int], shape: tuple[int, ...]
) -> None:
    models = []
    for opset, given in ((6, attributes), (9, {})):
        info = [
            onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4, 4, 4])
            for name in ("x", "y")
        ]
        node = onnx.helper.make_node(op, ["x", "c"], ["y"], **given)
        constant = numpy_helper.from_array(np.arange(1, 5, dtype=np.float32).reshape(shape), "c")
        graph = onnx.helper.make_graph([node], "g", info[:1], info[1:], [constant])
        imports = [onnx.helper.make_opsetid("", opset)]
        models.append(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8))
    assert prove(models[1], models[1]).proved
    assert not prove(*models).proved


def test_a_norm_of_each_place_is_no_norm_of_the_channels() -> None:
    given = {n: np.full((4, 8), 0.5) for n in ("scale", "bias", "mean", "variance")}
    text = (
        '<ir_version: 8, opset_import: ["" : 7]> g (float[2,4,8] x) => (float[2,4,8] y) '
        "{{ n = BatchNormalization<spatial = {}>(x, scale, bias, mean, variance)  y = Relu(n) }}"
    )
    models = [model_of(text.format(spatial), given) for spatial in (0, 1)]
    assert not prove(*models).proved


def test_a_norm_that_trains_is_no_affine() -> None:
    given = {n: np.full(4, 0.5) for n in ("scale", "bias", "mean", "variance")}
    text = (
        '<ir_version: 10, opset_import: ["" : 20]> g (float[2,4,8] x) => (float[2,4,8] y) {{ {} }}'
    )
    stays = "y = BatchNormalization(x, scale, bias, mean, variance)"
    trains = "y, m, v = BatchNormalization<training_mode = 1>(x, scale, bias, mean, variance)"
    models = [model_of(text.format(body), given) for body in (stays, trains)]
    assert not prove(*models).proved
    assert not prove(*models[::-1]).proved


@pytest.mark.parametrize(("drift", "proved"), [(3e-7, True), (3e-6, False)])
def test_a_small_drift_is_told_in_units_and_a_larger_one_is_no_proof(
    drift: float, proved: bool, pair: tuple[Path, Path]
) -> None:
    drifted = onnx.load(pair[0])
    tensor = next(t for t in drifted.graph.initializer if t.name == "w3")
    array = numpy_helper.to_array(tensor).astype(np.float64) * (1.0 + drift)
    tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), "w3"))
    found = prove(onnx.load(pair[0]), drifted)
    assert found.proved == proved
    assert not proved or 3.0 < found.units < 7.0
