"""Elements that are picked and put together: right forms, and each premise broken alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from bnfuse.checker.check import Cut, Proving
from bnfuse.checker.forms import Form
from bnfuse.checker.graph import Graph
from bnfuse.checker.linear import expand
from bnfuse.checker.maps import Map, alike
from bnfuse.checker.nodes import NotProved
from bnfuse.proving import prove

Array = np.ndarray[Any, Any]
TEXT = '<ir_version: 10, opset_import: ["" : 20]> g ({inputs}) => (float{out} y) {{ {body} }}'
ROW = np.array([0.5, 2.0, -1.5, 3.0], np.float32)
MASK = np.array([True, False, False, True]).reshape(4, 1)
W = np.arange(16, dtype=np.float32).reshape(4, 4) - 6
X, FIXED, SQUARE = "float[N,4,5] x", "float[2,4,5] x", "float[2,4,4] x"


def ints(*values: Any) -> Any:
    return np.array(values, np.int64)


CONSTANTS: dict[str, Any] = {
    **{f"i{n}": ints(n) for n in range(6)},
    "last": ints(2**31 - 1),
    "minus": ints(-1),
    "z": np.int64(0),
    "u": np.int64(1),
    "v": np.int64(-1),
    "both": ints(1, 2),
    "ends": ints(3, 3),
    "turn": ints(3, -3, 1, 0),
    "grid": ints([3, 2], [1, 0]),
    "halves": ints(1, 3),
    "row": ROW.reshape(4, 1),
    "mask": MASK,
    "yes": np.ones((1, 1), bool),
    "no": np.array(False),
    "places": np.eye(4, 5) == 1,
    "batches": np.stack([MASK, ~MASK]),
    "two": np.float32(2.0),
    "filled": np.full((2, 4, 5), 2.0, np.float32),
    "random": np.arange(40, dtype=np.float32).reshape(2, 4, 5),
    "lines": np.arange(10).reshape(2, 1, 5) % 4,
    "alike": np.full((2, 1, 5), -2),
    "outside": np.full((2, 1, 5), 4),
    "twice": np.ones((2, 2, 5), np.int64),
    "short": np.ones((2, 1, 1), np.int64),
    "rows": ints([0], [1]),
    "swapped": ints([1], [0]),
    "split": ints(0, 2, 2, 4),
    "half": W[:2, :2],
    "w": W,
    "wide": W[:1],
    "same": np.stack([W, W]),
    "other": np.stack([W, W.T]),
    "batch": ints(2, 4, 4),
    "three": ints(3, 4, 4),
}


def model(body: str, inputs: str = X) -> onnx.ModelProto:
    made = onnx.parser.parse_model(TEXT.format(inputs=inputs, body=body, out=""))
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in CONSTANTS.items())
    inferred = onnx.shape_inference.infer_shapes(made)
    made.graph.output[0].CopyFrom(inferred.graph.output[0])
    return made


def form_of(body: str, inputs: str = X) -> Form:
    graph = Graph.of(model(body, inputs))
    return expand(graph, graph.same("y"), graph.inputs.keys()).form


def dense(m: Map) -> Array:
    """The map of one channel axis as a matrix."""
    width = m.c.shape[1]
    whole = np.zeros((len(m.c), m.groups, width))
    whole[np.arange(len(m.c)), m.reads] = m.c.reshape(len(m.c), width)
    return whole.reshape(len(m.c), -1)


def value_of(form: Form, x: Array) -> Array:
    """What a form without taps makes of a value."""
    assert form.order is None
    (m,) = form.maps.values()
    y = x * m.c[0, 0] if m.axis is None else np.moveaxis(x, m.axis, -1) @ dense(m).T
    axis, shift = form.constant.axis, form.constant.shift
    y = y if m.axis is None else np.moveaxis(y, -1, m.axis)
    y = y + (shift if axis is None else shift.reshape([-1 if i == axis else 1 for i in range(3)]))
    return y.reshape([len(x) if n == "N" else n for n in form.view[1]]) if form.view else y


def ran(body: str, inputs: str, x: Array) -> Array:
    return np.asarray(ReferenceEvaluator(model(body, inputs)).run(None, {"x": x})[0])


PART = "c = Slice(x, i1, i2, i1)  "
OVER = PART + "d = Mul(c, two)  t = Shape(d)  e = Expand(u, t)  "
WRITE = "y = ScatterElements<axis = 1>(x, e, d)"
ALL = (
    "n = Shape<start = 0, end = 1>(x)  s = Squeeze(n)  r = Range({}, s, {})"
    "  k = Unsqueeze(r, minus)  f = Mul(x, row)  y = ScatterND{}(x, k, f)"
)
CHOSEN = "m = Mul(x, row)  y = Where({}, m, {})"
EACH = (
    "n = Shape<start = 0, end = 1>(x)  k = Concat<axis = 0>(n, i4, i4)  e = Expand({}, k)"
    "  y = MatMul(e, x)"
)
OPEN = "float[N,4,4] x"
RIGHT = {
    "a slice": ("y = Slice(x, i1, i3, i1)", X),
    "a slice backward": ("y = Slice(x, i3, i0, i1, minus)", X),
    "rows": ("y = Gather<axis = 1>(x, turn)", X),
    "one row": ("y = Gather<axis = 1>(x, v)", X),
    "along another axis": ("y = Slice(x, i1, i3, i2)", X),
    "a part": ("p, y = Split<axis = 1>(x, halves)", X),
    "parts beside each other": ("p, q = Split<axis = 1>(x, halves)  y = Concat<axis = 1>(q, p)", X),
    "a value beside itself": ("y = Concat<axis = 1>(x, x)", X),
    "a scale beside numbers": ("m = Mul(x, row)  y = Concat<axis = 1>(m, filled)", FIXED),
    "a matrix beside a scale": ("m = MatMul(w, x)  y = Concat<axis = 1>(m, x)", X),
    "rows of a matrix": ("m = MatMul(w, x)  y = Gather<axis = 1>(m, turn)", X),
    "a matrix of rows": ("m = Gather<axis = 1>(x, turn)  y = MatMul(w, m)", X),
    "a sum of rows": ("m = Gather<axis = 1>(x, turn)  y = Add(m, x)", X),
    "shifted rows": ("s = Add(x, row)  y = Gather<axis = 1>(s, turn)", X),
    "a choice": (CHOSEN.format("mask", "x"), X),
    "a choice of numbers": (CHOSEN.format("mask", "filled"), FIXED),
    "one written over": (OVER + WRITE, X),
    "one written at stored places": (OVER + WRITE.replace("e, d", "alike, d"), FIXED),
    "all rows": (ALL.format("z", "u", ""), X),
    "all rows, stored": ("f = Mul(x, row)  y = ScatterND(x, rows, f)", FIXED),
    "a matrix": ('y = Einsum<equation = "nab,cb->nac">(x, w)', SQUARE),
    "a matrix before": ('y = Einsum<equation = "ac, nab -> ncb">(w, x)', SQUARE),
    "a matrix of each": ("e = Expand(w, batch)  y = MatMul(e, x)", SQUARE),
    "a matrix of each, as many as there are": (EACH.format("w"), OPEN),
    "a matrix beside a view": ("f = Unsqueeze(x, i0)  y = MatMul(w, f)", SQUARE),
    "a matrix, and a shift, beside a view": (
        "f = Unsqueeze(x, i0)  m = MatMul(w, f)  y = Add(m, row)",
        SQUARE,
    ),
    "a repeated matrix": ("y = MatMul(x, same)", SQUARE),
}


@pytest.mark.parametrize(("body", "inputs"), RIGHT.values(), ids=RIGHT)
def test_a_form_is_what_the_ops_compute(body: str, inputs: str) -> None:
    size = (2, 4, 4) if inputs is SQUARE else (2, 4, 5)
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    np.testing.assert_allclose(value_of(form_of(body, inputs), x), ran(body, inputs, x), rtol=1e-5)


BROKEN = {
    "a slice along two axes": ("y = Slice(x, both, ends, both)", X, "several axes"),
    "a slice told at run time": ("y = Slice(x, k, i3, i1)", X + ", int64[1] k", "run time"),
    "a slice of what is not counted": ("y = Slice(x, i1, i3, i1)", "float[N,M,5] x", "not counted"),
    "rows of a grid": ("y = Gather<axis = 1>(x, grid)", X, "several axes"),
    "rows told at run time": ("y = Gather<axis = 1>(x, k)", X + ", int64[2] k", "run time"),
    "a part told at run time": ("p, y = Split<axis = 1>(x, k)", X + ", int64[2] k", "run time"),
    "what is no form": ("r = Relu(x)  y = Concat<axis = 1>(x, r)", X, "not linear"),
    "numbers of each place": ("y = Concat<axis = 1>(x, random)", FIXED, "several axes"),
    "scales along another axis": ("m = Mul(x, row)  y = Slice(m, i1, i3, i2)", X, "not fit"),
    "shifts along another axis": ("m = Add(x, row)  y = Slice(m, i1, i3, i2)", X, "different axes"),
    "a sum of other sizes": (
        "s = Add(x, o)  y = Slice(s, i1, i3, i1)",
        X + ", float[N,1,5] o",
        "of a sum",
    ),
    "a choice per place": (CHOSEN.format("places", "x"), X, "several axes"),
    "a choice per sample": (CHOSEN.format("batches", "x"), FIXED, "several axes"),
    "a choice at run time": (CHOSEN.format("k", "x"), X + ", bool[4,1] k", "run time"),
    "a choice of what is repeated": (CHOSEN.format("mask", "o"), X + ", float[N,4,1] o", "sizes"),
    "a choice of several numbers": (
        "t = Shape(x)  e = Expand(row, t)  y = Where(mask, x, e)",
        X,
        "several numbers",
    ),
    "one added to": (OVER + WRITE.replace("1>", '1, reduction = "add">'), X, "counts"),
    "indices that differ": (OVER + WRITE.replace("e, d", "lines, d"), FIXED, "differ along"),
    "indices beyond": (OVER + WRITE.replace("e, d", "outside, d"), FIXED, "no elements"),
    "indices of fewer": (OVER + WRITE.replace("e, d", "short, d"), FIXED, "other indices"),
    "indices at run time": (
        OVER + WRITE.replace("e, d", "k, d"),
        FIXED + ", int64[2,1,5] k",
        "run time",
    ),
    "one written twice": (
        "d = Slice(x, i1, i3, i1)  y = ScatterElements<axis = 1>(x, twice, d)",
        FIXED,
        "written twice",
    ),
    "some places written": (
        "y = ScatterElements<axis = 1>(x, short, o)",
        FIXED + ", float[2,1,1] o",
        "different sizes",
    ),
    "rows from the second on": (ALL.format("u", "u", ""), X, "not linear"),
    "every second row": (
        ALL.format("z", "i", "").replace("r = ", "i = Squeeze(i2)  r = "),
        X,
        "not linear",
    ),
    "rows that are added to": (ALL.format("z", "u", '<reduction = "add">'), X, "not linear"),
    "rows of another value": (
        ALL.format("z", "u", "").replace("end = 1>(x)", "end = 1>(o)"),
        X + ", float[M,4,5] o",
        "not linear",
    ),
    "rows in another order": ("f = Mul(x, row)  y = ScatterND(x, swapped, f)", FIXED, "not linear"),
    "numbers, and more of them": (
        "t = Shape(o)  e = Expand(two, t)  y = Add(x, e)",
        X + ", float[M,4,5] o",
        "larger",
    ),
    "axes moved": ('y = Einsum<equation = "nab,cb->nca">(x, w)', SQUARE, "axes moved"),
    "a diagonal": ('y = Einsum<equation = "naa,ca->nca">(x, w)', SQUARE, "no product"),
    "a letter of both": ('y = Einsum<equation = "nab,ab->nab">(x, w)', SQUARE, "no product"),
    "a sum over all": ('y = Einsum<equation = "nab,cd->nab">(x, w)', SQUARE, "no product"),
    "no matrix": ('y = Einsum<equation = "nab,nca->ncb">(x, same)', SQUARE, "no product"),
    "a matrix of more": ('y = Einsum<equation = "nab,cb->nac">(x, w)', "float[2,4,1] x", "not fit"),
    "two computed values": ('y = Einsum<equation = "nab,nbc->nac">(x, x)', SQUARE, "computed"),
    "three operands": ('y = Einsum<equation = "nab,bc,cd->nad">(x, w, w)', SQUARE, "operands"),
    "two matrices": ("y = MatMul(x, other)", SQUARE, "no matrix"),
    "a matrix more often": (
        "e = Expand(w, three)  y = MatMul(e, x)",
        "float[1,4,4] x",
        "no matrix",
    ),
    "a matrix of repeated rows": (EACH.format("wide"), OPEN, "several numbers"),
    "channels that a view splits": ("f = Reshape(x, split)  y = MatMul(half, f)", SQUARE, "shape"),
}


@pytest.mark.parametrize(("body", "inputs", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_one_premise_has_no_form(body: str, inputs: str, reason: str) -> None:
    with pytest.raises(NotProved, match=reason):
        form_of(body, inputs)


@pytest.mark.parametrize(
    ("choice", "same"),
    [("yes, x, row", "x"), ("no, row, x", "x"), ("no, x, row", "c"), ("mask, x, x", "c")],
)
def test_a_fixed_choice_is_what_it_chooses_if_it_is_as_large(choice: str, same: str) -> None:
    assert Graph.of(model(f"c = Where({choice})  y = Neg(c)")).same("c") == same


@pytest.mark.parametrize(("start", "proved"), [("i0", True), ("i1", False)])
def test_nothing_may_stand_beside_all_as_where_nothing_is_rolled(start: str, proved: bool) -> None:
    """Four of four rows, and none of them."""
    rest = "q = Slice(r, i0, i0, i1)  y = Concat<axis = 1>({}, q)"
    whole = f"r = Relu(x)  p = Slice(r, {start}, i4, i1)  " + rest.format("p")
    assert prove(model(whole, X), model("r = Relu(x)  " + rest.format("r"), X)).proved is proved


def test_numbers_alone_are_equal_for_no_certificate() -> None:
    """Two values that repeat one number may have different sizes."""
    inputs = X + ", float[M,4,5] o"
    bodies = (f"t = Shape({name})  y = Expand(two, t)" for name in "xo")
    proving = Proving(*(Graph.of(model(body, inputs)) for body in bodies))
    proving.begin()
    for over in ((), (("x", "x"),)):
        with pytest.raises(NotProved, match="repeated"):
            proving.admit(Cut("y", "y", "linear", over=over))


@pytest.mark.parametrize(
    ("a", "b", "proved"),
    [
        ("p = Slice(x, i1, i2, i1)", "p = Slice(x, i1, i2, i1)", True),
        ("p = Slice(x, i1, i2, i1)", "p = Slice(x, i2, i3, i1)", False),
        ("p = Slice(x, i0, i2, i1)", "p = Slice(x, i0, i3, i1)", False),
        ("p = Slice(x, i1, i2, i1)", "g = Gather<axis = 1>(x, u)  p = Unsqueeze(g, i1)", True),
        ("p = Slice(x, i1, i2, i1)", "p = Gather<axis = 1>(x, u)", False),
        ("p, q = Split<axis = 1>(x, halves)", "q, p = Split<axis = 1>(x, halves)", False),
        ("p = Identity(x)", "p = Gather<axis = 1>(x, i0)", False),
    ],
)
def test_no_certificate_takes_elements_for_others(a: str, b: str, proved: bool) -> None:
    proving = Proving(*(Graph.of(model(f"{body}  y = Neg(p)")) for body in (a, b)))
    proving.begin()
    cut = Cut("y", "y", "linear", over=(("x", "x"),))
    if proved:
        proving.admit(cut)
        assert proving.equal("y", "y")
    else:
        with pytest.raises(NotProved):
            proving.admit(cut)


def numbers(draw: Any, *shape: int) -> Array:
    return np.random.default_rng(draw(st.integers(0, 99))).choice([0.0, 1.0, 2.0, -0.5], shape)


@st.composite
def maps(draw: Any, channels: int = 4) -> Map:
    """Of some channels, some of them zero, in any order, of a scale or of groups."""
    groups = draw(st.sampled_from([1, 2, 4]))
    c = numbers(draw, channels, channels // groups)
    rows = np.array(draw(st.lists(st.integers(-1, channels - 1), min_size=4, max_size=4)))
    return Map(1, c, np.abs(c), groups).picked(1, channels, rows)


@given(maps(), maps(), st.data())
def test_maps_of_picked_channels_are_those_of_matrices(a: Map, b: Map, data: Any) -> None:
    np.testing.assert_array_equal(dense(a + b), dense(a) + dense(b))
    x, y = alike(a, b)
    assert (x.groups, x.c.shape) == (y.groups, y.c.shape)
    np.testing.assert_array_equal(x.reads, y.reads)
    np.testing.assert_array_equal(dense(x), dense(a))
    np.testing.assert_array_equal(dense(y), dense(b))
    whole = Map(1, c := numbers(data.draw, 4, 4), np.abs(c))
    np.testing.assert_allclose(dense(a.then(whole)), c @ dense(a))
    np.testing.assert_allclose(dense(a.then(b.picked(1, 4, np.arange(4)))), dense(b) @ dense(a))
    np.testing.assert_array_equal(np.abs(dense(a)).max(axis=1), a.peaks)


STEPS = ("Gather", "Slice", "halves", "Where", "over", "Mul", "Add", "turn", "Relu")


@st.composite
def steps(draw: Any) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(STEPS))
    few = st.lists(st.integers(0, 3), min_size=4, max_size=4)
    if kind in ("Gather", "Where"):
        return kind, tuple(draw(few))
    if kind in ("Mul", "Add"):
        return kind, tuple(draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=4, max_size=4)))
    return kind, draw(st.integers(0, 3))


def chain(made: list[tuple[Any, ...]]) -> onnx.ModelProto:
    """Steps on four channels; what was there a step before is still there to choose."""
    text, tensors, values = [], {}, ["x", "x"]
    for n, (kind, number) in enumerate(made):
        x, old, y = values[-1], values[-2], f"v{n}"
        tensors[f"c{n}"] = np.atleast_1d(number)
        column = np.asarray(number, np.float32).reshape(-1, 1)
        if kind == "Gather":
            text.append(f"{y} = Gather<axis = 1>({x}, c{n})")
        elif kind == "Where":
            tensors[f"c{n}"] = column > 1
            text.append(f"{y} = Where(c{n}, {x}, {old})")
        elif kind in ("Mul", "Add"):
            tensors[f"c{n}"] = column
            text.append(f"{y} = {kind}({x}, c{n})")
        elif kind == "turn":
            text.append(
                f"t{n} = Transpose<perm = [0,2,1]>({x})  {y} = Transpose<perm = [0,2,1]>(t{n})"
            )
        elif kind == "halves":
            text.append(
                f"p{n}, q{n} = Split<axis = 1>({x}, halves)  {y} = Concat<axis = 1>(q{n}, p{n})"
            )
        elif kind == "Relu":
            text.append(f"{y} = Relu({x})")
        else:
            end = f"i{number + 1}"
            text.append(f"s{n} = Slice({x}, i{number}, {end}, i1)")
            if kind == "Slice":
                text.append(f"{y} = Concat<axis = 1>(s{n}, s{n}, s{n}, s{n})")
            else:
                text.append(f"t{n} = Shape(s{n})  e{n} = Expand(u, t{n})")
                text.append(f"{y} = ScatterElements<axis = 1>({old}, e{n}, s{n})")
        values.append(y)
    body = "  ".join([*text, f"y = Softsign({values[-1]})"])
    result = onnx.parser.parse_model(TEXT.format(inputs=X, body=body, out="[N,4,5]"))
    tensors |= CONSTANTS
    result.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in tensors.items())
    return result


@given(st.lists(steps(), min_size=1, max_size=5), st.lists(steps(), max_size=2), st.data())
def test_no_two_chains_are_proved_that_differ(
    made: list[tuple[Any, ...]], other: list[tuple[Any, ...]], data: Any
) -> None:
    place = data.draw(st.integers(0, len(made)))
    changed = made[:place] + other + made[place + data.draw(st.integers(0, 2)) :]
    models = chain(made), chain(changed)
    assert prove(models[0], models[0]).proved
    if prove(*models).proved:
        for size in (1, 3):
            x = np.random.default_rng(0).standard_normal((size, 4, 5)).astype(np.float32)
            a, b = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in models)
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
