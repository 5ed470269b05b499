"""Each op that is written out computes what its definition computes, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from bnfuse.checker.definitions import DEFINITIONS
from bnfuse.checker.graph import Graph
from bnfuse.proving import prove

RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 3, 3, 3))
V = RNG.standard_normal((6, 5))
ROW, OTHER = RNG.uniform(0.5, 1.5, 6), RNG.standard_normal(6)
IMAGE, ROWS = (2, 3, 6, 6), (2, 5, 6)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    *(
        ("com.microsoft::FusedConv", (W, ROW[:4]), {"activation": kind, **more}, IMAGE)
        for kind, more in [
            ("Relu", {}),
            ("Tanh", {}),
            ("Sigmoid", {}),
            ("LeakyRelu", {"activation_params": [0.1]}),
            ("Clip", {"activation_params": [-0.5, 0.5]}),
            ("HardSigmoid", {"activation_params": [0.3, 0.4]}),
        ]
    ),
    ("com.microsoft::FusedConv", (W,), {"activation": "Relu", "pads": [1] * 4}, IMAGE),
    ("com.microsoft::FusedGemm", (V,), {"activation": "Relu"}, (2, 6)),
    (
        "com.microsoft::FusedGemm",
        (V, V[0]),
        {"activation": "LeakyRelu", "activation_alpha": 0.2},
        (2, 6),
    ),
    ("com.microsoft::FusedMatMul", (V,), {"alpha": 0.25}, ROWS),
    ("com.microsoft::FusedMatMul", (V.T,), {"alpha": 2.0, "transB": 1}, ROWS),
    ("com.microsoft::FusedMatMul", (RNG.standard_normal((5, 3)),), {"transA": 1}, ROWS),
    ("Clip", (np.float32(-0.5), np.float32(0.5)), {}, ROWS),
    ("Clip", (np.float32(-0.5),), {}, ROWS),
    ("com.microsoft::QuickGelu", (), {}, ROWS),
    ("com.microsoft::QuickGelu", (), {"alpha": 1.3}, ROWS),
    ("com.microsoft::Gelu", (), {}, ROWS),
    ("com.microsoft::BiasGelu", (OTHER,), {}, ROWS),
    ("com.microsoft::FastGelu", (), {}, ROWS),
    ("com.microsoft::FastGelu", (OTHER,), {}, ROWS),
    (
        "com.microsoft::SkipLayerNormalization",
        (RNG.standard_normal(ROWS), ROW, OTHER),
        {"epsilon": 1e-3},
        ROWS,
    ),
    (
        "com.microsoft::SkipLayerNormalization",
        (RNG.standard_normal(ROWS), ROW, OTHER, ROW),
        {"epsilon": 1e-3},
        ROWS,
    ),
    (
        "com.microsoft::SkipSimplifiedLayerNormalization",
        (RNG.standard_normal(ROWS), ROW),
        {"epsilon": 1e-3},
        ROWS,
    ),
    ("SimplifiedLayerNormalization", (ROW,), {"epsilon": 1e-3, "axis": -1}, ROWS),
    ("LayerNormalization", (ROW, OTHER), {"epsilon": 1e-3}, ROWS),
    ("LayerNormalization", (ROW,), {}, ROWS),
    ("RMSNormalization", (ROW,), {"epsilon": 1e-3}, ROWS),
    ("Gelu", (), {}, ROWS),
    ("Gelu", (), {"approximate": "tanh"}, ROWS),
    ("HardSigmoid", (), {}, ROWS),
    ("HardSigmoid", (), {"alpha": 0.3, "beta": 0.4}, ROWS),
    ("HardSwish", (), {}, ROWS),
    ("Mish", (), {}, ROWS),
]
NOT_IN_THE_RUNTIME = {"RMSNormalization", "Swish"}


def model_of(
    kind: str, constants: tuple[Any, ...], attributes: dict[str, Any], shape: tuple[int, ...]
) -> onnx.ModelProto:
    domain, _, op = kind.rpartition("::")
    names = ["x", *(f"c{n}" for n in range(len(constants)))]
    node = helper.make_node(op, names, ["y"], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in zip(names[1:], constants, strict=True)
        ],
    )
    opset = 23 if kind == "RMSNormalization" else 22
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 10
    return model


def spelt_out(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """The model with its one node written out, as the checker reads it."""
    graph = Graph.of(model, kinds={kind})
    spelt = onnx.ModelProto()
    spelt.CopyFrom(model)
    del spelt.graph.node[:]
    spelt.graph.node.extend(node.proto for node in graph.nodes)
    known = {t.name for t in model.graph.initializer}
    spelt.graph.initializer.extend(t for n, t in graph.tensors.items() if n not in known)
    return spelt


def run(model: onnx.ModelProto, x: Any) -> Any:
    if model.opset_import[0].version > 22:
        return onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[2]}")
def test_an_op_is_what_it_is_defined_by(case: tuple[Any, ...]) -> None:
    model = model_of(*case)
    spelt = spelt_out(model, case[0])
    assert case[0] not in {node.op_type for node in spelt.graph.node}
    assert all(not node.domain for node in spelt.graph.node)
    x = (4.0 * RNG.standard_normal(case[3])).astype(np.float32)
    np.testing.assert_allclose(run(model, x), run(spelt, x), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[2]}")
def test_an_op_is_proved_equal_to_its_definition(case: tuple[Any, ...]) -> None:
    model = model_of(*case)
    found = prove(spelt_out(model, case[0]), model)
    assert found.proved, found.reason


def test_every_definition_is_tried() -> None:
    assert {case[0] for case in CASES} | {"Swish"} == set(DEFINITIONS)


PARTS = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,6,4] x) => (float[N,2,4] y, float[N,3,4] z, float[N,4] w)
<int64[3] sizes = {{2, 3, 1}}, int64[1] none = {{0}}, int64[1] two = {{2}}, int64[1] five = {{5}},
 int64[1] all = {{9}}, int64[1] one = {{1}}, int64 last = {{{last}}}> {{ {body} }}
"""
SLICES = (
    "y = Slice(x, none, two, one)  z = Slice(x, two, five, one)"
    "  v = Slice(x, five, all, one)  w = Squeeze(v, one)"
)


@pytest.mark.parametrize(("last", "proved"), [(5, True), (-1, True), (4, False)])
def test_parts_are_parts_however_they_are_taken(last: int, proved: bool) -> None:
    slices = onnx.parser.parse_model(PARTS.format(last=5, body=SLICES.replace("all", "six")))
    split = "y, z, v = Split<axis = 1>(x, sizes)  w = Gather<axis = 1>(x, last)"
    text = PARTS.format(last=last, body=split)
    whole = slices
    whole.graph.initializer.append(numpy_helper.from_array(np.array([6], np.int64), "six"))
    assert prove(whole, onnx.parser.parse_model(text)).proved == proved


@pytest.mark.parametrize(
    ("kind", "attributes", "other"),
    [
        ("com.microsoft::QuickGelu", {}, {"alpha": 1.0}),
        ("Gelu", {}, {"approximate": "tanh"}),
        ("HardSigmoid", {}, {"alpha": 0.25}),
        ("LayerNormalization", {}, {"epsilon": 1e-3}),
    ],
)
def test_a_definition_with_another_number_is_no_proof(
    kind: str, attributes: dict[str, Any], other: dict[str, Any]
) -> None:
    constants = (ROW, OTHER) if kind == "LayerNormalization" else ()
    spelt = spelt_out(model_of(kind, constants, attributes, ROWS), kind)
    assert not prove(spelt, model_of(kind, constants, other, ROWS)).proved


def test_what_has_no_definition_stays() -> None:
    model = model_of("LayerNormalization", (np.ones((5, 6)),), {"axis": 1}, ROWS)
    graph = Graph.of(model, kinds={"LayerNormalization"})
    assert [node.op for node in graph.nodes] == ["LayerNormalization"]
    model = model_of("com.microsoft::FusedConv", (W,), {"activation": "Other"}, IMAGE)
    graph = Graph.of(model, kinds={"com.microsoft::FusedConv"})
    assert [node.op for node in graph.nodes] == ["com.microsoft::FusedConv"]


def test_a_name_that_the_model_has_already_is_refused() -> None:
    model = model_of("HardSwish", (), {}, ROWS)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(9.0), "y/0"))
    assert not prove(model_of("HardSigmoid", (), {}, ROWS), model).proved
