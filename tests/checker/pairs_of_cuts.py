"""Pairs that one premise of linear cuts, relations and constants tells apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from premises import Pair

from bnfuse.checker.check import Cut
from bnfuse.checker.relations import IDENTITY, Relation

SQUARE = "float[N,4,4] x"
HALF = "float16[N,4] x"
ROW = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
SPREAD = np.array([1.0, 2.0, 3.0, 4.0], np.float32).reshape(2, 2)
NUMBERS = {
    "one": np.float32(1.0),
    "two": np.float32(2.0),
    "seven": np.full((1, 1, 1), 7.0, np.float32),
    "sevens": np.full((4, 1, 1), 7.0, np.float32),
    "huge": np.float32(2.0**100),
    "tiny": np.float32(2.0**-100),
    "large": np.float32(2.0**16),
    "all": np.float32(1e8),
    "row": ROW,
    "column": ROW.reshape(4, 1),
    "channels": ROW,
    "point": np.ones((1, 1, 1, 1), np.float32),
    "four": np.float16(4.0),
    "quarter": np.float16(0.25),
    "most": np.float64(1e308),
    "single": np.float64(1.0),
    "hundred": np.float64(100.0),
    "narrow": np.full((1,), 1e30, np.float32),
    "wide": np.full((1,), np.float32(1e30), np.float64),
    "middle": np.broadcast_to(SPREAD[:, None, :], (2, 2, 2)).reshape(8),
    "behind": np.broadcast_to(SPREAD[:, :, None], (2, 2, 2)).reshape(8),
    "nothing": np.zeros((0, 4), np.float32),
}
PLACES = {
    "flat": np.array([-1]),
    "eights": np.array([-1, 8]),
    "pairs": np.array([-1, 2]),
    "four_pairs": np.array([4, 2]),
    "rows": np.array([3, 4]),
    "columns": np.array([4, 3]),
    "halves": np.array([-1, 2, 2]),
    "three_halves": np.array([3, 2, 2]),
    "none_of_five": np.array([1, 0, 5]),
    "front": np.array([0]),
    "swapped": np.array([1, 0]),
    "first": np.array([1]),
    "border": np.array([0, 0, 1, 1]),
    "back": np.array([2, 6]),
}
ALL = NUMBERS | PLACES
CHOSEN = "v = Compress<axis = 0>(x, c)  w = Compress<axis = 1>(v, d)"
INFINITE = (
    "y = If (k) <then_branch = g1 () => (bool[4] t) { m = Mul(w, w)  t = IsInf(m) },"
    " else_branch = g2 () => (bool[4] e) { e = IsInf(w) }>"
)


def linear(a: str, b: str, over: str, relation: Relation = IDENTITY) -> Cut:
    """A cut over others, which are named ``a:b``, or by one name on both sides."""
    pairs = [name.split(":") for name in over.split()]
    return Cut(a, b, "linear", relation, tuple((pair[0], pair[-1]) for pair in pairs))


def turning(*order: int) -> Relation:
    """Axes in another order."""
    return replace(IDENTITY, order=order)


SIZES = (
    Pair(
        "shapes that cannot be told to be the same",
        "y = Reshape(x, rows)",
        "y = Reshape(x, columns)",
        inputs="float[2,6] x",
        constants=ALL,
        cuts=(linear("y", "y", "x"),),
    ),
    Pair(
        "shapes that cannot be told to be the same",
        "y = Reshape(x, four_pairs)",
        "y = Reshape(x, pairs)",
        inputs="float[N,4] x",
        constants=ALL,
        cuts=(linear("y", "y", "x"),),
    ),
    Pair(
        "shapes that cannot be told to be the same",
        "v = Compress<axis = 1>(nothing, c)  y = Unsqueeze(v, front)",
        "v = Compress<axis = 1>(nothing, c)  y = Reshape<allowzero = 1>(v, none_of_five)",
        inputs="bool[4] c",
        constants=ALL,
        cuts=(Cut("v", "v", "op"), linear("y", "y", "v")),
    ),
    Pair(
        "shapes that cannot be told to be the same",
        f"{CHOSEN}  y = Unsqueeze(w, front)",
        f"{CHOSEN}  s = Shape(w)  r = Gather(s, swapped)  o = Concat<axis = 0>(first, r)"
        "  y = Reshape(w, o)",
        inputs="float[4,4] x, bool[4] c, bool[4] d",
        constants=ALL,
        cuts=(Cut("v", "v", "op"), Cut("w", "w", "op"), linear("y", "y", "w")),
    ),
    Pair(
        "a number that is repeated, how often nobody tells",
        "s = Shape(x)  y = Expand(two, s)",
        "t = Transpose<perm = [1,0]>(x)  s = Shape(t)  y = Expand(two, s)",
        inputs="float[N,4] x",
        constants=ALL,
        cuts=(linear("y", "y", "x"),),
    ),
)

ORDERS = (
    Pair(
        "values whose axes are in different orders",
        "y = Add(x, x)",
        "t = Transpose<perm = [1,2,0]>(x)  u = Transpose<perm = [2,0,1]>(x)  s = Add(t, u)"
        "  y = Transpose<perm = [1,2,0]>(s)",
        inputs="float[4,4,4] x",
        cuts=(
            linear("x", "t", "x", turning(1, 2, 0)),
            linear("x", "u", "x", turning(2, 0, 1)),
            linear("y", "y", "x:t x:u"),
        ),
    ),
    Pair(
        "no order of the axes of 'u'",
        "n = Neg(x)  u = Transpose<perm = [0,2,1]>(n)  y = ReduceSum<keepdims = 0>(u, front)",
        "v = Neg(x)  y = ReduceSum<keepdims = 0>(v, front)",
        inputs="float[3,4,4] x",
        constants=ALL,
        cuts=(linear("u", "v", "x", turning(0, -1, 1)), Cut("y", "y", "turned")),
    ),
    Pair(
        "input 0 of Softmax has its axes in another order",
        "y = Softmax(x)",
        "t = Transpose<perm = [0,2,1]>(x)  y = Softmax(t)",
        inputs=SQUARE,
        cuts=(linear("x", "t", "x", turning(0, 2, 1)), Cut("y", "y", "op")),
    ),
)

GUARDS = (
    Pair(
        "values on the way grow or shrink beyond 65536",
        "y = Relu(x)",
        "a = Mul(x, huge)  b = Mul(a, huge)  c = Mul(b, tiny)  d = Mul(c, tiny)  y = Relu(d)",
        constants=ALL,
    ),
    Pair(
        "values on the way grow or shrink beyond 65536",
        "y = Relu(x)",
        "a = Mul(x, tiny)  b = Mul(a, tiny)  c = Mul(b, huge)  d = Mul(c, huge)  y = Relu(d)",
        constants=ALL,
    ),
    Pair(
        "another type than 'w'",
        f"w = Where(c, narrow, one)  {INFINITE}",
        f"w = Where(c, wide, single)  {INFINITE}",
        inputs="bool[4] c, bool k",
        constants=ALL,
        out="bool",
    ),
    Pair(
        "more than 16 times larger or smaller than 'q'",
        "p = Mul(x, x)  q = Mul(p, p)  r = Div(q, p)  y = Div(r, p)",
        "m = Mul(x, four)  p = Mul(m, m)  q = Mul(p, p)  r = Div(q, p)  y = Div(r, p)",
        inputs=HALF,
        constants=ALL,
        out="float16",
    ),
    Pair(
        "more than 16 times larger or smaller than 'q'",
        "p = Mul(x, x)  q = Mul(p, p)  r = Div(q, p)  y = Div(r, p)",
        "m = Mul(x, quarter)  p = Mul(m, m)  q = Mul(p, p)  r = Div(q, p)  y = Div(r, p)",
        inputs=HALF,
        constants=ALL,
        out="float16",
    ),
    Pair(
        "shifted by more than 65536",
        "s = Add(x, x)  t = Add(s, s)  g = GlobalMaxPool(t)  y = Sub(t, g)",
        "m = Add(x, large)  s = Add(m, m)  t = Add(s, s)  g = GlobalMaxPool(t)  y = Sub(t, g)",
        constants=ALL,
    ),
)

CONSTANTS = (
    Pair(
        "two constants run along different axes",
        "y = Mul(x, row)",
        "y = Mul(x, column)",
        inputs=SQUARE,
        constants=ALL,
    ),
    Pair(
        "the channels are spread over several axes",
        "v = Reshape(x, eights)  y = Mul(v, middle)",
        "v = Reshape(x, eights)  y = Mul(v, behind)",
        inputs="float[N,2,2,2] x",
        constants=ALL,
        cuts=(linear("y", "y", "x"),),
    ),
    Pair(
        "input 1 of Max is another constant",
        "m = Max(x, seven)  y = ReduceSum(m, first)",
        "m = Max(x, sevens)  y = ReduceSum(m, first)",
        inputs="float[N,1,6,6] x",
        constants=ALL,
    ),
    Pair(
        "padding (value) that was not moved with the values",
        "y = Pad(x, border, one)",
        "y = Pad(x, border, two)",
        inputs="float[N,4] x",
        constants=ALL,
    ),
    Pair(
        "the channels are chosen at run time",
        "s = Mul(x, row)  y = Gather<axis = 2>(s, i)",
        "g = Gather<axis = 2>(x, i)  y = Mul(g, one)",
        inputs=f"{SQUARE}, int64[1] i",
        constants=ALL,
        cuts=(
            linear("s", "x", "x", Relation.of(2, 1.0 / ROW)),
            Cut("y", "g", "op"),
            linear("y", "y", "y:g"),
        ),
    ),
)

CUTS: tuple[Pair, ...] = (*SIZES, *ORDERS, *GUARDS, *CONSTANTS)
