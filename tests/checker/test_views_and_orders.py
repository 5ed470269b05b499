"""Linear forms behind changes of shape and orders of axes, and the sizes that those rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from premises import Pair

from bnfuse.checker.graph import Graph
from bnfuse.checker.sizes import OPEN, is_told, product, quotient
from bnfuse.proving import prove

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g ({inputs}) => (float{out} y) {{ {body} }}'
RNG = np.random.default_rng(0)
ROW = np.array([0.5, 2.0, -1.5, 3.0], np.float32)
W = RNG.standard_normal((4, 4)).astype(np.float32)
CONSTANTS: dict[str, Any] = {
    "row": ROW,
    "column": ROW.reshape(4, 1),
    "w": W,
    "wrow": W * ROW,
    "wcolumn": W * ROW.reshape(4, 1),
    "kernel": W.T.reshape(4, 4, 1, 1),
    "swapped": W[:, [1, 0, 2, 3]].T.reshape(4, 4, 1, 1),
    "flat": np.array([-1, 4], np.int64),
    "back": np.array([-1, 4, 4], np.int64),
    "halves": np.array([3, -1, 2, 2], np.int64),
    "taps": RNG.standard_normal((4, 4, 3, 3)).astype(np.float32),
    "positive": np.abs(ROW),
    "pairs": np.array([0.5, 0.5, 2.0, 2.0], np.float32),
    "few": np.array([0.5, 2.0], np.float32).reshape(2, 1),
    "minus": np.array([-1], np.int64),
    "two": np.array([2], np.int64),
    "fixed": np.array([-1, 2, 8], np.int64),
    "other": np.array([-1, 8, 2], np.int64),
    "zeros": np.zeros((4, 4), np.float32),
    "ones": np.ones((4, 4), np.float32),
}


def model(inputs: str, body: str, out: str) -> onnx.ModelProto:
    made = onnx.parser.parse_model(TEXT.format(inputs=inputs, body=body, out=out))
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in CONSTANTS.items())
    return made


VIEWED = "m = MatMul(x, w)  f = Reshape(m, flat)  s = Mul(f, row)  y = Reshape(s, back)"
TURNED = "t = Transpose<perm = [0,2,1]>(x)  s = Mul(t, {c})  y = Transpose<perm = [0,2,1]>(s)"
CONV = "t = Transpose<perm = [0,2,3,1]>(x)  m = MatMul(t, w)  y = Transpose<perm = [0,3,1,2]>(m)"
SPLIT = "s = Mul(x, {c})  v = Reshape(s, halves)  y = Relu(v)"
SIZES = (
    "s = Shape<start = 0, end = 1>(x)  n = Reshape(s, minus)  t = Concat<axis = 0>(n, two, minus)"
)
SQUARE, IMAGE = "float[N,4,4] x", "float[N,4,5,6] x"
CASES = [
    ("a scale between two views", SQUARE, VIEWED, "y = MatMul(x, wrow)", "[N,4,4]", True),
    ("another scale", SQUARE, VIEWED, "y = MatMul(x, w)", "[N,4,4]", False),
    ("a scale of the rows", SQUARE, VIEWED, "y = MatMul(x, wcolumn)", "[N,4,4]", False),
    ("turned", SQUARE, TURNED.format(c="row"), "y = Mul(x, column)", "[N,4,4]", True),
    ("not turned", SQUARE, TURNED.format(c="row"), "y = Mul(x, row)", "[N,4,4]", False),
    ("pointwise", IMAGE, CONV, "y = Conv(x, kernel)", "[N,4,5,6]", True),
    ("swapped", IMAGE, CONV, "y = Conv(x, swapped)", "[N,4,5,6]", False),
    (
        "channels that are split beside an open size",
        "float[3,N,4] x",
        SPLIT.format(c="pairs"),
        "v = Reshape(x, halves)  r = Relu(v)  y = Mul(r, few)",
        "[3,A,2,2]",
        True,
    ),
    (
        "channels that are split otherwise",
        "float[3,N,4] x",
        SPLIT.format(c="row"),
        "v = Reshape(x, halves)  r = Relu(v)  y = Mul(r, few)",
        "[3,A,2,2]",
        False,
    ),
    ("a size told", SQUARE, f"{SIZES}  y = Reshape(x, t)", "y = Reshape(x, fixed)", None, True),
    ("another size", SQUARE, f"{SIZES}  y = Reshape(x, t)", "y = Reshape(x, other)", None, False),
    (
        "a scale before a turn and a view",
        SQUARE,
        "s = Mul(x, row)  t = Transpose<perm = [1,0,2]>(s)  v = Reshape(t, flat)  y = Relu(v)",
        "t = Transpose<perm = [1,0,2]>(x)  v = Reshape(t, flat)  s = Mul(v, row)  y = Relu(s)",
        "[A,4]",
        True,
    ),
    (
        "another scale before a turn and a view",
        SQUARE,
        "s = Mul(x, column)  t = Transpose<perm = [1,0,2]>(s)  v = Reshape(t, flat)  y = Relu(v)",
        "t = Transpose<perm = [1,0,2]>(x)  v = Reshape(t, flat)  s = Mul(v, row)  y = Relu(s)",
        "[A,4]",
        False,
    ),
    (
        "a sum of two orders",
        SQUARE,
        "t = Transpose<perm = [0,2,1]>(x)  s = Add(x, t)  y = Relu(s)",
        "s = Add(x, x)  y = Relu(s)",
        "[N,4,4]",
        False,
    ),
    (
        "no taps along other axes",
        "float[N,4,5,6] x",
        "t = Transpose<perm = [0,1,3,2]>(x)  c = Conv(t, kernel)"
        "  y = Transpose<perm = [0,1,3,2]>(c)",
        "y = Conv(x, kernel)",
        "[N,4,5,6]",
        True,
    ),
    (
        "taps along other axes",
        "float[N,4,6,6] x",
        "t = Transpose<perm = [0,1,3,2]>(x)  c = Conv(t, taps)  y = Transpose<perm = [0,1,3,2]>(c)",
        "y = Conv(x, taps)",
        "[N,4,4,4]",
        False,
    ),
    (
        "taps along other axes on one side",
        "float[N,4,6,6] x",
        "t = Transpose<perm = [0,1,3,2]>(x)  r = Relu(t)  y = Conv(r, taps)",
        "r = Relu(x)  c = Conv(r, taps)  y = Transpose<perm = [0,1,3,2]>(c)",
        "[N,4,4,4]",
        False,
    ),
    (
        "rows that are chosen at run time",
        f"{SQUARE}, int64[4] i",
        "s = Mul(x, positive)  y = Gather<axis = 1>(s, i)",
        "g = Gather<axis = 1>(x, i)  y = Mul(g, positive)",
        "[N,4,4]",
        True,
    ),
    (
        "channels that are chosen at run time",
        f"{SQUARE}, int64[4] i",
        "s = Mul(x, positive)  y = Gather<axis = 2>(s, i)",
        "g = Gather<axis = 2>(x, i)  y = Mul(g, positive)",
        "[N,4,4]",
        False,
    ),
    ("nothing added", SQUARE, "z = Add(x, zeros)  y = Relu(z)", "y = Relu(x)", "[N,4,4]", True),
    ("one added", SQUARE, "z = Add(x, ones)  y = Relu(z)", "y = Relu(x)", "[N,4,4]", False),
]


@pytest.mark.parametrize(
    ("_", "inputs", "a", "b", "out", "proved"), CASES, ids=[c[0] for c in CASES]
)
def test_what_moves_elements_is_followed(
    _: str, inputs: str, a: str, b: str, out: str | None, proved: bool
) -> None:
    out = out or "[A,B,C]"
    found = prove(model(inputs, a, out), model(inputs, b, out))
    assert found.proved == proved, found.reason


def test_sizes_are_multiplied_and_divided_as_far_as_they_are_known() -> None:
    assert product(["N", 4, 2]) == product([8, "N"]) != product([8, "M"])
    assert product(["N", "M"]) == product(["M", "N"])
    assert product([product(["N", 2]), 3]) == product(["N", 6])
    assert product([2, None]) is None
    assert product(["N", 0]) == 0
    assert quotient(["N", 12], [3, "N"]) == 4
    assert quotient(["N", 12], [4]) == product(["N", 3])
    for part in ([5], ["M"], ["N", "N"], [0], [None]):
        assert quotient(["N", 12], part) is None


def test_a_size_that_no_input_declares_is_not_told() -> None:
    assert is_told(4)
    assert is_told("N")
    assert not is_told(None)
    assert not is_told(f"{OPEN}unk")
    assert not is_told(product([f"{OPEN}unk", 4]))


def test_sizes_are_followed_where_inference_leaves_them_open() -> None:
    body = """
        f = Reshape(x, flat)  b = Reshape(f, back)  a = Add(b, x)  m = MatMul(a, x)
        p, q = Split<axis = 2, num_outputs = 2>(m)  c = Concat<axis = 2>(p, m)
        s = Shape(c)  e = Expand(row, s)  y = Relu(m)
    """.replace("e = Expand(row, s)", "")
    graph = Graph.of(model(SQUARE, body, "[N,4,4]"))
    assert graph.shape("f") == (product(["N", 4]), 4)
    assert graph.shape("a") == graph.shape("m") == ("N", 4, 4)
    assert graph.shape("p") == ("N", 4, 2)
    assert graph.shape("c") == ("N", 4, 6)


@pytest.mark.parametrize(("mode", "told"), [("half_pixel", True), ("tf_crop_and_resize", False)])
def test_the_size_of_what_is_cropped_is_not_told(mode: str, told: bool) -> None:
    body = f"""
        z = Resize<mode = "linear", coordinate_transformation_mode = "{mode}">(x, roi, scales)
        y = Relu(z)
    """
    given = model("float[N,4,M] x", body, "[A,B,C]")
    roi = np.array([0.5, 0, 0, 1, 1, 1], np.float32)
    for name, array in {"roi": roi, "scales": np.array([1, 1, 2], np.float32)}.items():
        given.graph.initializer.append(numpy_helper.from_array(array, name))
    assert (Graph.of(given).shape("z")[0] == "N") == told


@pytest.mark.parametrize(
    ("end", "step", "whole"), [(2**31 - 1, 1, True), (2**31 - 1, 2, False), (4, 1, False)]
)
def test_a_slice_of_everything_is_its_input(end: int, step: int, whole: bool) -> None:
    body = "z = Slice(x, zero, end, minus, step)  y = Relu(z)"
    given = model("float[N,4,M] x", body, "[N,4,A]")
    for name, number in {"zero": 0, "end": end, "step": step}.items():
        given.graph.initializer.append(numpy_helper.from_array(np.array([number]), name))
    graph = Graph.of(given)
    assert (graph.same("z") == "x") == whole
    assert ([node.op for node in graph.nodes] == ["Relu"]) == whole


@pytest.mark.parametrize(
    ("b", "proved"), [("e = Expand(one, s)", True), ("e = Expand(one, t)", False)]
)
def test_a_constant_is_expanded_to_the_shape_of_what_it_meets(b: str, proved: bool) -> None:
    inputs, out = "float[1,4,4] x, float[N,4,4] z", "[A,4,4]"
    text = f"s = Shape(x)  t = Shape(z)  {b}  m = Mul(x, e)  y = Relu(m)"
    models = [model(inputs, body, out) for body in ("m = Mul(x, one)  y = Relu(m)", text)]
    for given in models:
        given.graph.initializer.append(numpy_helper.from_array(np.float32(3.0), "one"))
    assert prove(*models).proved == proved


CHAINS = ([-1, 4], [-1, 4, 6], [-1, 6, 4], [-1, 24], [-1, 2, 2, 6], [-1, 2, 12])


def _chain(rng: np.random.Generator) -> list[tuple[str, Any]]:
    """Steps on a value of (N, 4, 6): of each the op, and what it takes."""
    steps: list[tuple[str, Any]] = []
    shape: tuple[int, ...] = (5, 4, 6)
    for _ in range(rng.integers(2, 6)):
        kind = rng.choice(["Transpose", "Reshape", "Mul", "Relu"], p=[0.3, 0.3, 0.3, 0.1])
        value: Any = None
        if kind == "Transpose":
            value = rng.permutation(len(shape)).tolist()
            shape = tuple(shape[i] for i in value)
        elif kind == "Reshape":
            value = CHAINS[rng.integers(len(CHAINS))]
            shape = np.empty(shape).reshape(value).shape
        elif kind == "Mul":
            along = int(rng.integers(len(shape)))
            size = shape[along] if shape[along] % 5 else 1
            value = rng.choice([0.5, 2.0, 3.0], size).reshape(-1, *[1] * (len(shape) - 1 - along))
        steps.append((str(kind), value))
    return steps


def _of_chain(steps: list[tuple[str, Any]]) -> onnx.ModelProto:
    nodes, tensors, value = [], [], "x"
    for number, (kind, given) in enumerate(steps):
        inputs, more = [value], {}
        if kind == "Transpose":
            more = {"perm": given}
        elif kind != "Relu":
            inputs.append(f"c{number}")
            array = np.array(given, np.int64 if kind == "Reshape" else np.float64)
            tensors.append(numpy_helper.from_array(array, inputs[1]))
        value = f"v{number}"
        nodes.append(helper.make_node(kind, inputs, [value], **more))
    nodes.append(helper.make_node("Relu", [value], ["y"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("seed", range(60))
def test_no_two_chains_are_proved_that_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = _chain(rng)
    assert prove(_of_chain(steps), _of_chain(steps)).proved
    for _ in range(6):
        changed = list(steps)
        place, other = int(rng.integers(len(steps))), _chain(rng)
        changed[place : place + int(rng.integers(2))] = other[: int(rng.integers(3))]
        models = _of_chain(steps), _of_chain(changed)
        try:
            proved = prove(*models).proved
        except Exception as error:
            pytest.fail(f"{changed}: {error!r}")
        if not proved:
            continue
        for size in (1, 2, 3):
            x = rng.standard_normal((size, 4, 6))
            a, b = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in models)
            np.testing.assert_array_equal(np.shape(a), np.shape(b))
            np.testing.assert_allclose(a, b, rtol=1e-9)


ROWS = {
    "w": np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32),
    "b": np.arange(4, dtype=np.float32),
    "rows": np.array([-1, 6]),
    "wide": np.array([-1, 12]),
    "back": np.array([-1, 5, 4]),
    "swapped": np.array([5, -1, 4]),
    "w2": np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32),
}


@pytest.mark.parametrize(
    ("body", "proved"),
    [
        ("v = Reshape(x, rows)  g = Gemm(v, w, b)  y = Reshape(g, back)", True),
        ("v = Reshape(x, rows)  m = MatMul(v, w)  r = Reshape(m, back)  y = Add(r, b)", True),
        ("v = Reshape(x, rows)  g = Gemm(v, w, b)  y = Reshape(g, swapped)", False),
        ("v = Reshape(x, wide)  g = Gemm(v, w2, b)  y = Reshape(g, back)", False),
        ("v = Reshape(x, rows)  g = Gemm<alpha = 2.0>(v, w, b)  y = Reshape(g, back)", False),
    ],
)
def test_a_matrix_on_rows_of_another_shape_is_that_matrix(body: str, proved: bool) -> None:
    a = "m = MatMul(x, w)  y = Add(m, b)"
    pair = Pair("", a, body, "float[N,5,6] x", ROWS)
    assert pair.is_proved() is proved
    assert pair.is_wrong() is not proved
