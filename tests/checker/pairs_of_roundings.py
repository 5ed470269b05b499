"""Pairs that a rounding, an overflow or a size tells apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from open_pairs import pair
from pairs_of_cuts import linear
from premises import Pair

from bnfuse.checker.check import Cut

X = "float[1,3] x"


def scalars(**numbers: float) -> dict[str, Any]:
    """Of float32."""
    return {name: np.float32(number) for name, number in numbers.items()}


def rows(**numbers: list[float]) -> dict[str, Any]:
    """One number for each of three channels."""
    return {name: np.array(row, np.float32) for name, row in numbers.items()}


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def constant(nodes: str, /, **numbers: float) -> Pair:
    """``x`` itself, and a factor that is computed."""
    return pair("y = Mul(x, one)", f"{nodes}  y = Mul(x, c)", X, scalars(one=1.0, **numbers))


def half(a: float, nodes: str, /, **numbers: float) -> Pair:
    """Two factors of float16, the second computed."""
    constants = {name: np.float16(number) for name, number in {"a": a, **numbers}.items()}
    body = f"{nodes}  y = Mul(x, c)"
    return pair("y = Mul(x, a)", body, "float16[1,3] x", constants, out="float16")


def sized(op: str, inputs: str, axis: int, wrong: float, opset: int = 19, **more: Any) -> Pair:
    """``x`` times a size, and times the number that the size is inferred to be."""
    counted = f"r = {op}  s = Shape(r)  n = Gather(s, axis)  f = Cast<to = 1>(n)  y = Mul(x, f)"
    constants = {"axis": np.int64(axis), "g": np.float32(wrong), **more}
    inputs = f"{X}, float[{inputs}] u"
    return pair(counted, "y = Mul(x, g)", inputs, constants, opset=opset, why="runtimes say so")


def binary(side: int, model: onnx.ModelProto) -> None:
    """The second calls a function with the name of an op."""
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))
    if side:
        node, opsets = (
            onnx.helper.make_node("Neg", ["a"], ["b"]),
            [onnx.helper.make_opsetid("", 20)],
        )
        function = onnx.helper.make_function(
            "ai.onnx.ml", "Binarizer", ["a"], ["b"], [node], opsets
        )
        model.functions.append(function)
        model.graph.node[0].op_type, model.graph.node[0].domain = "Binarizer", "ai.onnx.ml"


NINE = "s1 = Add(t, t)  " + "  ".join(f"s{i} = Add(s{i - 1}, t)" for i in range(2, 10))
THREE = (1.8632451, 1.175771, 1.9390836)
NARROW = np.float32(np.float16(np.float32(math.prod(map(float, map(np.float32, THREE))))))
CHOSEN = "c = Constant<value = bool[1] {1}>()"
SLICED = ("float[N,4] u, float[N,4] v", {"z": ints(0), "one": ints(1)})
BEHIND = {"c": np.array([1, 2, 3], np.float32)}
COLUMN = {"k": np.array([1, 2, 3], np.float32).reshape(3, 1)}
KEPT = 'auto_pad = "SAME_UPPER"'
OF_ROUNDING: dict[str, Pair] = {
    "a product that underflows": constant(
        "a = Mul(s, s)  b = Mul(a, l)  c = Mul(b, l)", s=1e-30, l=1e30
    ),
    "a small summand that is lost": constant(
        "a = Add(s, b)  d = Sub(a, b)  c = Mul(d, l)", s=1e-12, b=1e-3, l=1e12
    ),
    "the square of a root": constant(
        "s = Sqrt(two)  m = Mul(s, s)  d = Sub(m, two)  t = Mul(d, l)  c = Add(t, one)",
        two=2.0,
        l=1e7,
    ),
    "a product that overflows": pair(
        "y = Mul(x, e)",
        "a = Mul(p, q)  b = Div(a, r)  y = Mul(x, b)",
        X,
        scalars(e=1e36, p=1e30, q=1e10, r=1e4),
    ),
    "the power of what cancels": pair(
        "y = Mul(x, e)",
        "s = Add(big, t)  d = Sub(s, big)  m = Mul(d, k)  f = Exp(m)  y = Mul(x, f)",
        X,
        scalars(e=math.e, big=60000.0, t=2.0**-10, k=1024.0),
    ),
    "a float16 that is lost": half(0.0625, "s = Add(a, k)  c = Sub(s, k)", k=200.0),
    "a float16 that overflows": half(293.0, "t = Mul(p, q)  c = Div(t, r)", p=300, q=250, r=256),
    "a scale and a shift that pass together": pair(
        "m = MaxPool<kernel_shape = [1]>(x)  y = Relu(m)",
        "p = Mul(x, s)  q = Add(p, o)  m = MaxPool<kernel_shape = [1]>(q)  t = Sub(m, o)"
        "  r = Relu(t)  y = Mul(r, l)",
        "float[1,1,3] x",
        scalars(s=2.0**-16, l=65536.0, o=32768.0),
    ),
    "a shift beside another channel's": pair(
        "z = Sub(x, x)  p = Add(z, b)  q = Sub(p, b)  w = Add(x, q)  y = Add(w, k)",
        "y = Add(x, c)",
        X,
        rows(b=[0, 3e7, 0], k=[1000, 0, 0], c=[1000, 40, 0]),
    ),
    "a shift of the candidate beside another channel's": pair(
        "y = Add(x, k)",
        "p = Add(x, u)  y = Sub(p, v)",
        X,
        rows(k=[1e9, 0, 0], u=[1e9, 1e9, 0], v=[0, 1e9, 0]),
    ),
    "a coefficient beside another channel's": pair(
        "p = Mul(x, b)  q = Sub(p, p)  w = Mul(x, k)  y = Add(w, q)",
        "y = Mul(x, c)",
        X,
        rows(b=[0, 3e7, 0], k=[1000, 1, 1], c=[1000, 50, 1]),
        cuts=(linear("y", "y", "x"),),
    ),
    "an overflow beside another channel's": pair(
        "p = Mul(x, k)  q = Relu(p)  y = Mul(q, l)",
        "p = Mul(x, k)  s = Mul(p, u)  t = Mul(s, v)  q = Relu(t)  y = Mul(q, l)",
        X,
        rows(k=[1e34, 1, 1], l=[1e-34, 1, 1], u=[1, 1e36, 1], v=[1, 1e-36, 1]),
        cuts=(linear("p", "t", "x"), Cut("q", "q", "op"), linear("y", "y", "q")),
        why="1,000 times 1e36 is no float32",
    ),
    "a Range that a rounding counts": pair(
        "y = Mul(x, z)",
        f"{NINE}  r = Range(z, s9, one)  q = ReduceSum(r)  y = Mul(x, q)",
        X,
        scalars(z=0.0, t=0.1, one=1.0),
    ),
    "a Cast of what was rounded": pair(
        "y = Mul(x, n)",
        "a = Mul(p, q)  b = Mul(a, r)  h = Cast<to = 10>(b)  c = Cast<to = 1>(h)  y = Mul(x, c)",
        X,
        scalars(n=NARROW, p=THREE[0], q=THREE[1], r=THREE[2]),
        why="the two lie on both sides of a number of float16",
    ),
    "the floor of a power": pair(
        "y = Mul(x, f)",
        "e = Exp(c)  g = Floor(e)  y = Mul(x, g)",
        "double[1,3] x",
        {"f": np.float64(145.0), "c": np.float64(math.log(146))},
        out="double",
        why="a runtime may make either of the two",
    ),
    "a Slice backwards from before the first": pair(
        "y = Mul(x, none)",
        "s = Slice(k, b, b, z, m)  c = ReduceSum<keepdims = 0>(s)  y = Mul(x, c)",
        X,
        {
            "none": np.float32(0.0),
            "k": np.array([5.0, 7.0], np.float32),
            "b": ints(-9),
            "z": ints(0),
            "m": ints(-1),
        },
        why="the specification counts from the first",
    ),
}
OF_SIZES: dict[str, Pair] = {
    "a shape that is picked by itself": pair(
        "r = Relu(x)  g = Gather(c, c)  q = Reshape(r, g)  s = Shape(q)  n = Gather(s, i)"
        "  f = Cast<to = 1>(n)  y = Mul(x, f)",
        "y = Mul(x, two)",
        "float[N,2,1] x",
        {"c": ints(2, 1, 0), "i": np.int64(0), "two": np.float32(2.0)},
    ),
    "a count that wraps": pair(
        "y = Reshape(x, four_rows)",
        "h = Shape<start = 0, end = 1>(x)  a = Mul(h, k)  b = Mul(a, k)  c = Div(b, k)"
        "  d = Div(c, k)  t = Concat<axis = 0>(four, d)  y = Reshape(x, t)",
        "float[N,4] x",
        {"four_rows": ints(4, -1), "k": ints(2**40), "four": ints(4)},
    ),
    "a Slice that keeps a symbol": pair(
        "s = Slice(u, z, one)  y = Relu(s)",
        f"s = Slice(u, z, one)  {CHOSEN}  w = Where(c, s, v)  y = Relu(w)",
        *SLICED,
        opset=10,
    ),
    "an Unsqueeze of a negative axis": pair(
        "m = Mul(x, c)  y = Unsqueeze<axes = [-1]>(m)",
        "r = Unsqueeze<axes = [-1]>(x)  y = Mul(r, c)",
        "float[3,3] x",
        BEHIND,
        opset=10,
    ),
    "a Squeeze of a negative axis": pair(
        "m = Mul(x, k)  y = Squeeze<axes = [-1]>(m)",
        "r = Squeeze<axes = [-1]>(x)  y = Mul(r, k)",
        "float[3,3,1] x",
        COLUMN,
        opset=10,
    ),
    "an STFT without a window": sized(
        "STFT(u, st, , fl)", "1,20,1", 2, 6, st=np.int64(3), fl=np.int64(6)
    ),
    "a ConvTranspose that adds to a size that is kept": sized(
        f"ConvTranspose<kernel_shape = [2], strides = [2], {KEPT}, output_padding = [1]>(u, w)",
        "1,2,5",
        2,
        11,
        w=np.ones((2, 2, 2), np.float32),
    ),
    "an AveragePool that keeps a size, and rounds up": sized(
        f"AveragePool<kernel_shape = [1], strides = [3], {KEPT}, ceil_mode = 1>(u)", "1,2,5", 2, 3
    ),
    "an LpPool that keeps a size, and rounds up": sized(
        f"LpPool<kernel_shape = [1], strides = [3], {KEPT}, ceil_mode = 1>(u)", "1,2,5", 2, 3
    ),
    "a Resize by seven tenths": sized(
        'Resize<mode = "nearest">(u, , sc)', "2,10", 1, 6, sc=np.array([1.0, 0.7], np.float32)
    ),
    "an Expand to the channels of another value": pair(
        "h = Conv(x, w)  s = Shape(h)  e = Expand(p, s)  y = Add(h, e)",
        "h = Conv(x, w)  s = Shape(x)  e = Expand(p, s)  y = Add(h, e)",
        "float[N,4,8,8] x",
        {"w": np.ones((8, 4, 1, 1), np.float32), "p": np.ones((1, 8, 1, 1), np.float32)},
    ),
    "a function with the name of an op of another domain": pair(
        "y = Neg(x)", "y = Neg(x)", X, make=binary, why="runtimes take their own op"
    ),
}
WRONG = {**OF_ROUNDING, **OF_SIZES}
RIGHT: dict[str, Pair] = {
    "a factor that is computed": constant("a = Add(s, one)  c = Sub(a, s)", s=2.0),
    "a mask of minus infinity that is put together": pair(
        "e = Expand(none, shape)  m = Concat<axis = 0>(zero, e)  y = Max(x, m)",
        "y = Max(x, mask)",
        X,
        {
            "none": np.array([-np.inf], np.float32),
            "shape": ints(2),
            "zero": np.zeros(1, np.float32),
            "mask": np.array([0.0, -np.inf, -np.inf], np.float32),
        },
    ),
    "a Resize by three halves": pair(
        'r = Resize<mode = "nearest">(x, , sc)  y = Relu(r)',
        'i = Identity(x)  r = Resize<mode = "nearest">(i, , sc)  y = Relu(r)',
        "float[1,4] x",
        {"sc": np.array([1.0, 1.5], np.float32)},
    ),
}
