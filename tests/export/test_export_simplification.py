"""onnxsim's leash: what it may do, what it must leave, and what happens when it fails."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from bnfuse.exporting import simplify
from bnfuse.exporting.simplification import KEPT_PASSES, simplified, skipped_passes
from bnfuse.exporting.skeleton import skeleton

DANGEROUS = {
    "eliminate_common_subexpression",
    "eliminate_duplicate_initializer",
    "eliminate_nop_with_unit",
    "fuse_add_bias_into_conv",
    "fuse_bn_into_conv",
    "fuse_consecutive_mul",
    "fuse_layer_norm",
    "fuse_matmul_add_bias_into_gemm",
    "fuse_matmul_add_bias_into_gemm_batched",
    "fuse_mul_into_conv",
    "fuse_pad_into_conv",
    "fuse_preceding_mul_into_conv",
    "fuse_transpose_into_gemm",
}


def parse(text, **weights):
    model = ir.from_proto(onnx.parser.parse_model(text))
    for name, array in weights.items():
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.FLOAT
        for node in model.graph:
            for place, used in enumerate(node.inputs):
                if used is not None and used.name == name:
                    node.replace_input_with(place, value)
        model.graph.inputs[:] = [v for v in model.graph.inputs if v.name != name]
        model.graph.register_initializer(value)
    return model


def random(*shape):
    return (np.random.default_rng(3).random(shape) + 0.5).astype(np.float32)


HEAD = '<ir_version: 10, opset_import: ["" : 20]>'

CHAINS = {
    "hand-written": (
        "c = Conv(x, w) d = Sub(c, a) e = Div(d, b) f = Mul(e, b) y = Add(f, a)",
        ["Conv", "Sub", "Div", "Mul", "Add"],
    ),
    "scale before": ("d = Mul(x, s) y = Conv(d, w)", ["Mul", "Conv"]),
    "scale after": ("c = Conv(x, w) y = Mul(c, b)", ["Conv", "Mul"]),
    "bias after": ("c = Conv(x, w) y = Add(c, a)", ["Conv", "Add"]),
    "two scales": ("c = Conv(x, w) d = Mul(c, a) y = Mul(d, b)", ["Conv", "Mul", "Mul"]),
    "stock": (
        "c = Conv(x, w) y = BatchNormalization(c, g, h, g, g)", ["Conv", "BatchNormalization"]
    ),
    "unit scale": ("c = Conv(x, w) y = Mul(c, one)", ["Conv", "Mul"]),
    "eps and root": (
        "c = Conv(x, w) v = Add(b, eps) r = Sqrt(v) q = Div(a, r) y = Mul(c, q)", ["Conv", "Mul"]
    ),
}  # fmt: skip


def chain(name):
    body, expected = CHAINS[name]
    weights = {
        "w": random(4, 3, 3, 3) - 1,
        "a": random(1, 4, 1, 1),
        "b": random(1, 4, 1, 1) + 1,
        "s": random(1, 3, 1, 1),
        "g": random(4),
        "h": random(4),
        "eps": np.full((), 1e-5, np.float32),
        "one": np.ones((1, 4, 1, 1), np.float32),
    }
    used = {key: value for key, value in weights.items() if key in body.replace("(", " ").replace(
        ")", " ").replace(",", " ").split()}  # fmt: skip
    typed = ", ".join(f"float[{','.join(map(str, v.shape))}] {k}" for k, v in used.items())
    typed = typed.replace("float[]", "float")
    text = f"{HEAD} g (float[N,3,6,6] x, {typed}) => (float[N,4,4,4] y) {{ {body} }}"
    return parse(text, **used), expected


def run(model, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


@pytest.mark.parametrize("name", CHAINS)
def test_norms_scales_and_biases_stay_and_the_function_too(name):
    model, expected = chain(name)
    result = simplified(model)
    assert result.note == ""
    assert [node.op_type for node in result.model.graph] == expected
    x = random(2, 3, 6, 6)
    for before, after in zip(run(model, x), run(result.model, x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_given_model_is_not_changed():
    model, _ = chain("eps and root")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    simplify(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_every_fusion_that_onnxsim_knows_is_off():
    skipped = set(skipped_passes())
    assert skipped >= DANGEROUS
    assert not skipped & KEPT_PASSES
    # A pass that was renamed would silently stop running.
    from onnxsim import onnxsim_cpp2py_export as core

    assert set(core._list_optimizers()) >= KEPT_PASSES


def test_shapes_symbols_unused_inputs_and_metadata_stay():
    text = f"""{HEAD} g (float[N,4] x, int64[M] unused) => (float[N,4] y) {{
        a = Identity(x) b = Relu(a) y = Neg(b) }}"""
    model = parse(text)
    for node in model.graph:
        node.name = f"node_{node.op_type}"
        node.metadata_props["pkg.torch.onnx.name_scopes"] = f"['', '{node.op_type}', '']"
    result = simplify(model)
    assert [(v.name, str(v.shape)) for v in result.graph.inputs] == [
        ("x", "[N,4]"), ("unused", "[M]"),
    ]  # fmt: skip
    assert {node.op_type: node.metadata_props["pkg.torch.onnx.name_scopes"] for node in
            result.graph} == {"Relu": "['', 'Relu', '']", "Neg": "['', 'Neg', '']"}  # fmt: skip
    assert not result.metadata_props


def test_half_constants_stay_half():
    text = f"""{HEAD} g (float16[N,4] x) => (float16[N,4] y)
        <float16[4] v = {{15360, 16384, 16896, 17408}}> {{ r = Sqrt(v) y = Div(x, r) }}"""
    result = simplify(ir.from_proto(onnx.parser.parse_model(text)))
    (constant,) = result.graph.initializers.values()
    assert constant.const_value.dtype == ir.DataType.FLOAT16
    # The text form spells float16 by its bits; these are 1, 2, 3, 4.
    expected = np.sqrt(np.arange(1, 5, dtype=np.float16))
    np.testing.assert_array_equal(constant.const_value.numpy(), expected)


def test_what_cannot_be_tidied_leaves_the_graph_and_a_note(monkeypatch):
    # onnxsim 0.8.1 makes of the ClapModel of transformers a graph with two values of one name.
    def twice(*_):
        raise ValueError("Initializer 'val_103' is already registered")

    monkeypatch.setattr("bnfuse.exporting.simplification._tidy", twice)
    model, _ = chain("eps and root")
    result = simplified(model)
    assert "onnxsim was left out: it failed" in result.note
    assert [n.op_type for n in result.model.graph] == [n.op_type for n in model.graph]


@pytest.mark.parametrize("fault", ["raises", "renames", "drops an input"])
def test_a_failing_onnxsim_leaves_the_graph_and_a_note(monkeypatch, fault):
    model, _ = chain("eps and root")

    def broken(proto):
        if fault == "raises":
            raise RuntimeError("not today")
        if fault == "renames":
            proto.graph.output[0].name = "z"
            proto.graph.node[-1].output[0] = "z"
        else:
            del proto.graph.input[0]
            proto.graph.node[0].input[0] = proto.graph.node[0].input[1]
        return proto

    monkeypatch.setattr("bnfuse.exporting.simplification._onnxsim", broken)
    result = simplified(model)
    assert "onnxsim was left out" in result.note
    assert [n.op_type for n in result.model.graph] == [n.op_type for n in model.graph]


def test_large_weights_are_never_serialised():
    text = f"{HEAD} g (float[N,64] x, float[64,64] w) => (float[N,64] y) {{ y = MatMul(x, w) }}"
    model = parse(text, w=random(64, 64))
    bare = skeleton(model, keep_foldable=True)
    assert list(bare.weights) == ["w"]
    assert bare.proto.ByteSize() < 1000
    assert simplify(model).graph.initializers["w"].const_value is (
        model.graph.initializers["w"].const_value
    )


def test_weights_beyond_a_protocol_buffer_are_simplified():
    text = f"""{HEAD} g (float[N,1] x, float[1,700000000] w, float[1] s) => (float[N,700000000] y)
        {{ a = Identity(x) r = Sqrt(s) b = Mul(a, r) y = MatMul(b, w) }}"""
    model = parse(text, w=np.broadcast_to(np.float32(1), (1, 700_000_000)), s=random(1))
    result = simplified(model)
    assert result.note == ""
    assert [node.op_type for node in result.model.graph] == ["Mul", "MatMul"]


def test_constants_that_fit_nowhere_leave_the_graph_alone():
    text = f"""{HEAD} g (float[N,1] x, float[1,700000000] w) => (float[N,700000000] y)
        {{ r = Sqrt(w) y = MatMul(x, r) }}"""
    model = parse(text, w=np.broadcast_to(np.float32(1), (1, 700_000_000)))
    result = simplified(model)
    assert "2.6 GB of constants" in result.note
    assert [node.op_type for node in result.model.graph] == ["Sqrt", "MatMul"]


@pytest.mark.parametrize("split", ["2", "{1, 3}"])
def test_a_split_to_a_sequence_becomes_a_split(split):
    kind = "int64" if split == "2" else "int64[2]"
    value = "{2}" if split == "2" else split
    text = f"""{HEAD} g (float[N,4] x) => (float[N,K] y, float[N,L] z)
        <{kind} n = {value}, int64 i = {{0}}, int64 j = {{-1}}> {{
        s = SplitToSequence<axis: int = 1>(x, n) y = SequenceAt(s, i) z = SequenceAt(s, j) }}"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    result = simplify(model)
    assert "Split" in [node.op_type for node in result.graph]
    assert not any("Sequence" in node.op_type for node in result.graph)
    x = random(3, 4)
    for before, after in zip(run(model, x), run(result, x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_cast_to_the_type_of_a_value_folds():
    text = f"""{HEAD} g (float16[N,4] x) => (float16[N,4] y)
        <float[4] v = {{1, 2, 3, 4}}> {{ c = CastLike(v, x) y = Mul(x, c) }}"""
    result = simplify(ir.from_proto(onnx.parser.parse_model(text)))
    assert [node.op_type for node in result.graph] == ["Mul"]
