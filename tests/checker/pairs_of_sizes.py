"""Pairs that differ in a size: of a view, of what a Resize makes, of what a Shape tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from open_pairs import pair
from premises import Pair

COUNTED = {"flat": [-1], "turned": [3, 2], "last": [0], "one": [1]}
THREE = {"c": np.array([1.0, 10.0, 100.0], np.float32)}
NEAREST = 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
UNNAMED = {
    "two": np.float32(2.0),
    "diagonal": 2.0 * np.eye(3, dtype=np.float32),
    "twice": np.full(3, 2.0, np.float32),
    "zero": np.zeros(3, np.float32),
    "unit": np.ones(3, np.float32),
    "rows": [2, 6],
}
VIEWS = {"two": [2, 3], "three": [3, 2], "four": [4, 2], "flat": [6]}
ROWS = {"rows": np.arange(2).reshape(2, 1)}


def told(nodes: str, dims: str, size: int, axis: int, **more: Any) -> Pair:
    """A size that ``Shape`` tells at run time, against the number that shape inference has."""
    return pair(
        f"{nodes}  s = Shape(r)  n = Gather(s, axis)  f = Cast<to = 1>(n)  y = Mul(x, f)",
        "y = Mul(x, size)",
        f"float[3] x, float[{dims}] u",
        {"axis": np.int64(axis), "size": np.float32(size)},
        **more,
    )


def resized(attributes: str, given: str, dims: str, constants: dict[str, Any]) -> Pair:
    """Scales of channels, before a Resize and behind it."""
    op = f"Resize<{NEAREST}{attributes}>(?, {given})"
    return pair(
        f"m = Mul(x, c)  y = {op.replace('?', 'm')}",
        f"r = {op.replace('?', 'x')}  y = Mul(r, c)",
        f"float[{dims}] x",
        THREE | constants,
        opset=18,
    )


def negative(_: int, model: onnx.ModelProto) -> None:
    """Declare a size of -1, which runtimes take for an open one."""
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = -1


def fixed(nodes: str, dims: str = "N,C") -> Pair:
    """Twice the input, by something that takes one size only."""
    return pair("y = Mul(x, two)", nodes, f"float[{dims}] x", UNNAMED)


def viewed(view: str) -> Pair:
    """A view and back, of six elements."""
    a, b = (f"r = Reshape(x, {by})  y = Reshape(r, flat)" for by in ("two", view))
    return pair(a, b, "float[6] x", VIEWS)


def scattered(dims: str) -> Pair:
    """What is written over all rows, and what was to be written."""
    a = "y = Relu(u)"
    b = "t = ScatterND(d, rows, u)  y = Relu(t)"
    return pair(a, b, f"float[2,3] d, float[{dims}] u", ROWS)


def branch(name: str) -> str:
    """A body that declares a size by the name of a size of the model's input."""
    return (
        f"{name} () => (float[1,M] {name}_y) "
        f"{{ {name}_i = NonZero(x)  {name}_y = Cast<to = 1>({name}_i) }}"
    )


IF = f"r = If (c) <then_branch = {branch('then')}, else_branch = {branch('other')}>"
CUT_BY = {"s": np.array([1.0, 2.0], np.float32), "rest": [-1], "first": [0]}

WRONG = {
    "a Reshape in the place of a Transpose": pair(
        "v = Transpose(x)  r = Relu(v)  y = Reshape(r, flat)",
        "v = Reshape(x, turned)  w = Transpose(v)  r = Relu(w)  y = Reshape(r, flat)",
        "float[2,3] x",
        COUNTED,
    ),
    "an AveragePool whose last window begins beyond the end": told(
        "r = AveragePool<kernel_shape = [3], strides = [3], pads = [1, 2], ceil_mode = 1>(u)",
        "1,2,5",
        3,
        2,
        opset=12,
        why="a window that begins in the padding at the end is left out",
    ),
    "a dilated MaxPool that keeps the size": told(
        'r = MaxPool<kernel_shape = [3], strides = [2], auto_pad = "SAME_UPPER", '
        "dilations = [3]>(u)",
        "1,2,5",
        3,
        2,
        opset=17,
        why="ONNX Runtime has another size than shape inference",
    ),
    "a ConstantOfShape of booleans made numbers": told(
        "q = Shape(u)  b = Cast<to = 9>(q)  i = Cast<to = 7>(b)  r = ConstantOfShape(i)",
        "2,3",
        2,
        0,
        opset=17,
    ),
    "a declared size of -1": told(
        "r = Relu(u)",
        "2,3",
        -1,
        0,
        opset=17,
        make=negative,
        why="it is no size, and no value has it",
    ),
    "a size that a body declares": pair(
        f"{IF}  n = Shape(u)  t = Concat<axis = 0>(one, n)  e = Expand(k, t)  y = Add(r, e)",
        f"{IF}  y = Add(r, k)",
        "float[3] x, float[M] u, bool c",
        {"one": [1], "k": np.array([[5.0]], np.float32)},
    ),
    "a Resize with its axes in another order": resized(
        ", axes = [1, 0, 2]",
        ", s",
        "1,3,2",
        {"s": np.array([1.2, 1.0, 2.0], np.float32), "c": THREE["c"].reshape(3, 1)},
    ),
    "a Resize that keeps the proportions": resized(
        ', keep_aspect_ratio_policy = "not_larger"',
        ", , sizes",
        "10,3",
        {"sizes": [11, 4]},
    ),
    "a view of what a Resize with axes makes": pair(
        'r = Resize<mode = "nearest", axes = [1, 0]>(x, , s)  d = Shape(x)  '
        "n = Gather(d, first)  t = Concat<axis = 0>(n, rest)  y = Reshape(r, t)",
        'r = Resize<mode = "nearest", axes = [1, 0]>(x, , s)  y = Identity(r)',
        "float[N,3] x",
        CUT_BY,
        opset=18,
    ),
    "a MatMul that fixes a size": fixed("y = MatMul(x, diagonal)"),
    "a BatchNormalization that fixes a size": fixed(
        "y = BatchNormalization<epsilon = 0.0>(x, twice, zero, zero, unit)"
    ),
    "a Reshape there and back that fixes a size": fixed(
        "r = Reshape(x, rows)  s = Shape(x)  q = Reshape(r, s)  y = Mul(q, two)"
    ),
    "a view of eight elements of six": viewed("four"),
    "a ScatterND of rows of any size": scattered("N,C"),
}

RIGHT = {
    "a Transpose that is written out": pair(
        "v = Transpose(x)  r = Relu(v)  y = Reshape(r, flat)",
        "r = Relu(x)  w = Transpose<perm = [1, 0]>(r)  y = Reshape(w, flat)",
        "float[2,3] x",
        COUNTED,
    ),
    "two Transposes that turn back": pair(
        "v = Transpose(x)  r = Relu(v)  y = Reshape(r, flat)",
        "t = Transpose(x)  u = Transpose(t)  w = Transpose(u)  r = Relu(w)  y = Reshape(r, flat)",
        "float[2,3] x",
        COUNTED,
    ),
    "a size that Shape tells of a plain pool": told(
        "r = MaxPool<kernel_shape = [3], strides = [2]>(u)", "1,2,5", 2, 2
    ),
    "a size that Shape tells of an input": told("r = Relu(u)", "2,3", 2, 0),
    "a Resize by plain scales": resized(
        "",
        ", s",
        "1,3,2",
        {"s": np.array([1.0, 1.0, 2.0], np.float32), "c": THREE["c"].reshape(3, 1)},
    ),
    "one Resize with its axes in another order": pair(
        "r = Resize<axes = [1, 0, 2]>(x, , s)  y = Relu(r)",
        "r = Resize<axes = [1, 0, 2]>(x, , s)  i = Identity(r)  y = Relu(i)",
        "float[1,3,2] x",
        {"s": np.array([1.0, 1.0, 2.0], np.float32)},
        opset=18,
    ),
    "a MatMul of a size that is declared": fixed("y = MatMul(x, diagonal)", "N,3"),
    "a BatchNormalization of a size that is declared": fixed(
        "y = BatchNormalization<epsilon = 0.0>(x, twice, zero, zero, unit)", "N,3"
    ),
    "a Reshape there and back of sizes that are declared": fixed(
        "r = Reshape(x, rows)  s = Shape(x)  q = Reshape(r, s)  y = Mul(q, two)", "4,3"
    ),
    "a view of six elements of six": viewed("three"),
    "a ScatterND of all rows": scattered("2,3"),
}
