"""Norms inside the bodies of If, Loop and Scan fold there, and nothing crosses the border."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

import bnfuse
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.pipeline.bodies import fold_bodies
from bnfuse.verifying.runtime.sessions import PLACE

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'
CONSTANTS = {
    "w": (4, 4, 3, 3),
    "u": (4, 4, 1, 1),
    "s": (4, 1, 1),
    "t": (4, 1, 1),
    "v": (4, 1, 1),
}


def model_of(body: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + body)
    rng = np.random.default_rng(0)
    for name, shape in CONSTANTS.items():
        array = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
        tensor = onnx.numpy_helper.from_array(array.astype(np.float32) / 4, name)
        model.graph.initializer.append(tensor)
    return model


def folded(model: onnx.ModelProto):
    result = bnfuse.fold(model, verified=False)
    after = ir.serde.serialize_model(result.model)
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(model.graph.input)
    for flag in (True, False):
        feeds = {"x": np.random.default_rng(1).standard_normal((2, 4, 6, 6)).astype(np.float32)}
        if len(model.graph.input) > 1:
            feeds["flag"] = np.array(flag)
        one, two = (
            onnxruntime.InferenceSession(m.SerializeToString(), placed()).run(None, feeds)
            for m in (model, after)
        )
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())
    return result, after


def placed() -> onnxruntime.SessionOptions:
    """Without a place, ONNX Runtime before 1.29 opens no body that reads what is outside it."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(PLACE, ".")
    return options


def inner(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The ops of each body by its name."""
    bodies = {}
    pending = list(model.graph.node)
    while pending:
        for attribute in pending.pop().attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                bodies[attribute.g.name] = [node.op_type for node in attribute.g.node]
                pending.extend(attribute.g.node)
    return bodies


IF = """
net (float[2, 4, 6, 6] x, bool flag) => (float[2, 4, 4, 4] y) {
  y = If (flag) <
    then_branch = yes () => (float[2, 4, 4, 4] a) { c = Conv(x, w) d = Mul(c, s) a = Add(d, t) },
    else_branch = no () => (float[2, 4, 4, 4] b) { c = Conv(x, w) d = Add(c, t) b = Relu(d) }
  >
}
"""


def test_in_the_branches_of_an_if() -> None:
    result, after = folded(model_of(IF))
    assert inner(after) == {"yes": ["Conv"], "no": ["Conv", "Relu"]}
    assert [norm.folded for norm in result.report.norms] == [True]


def test_a_norm_of_what_comes_from_outside_stays_and_is_reported() -> None:
    body = """
    net (float[2, 4, 6, 6] x, bool flag) => (float[2, 4, 4, 4] y) {
      c = Conv(x, w)
      y = If (flag) <
        then_branch = yes () => (float[2, 4, 4, 4] a) { d = Mul(c, s) a = Add(d, t) },
        else_branch = no () => (float[2, 4, 4, 4] b) { b = Relu(c) }
      >
    }
    """
    result, after = folded(model_of(body))
    (norm,) = result.report.norms
    assert not norm.folded
    assert "'c'" in norm.reason
    assert [node.op_type for node in after.graph.node] == ["Conv", "If"]


def test_a_norm_before_a_branch_that_has_its_own() -> None:
    body = """
    net (float[2, 4, 6, 6] x, bool flag) => (float[2, 4, 2, 2] y) {
      c = Conv(x, w)
      d = Mul(c, s)
      e = Add(d, t)
      y = If (flag) <
        then_branch = yes () => (float[2, 4, 2, 2] a) {
          f = Conv(e, w) g = Mul(f, v) a = Add(g, t)
        },
        else_branch = no () => (float[2, 4, 2, 2] b) { b = Conv(e, w) }
      >
    }
    """
    result, after = folded(model_of(body))
    assert [norm.folded for norm in result.report.norms] == [True, True]
    assert [node.op_type for node in after.graph.node] == ["Conv", "If"]
    assert inner(after) == {"yes": ["Conv"], "no": ["Conv"]}


def test_in_a_loop_and_what_it_carries_stays() -> None:
    body = """
    net (float[2, 4, 6, 6] x) => (float[2, 4, 6, 6] y, float[3, 2, 4, 6, 6] each)
    <int64 three = {3}, bool yes = {1}> {
      y, each = Loop (three, yes, x) <
        body = body (int64 i, bool more, float[2, 4, 6, 6] h)
          => (bool on, float[2, 4, 6, 6] next, float[2, 4, 6, 6] out) {
          on = Identity(more)
          c = Conv <pads = [1, 1, 1, 1]> (h, w)
          d = Mul(c, s)
          next = Add(d, t)
          p = Mul(h, v)
          q = Add(p, t)
          out = Conv(q, u)
        }
      >
    }
    """
    result, after = folded(model_of(body))
    assert sorted(inner(after)["body"]) == ["Conv", "Conv", "Identity"]
    assert [norm.folded for norm in result.report.norms] == [True, True]


def test_in_a_branch_of_a_loop() -> None:
    body = """
    net (float[2, 4, 6, 6] x) => (float[2, 4, 6, 6] y) <int64 three = {3}, bool yes = {1}> {
      y = Loop (three, yes, x) <
        body = body (int64 i, bool more, float[2, 4, 6, 6] h)
          => (bool on, float[2, 4, 6, 6] next) {
          on = Identity(more)
          zero = Constant <value = int64 {0}> ()
          first = Equal(i, zero)
          g = Conv <pads = [1, 1, 1, 1]> (h, w)
          next = If (first) <
            then_branch = yes () => (float[2, 4, 6, 6] a) {
              k = Conv(g, u) l = Mul(k, s) a = Add(l, t)
            },
            else_branch = no () => (float[2, 4, 6, 6] b) { b = Relu(g) }
          >
        }
      >
    }
    """
    _, after = folded(model_of(body))
    assert inner(after)["yes"] == ["Conv"]


def test_new_names_are_new_everywhere() -> None:
    model = model_of(IF)
    tensor = onnx.numpy_helper.from_array(np.ones((4, 1, 1), np.float32), "w.folded")
    model.graph.initializer.append(tensor)
    model.graph.node.add(op_type="Add", input=["y", "w.folded"], output=["z"])
    model.graph.output[0].name = "z"
    _, after = folded(model)
    names = [t.name for t in after.graph.initializer]
    for attribute in after.graph.node[0].attribute:
        names += [t.name for t in attribute.g.initializer]
    assert len(names) == len(set(names))


def test_a_new_value_takes_no_name_from_outside() -> None:
    body = """
    net (float[2, 4, 6, 6] x, bool flag) => (float[2, 4, 2, 2] y, float[2, 4, 6, 6] z) {
      z = Relu(x)
      k.folded = Abs(z)
      y = If (flag) <
        then_branch = yes () => (float[2, 4, 2, 2] a) {
          c = Conv(k.folded, w) k = Relu(c) m = Mul(k, s) a = Conv(m, w)
        },
        else_branch = no () => (float[2, 4, 2, 2] b) { d = Conv(x, w) b = Conv(d, w) }
      >
    }
    """
    model = model_of(body.replace("k.folded", "kfolded"))
    for node in [*model.graph.node, *model.graph.node[2].attribute[0].g.node]:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = "k.folded" if name == "kfolded" else name
    _, after = folded(model)
    names = [name for node in after.graph.node for name in node.output]
    for attribute in after.graph.node[2].attribute:
        names += [name for node in attribute.g.node for name in node.output]
    assert len(names) == len(set(names))


def test_what_a_body_declares_is_declared_again() -> None:
    model = model_of(IF.replace("Conv(x, w)", "Conv(r, w)").replace("{ c =", "{ r = Relu(x) c ="))
    infos = [onnx.helper.make_tensor_value_info("r", 1, [2, 4, *sizes]) for sizes in ("HW", "PQ")]
    for attribute, info in zip(model.graph.node[0].attribute, infos, strict=True):
        attribute.g.value_info.append(info)
    _, after = folded(model)
    for attribute, info in zip(after.graph.node[0].attribute, infos, strict=True):
        assert info in attribute.g.value_info
        assert {i.name for i in attribute.g.value_info} <= {
            "r",
            *(tensor.name for tensor in attribute.g.initializer),
        }


def test_the_model_that_was_given_keeps_its_bodies() -> None:
    model = ir.serde.deserialize_model(model_of(IF))
    before = ir.serde.serialize_model(model)
    bnfuse.fold(model, verified=False)
    assert ir.serde.serialize_model(model) == before


def test_looking_at_bodies_folds_none_and_leaves_a_model() -> None:
    model = ir.serde.deserialize_model(model_of(IF))
    prepare(model)
    found = fold_bodies(model, folding=False)
    assert [site.folded for site in found.sites if site.kind == "norm"] == [False]
    after = ir.serde.serialize_model(model)
    onnx.checker.check_model(after, full_check=True)
    assert inner(after)["yes"] == ["Conv", "BatchNormalization"]


def test_a_fold_with_bodies_is_verified() -> None:
    assert bnfuse.fold(model_of(IF)).report.verdict == "PASS"


def test_folding_twice_is_folding_once() -> None:
    _, after = folded(model_of(IF))
    _, again = folded(after)
    assert again.graph == after.graph


SCAN = """
net (float[2, 4, 6, 6] x) => (float[4] last, float[2, 4, 4, 4] y) {
  zero = Constant <value = float[4] {0, 0, 0, 0}> ()
  last, y = Scan <num_scan_inputs = 1,
    body = step (float[4] before, float[4, 6, 6] one) => (float[4] sum, float[4, 4, 4] part) {
      front = Constant <value_ints = [0]> ()
      image = Unsqueeze(one, front)
      c = Conv(image, w) d = Mul(c, s) e = Add(d, t)
      part = Squeeze(e, front)
      rest = Constant <value_ints = [1, 2]> ()
      mean = ReduceMean <keepdims = 0> (part, rest)
      sum = Add(before, mean)
    }> (zero, x)
}
"""


def test_in_the_body_of_a_scan() -> None:
    result, after = folded(model_of(SCAN))
    assert [(norm.folded, norm.into) for norm in result.report.norms] == [(True, ("Conv c",))]
    assert not {"Mul"} & set(inner(after)["step"])
    assert inner(after)["step"].count("Conv") == 1


def test_what_a_scan_reads_and_carries_is_left_and_reported() -> None:
    carried = SCAN.replace("c = Conv(image, w) d = Mul(c, s)", "d = Mul(image, s)")
    carried = carried.replace("[2, 4, 4, 4] y", "[2, 4, 6, 6] y").replace(
        "[4, 4, 4] part", "[4, 6, 6] part"
    )
    result, _ = folded(model_of(carried))
    (norm,) = result.report.norms
    assert not norm.folded
    assert "input" in norm.reason
