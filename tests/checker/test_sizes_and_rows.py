"""Sizes that one side computes, and shifts behind the rows of a softmax: each premise alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.checker.graph import Graph
from bnfuse.checker.sizes import is_told, product
from bnfuse.proving import prove

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g ({inputs}) => (float{out} y) {{ {body} }}'
CONSTANTS: dict[str, Any] = {
    "flat": np.array([2, 24], np.int64),
    "other": np.array([4, 12], np.int64),
    "minus": np.array([-1], np.int64),
    "zero": np.array([0], np.int64),
    "twenty_four": np.array([24], np.int64),
    "four_rows": np.array([4], np.int64),
    "six": np.array([6], np.int64),
    "times": np.array([2, 1, 3], np.int64),
    "one": np.ones(1, np.float32),
    "shift": np.array([1.0, -2.0, 0.25, 3.0], np.float32),
    "moved": np.array([1.0, -2.0, 0.25, 3.5], np.float32),
    "rows": np.array([[1.0], [2.0], [3.0], [4.0], [5.0]], np.float32),
}


def model(inputs: str, body: str, out: str) -> onnx.ModelProto:
    made = onnx.parser.parse_model(TEXT.format(inputs=inputs, body=body, out=out))
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in CONSTANTS.items())
    return made


def is_proved(inputs: str, a: str, b: str, out: str) -> bool:
    return prove(model(inputs, a, out), model(inputs, b, out)).proved


FIRST = "s = Shape(x)  n = Gather(s, zero)  t = Concat<axis = 0>(n, twenty_four)"


@pytest.mark.parametrize(
    ("size", "shape", "proved"),
    [("2", "flat", True), ("2", "other", False), ("N", "flat", False)],
)
def test_sizes_are_evaluated_where_they_are_declared(size: str, shape: str, proved: bool) -> None:
    a = f"{FIRST}  y = Reshape(x, t)"
    b = f"y = Reshape(x, {shape})"
    assert is_proved(f"float[{size},4,6] x", a, b, "[A,B]") == proved


@pytest.mark.parametrize(("start", "proved"), [(1, True), (2, False)])
def test_a_part_of_a_shape_is_that_part(start: int, proved: bool) -> None:
    a = f"s = Shape<start = {start}, end = {start + 1}>(x)  y = Expand(z, s)"
    b = "four = Constant<value_ints = [4]>()  y = Expand(z, four)"
    assert is_proved("float[N,4,6] x, float[1] z", a, b, "[A]") == proved


def test_sizes_that_are_not_declared_are_not_guessed() -> None:
    a = "s = Shape<start = 0, end = 1>(x)  y = Expand(z, s)"
    b = "three = Constant<value_ints = [3]>()  y = Expand(z, three)"
    assert not is_proved("float[N,4] x, float[1] z", a, b, "[A]")


COUNTED = "n = Shape<start = 0, end = 1>(x)  c = {}(n, four_rows)  t = Concat<axis = 0>(c, six)  "
RESIZED = (
    "n = Shape<start = 0, end = 2>(x)  t = Concat<axis = 0>(n, six)  "
    'r = Resize<mode = "nearest"{more}>(x, , , t)  y = Neg(r)'
)
TOLD: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "a product": ("N,4,6", COUNTED.format("Mul") + "y = Reshape(x, t)", (product((4, "N")), 6)),
    "a quotient": ("N,8,6", COUNTED.format("Div") + "y = Expand(one, t)", (None, 6)),
    "less than nothing": (
        "N,4,6",
        COUNTED.format("Mul").replace("four_rows", "minus") + "y = Expand(one, t)",
        (None, 6),
    ),
    "half of eight": ("8,8,6", COUNTED.format("Div") + "y = Expand(one, t)", (2, 6)),
    "a sum": ("N,4,6", COUNTED.format("Add") + "y = Expand(one, t)", (None, 6)),
    "repeated": ("N,4,6", "r = Tile(x, times)  y = Neg(r)", (product((2, "N")), 4, 18)),
    "put together": (
        "N,12,4",
        "i = Constant<value_ints = [4, 4]>()  k = Constant<value_ints = [2, 2]>()  "
        "r = Col2Im<strides = [2, 2]>(x, i, k)  y = Neg(r)",
        ("N", 3, 4, 4),
    ),
    "resized": ("N,4,3", RESIZED.format(more=""), ("N", 4, 6)),
    "resized as far as it fits": (
        "N,4,3",
        RESIZED.format(more=', keep_aspect_ratio_policy = "not_larger"'),
        (None, None, None),
    ),
    "resized along some axes": (
        "N,4,3",
        RESIZED.format(more=", axes = [2, 1, 0]"),
        (None, None, None),
    ),
}


@pytest.mark.parametrize(("inputs", "body", "shape"), TOLD.values(), ids=TOLD)
def test_sizes_follow_from_those_that_are_declared(
    inputs: str, body: str, shape: tuple[Any, ...]
) -> None:
    found = Graph.of(model(f"float[{inputs}] x", body, "[A,B]")).shape("y")
    told = tuple(size if is_told(size) else None for size in found)
    assert told == shape


BEHIND = "p = {rows}  m = MatMul(p, v)  y = Add(m, {shift})"
BEFORE = "p = {rows}  w = Add(v, {shift})  y = MatMul(p, w)"
SOFTMAX = "Softmax<axis = -1>(x)"


@pytest.mark.parametrize(
    ("rows", "before", "behind", "proved"),
    [
        (SOFTMAX, "shift", "shift", True),
        (SOFTMAX, "moved", "shift", False),
        ("Sigmoid(x)", "shift", "shift", False),
        ("Softmax<axis = 1>(x)", "shift", "shift", False),
        (SOFTMAX, "rows", "shift", False),
    ],
)
def test_a_shift_passes_rows_that_sum_to_one(
    rows: str, before: str, behind: str, proved: bool
) -> None:
    a = BEFORE.format(rows=rows, shift=before)
    b = BEHIND.format(rows=rows, shift=behind)
    inputs = "float[N,5,5] x, float[N,5,4] v"
    # Relu tells both apart: nothing linear is left to compare.
    a, b = (text.replace("y =", "u =") + "  y = Relu(u)" for text in (a, b))
    assert is_proved(inputs, b, a, "[N,5,4]") == proved


FACTOR = np.float32(0.70710677)
COLUMNS = np.array([1, 1, 1, 1, 1, 1.0625], np.float32)


@pytest.mark.parametrize(
    ("factors", "split", "proved"),
    [
        # One number for all channels goes where a size is not known that they are split before.
        (FACTOR, "split", True),
        # Several do not: which elements they belong to would have to be guessed.
        (FACTOR * COLUMNS, "split", False),
        # Nor does a candidate that fixes what the original leaves open.
        (FACTOR, "fixed", False),
    ],
)
def test_one_scale_passes_a_split_of_the_channels_beside_an_open_size(
    factors: Any, split: str, proved: bool
) -> None:
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((2, 6, 6)).astype(np.float32)
    bias = rng.standard_normal(6).astype(np.float32)
    body = (
        "h = MatMul(x, w)  a = Add(h, bias)  s = Reshape(a, {split})  r = Relu(s)  "
        "t = Reshape(r, joined)  y = MatMul(t, v)"
    )
    sides = []
    for scale, shape in ((np.float32(1), "split"), (factors, split)):
        side = model("float[4,N,6] x", body.format(split=shape), "[A,6]")
        tensors = {
            "w": w * scale,
            "bias": bias * scale,
            "v": v / np.reshape(scale, (-1, 1)),
            "split": np.array([4, -1, 3, 2], np.int64),
            "fixed": np.array([4, 2, 3, 2], np.int64),
            "joined": np.array([-1, 6], np.int64),
        }
        side.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in tensors.items())
        sides.append(side)
    assert prove(*sides).proved == proved
