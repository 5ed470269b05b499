"""Pairs that one premise of linear forms tells apart, and the constants of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from premises import Pair

from bnfuse.checker.check import Cut

RNG = np.random.default_rng(0)


def ints(*values: Any) -> Any:
    return np.array(values, np.int64)


def floats(values: Any) -> Any:
    return np.asarray(values, np.float32)


def linear(*names: str) -> tuple[Cut, ...]:
    """The claim that both results are one form of these values."""
    return (Cut("y", "y", "linear", over=tuple((name, name) for name in names)),)


OF_X, OF_X_AND_Z = linear("x"), linear("x", "z")
BEFORE_THE_LAST = (Cut("m", "m", "linear", over=(("x", "x"),)), Cut("y", "y", "op"))
OPEN, SQUARE = "float[N,4,H,W] x", "float[N,4,4] x"
SWAPPED = "<perm = [0,2,1]>"

ROW = floats([0.5, 2.0, -1.5, 3.0])
W = floats(RNG.standard_normal((4, 4)))
SCALES = {
    "two": floats(2.0),
    "row": ROW,
    "column": ROW.reshape(4, 1),
    "twos": floats([2.0] * 4),
    "of_channels": floats(np.full((4, 1, 1), 2.0)),
    "of_five_axes": floats(np.full((1, 1, 1, 1, 1), 2.0)),
}
MATRICES = {
    "w": W,
    "v": W.T.copy(),
    "repeated": np.stack([W, W]),
    "three": np.stack([W, W, W]),
    "others": np.stack([W, W.T]),
    "half": floats([[1.0, 2.0], [3.0, 5.0]]),
    "half_turned": floats([[1.0, 3.0], [2.0, 5.0]]),
    "middle": floats(np.eye(4)[1:3]),
    "of_nothing": floats(np.zeros((0, 4))),
}
SHAPES = {
    "pairs": ints(-1, 2, 2),
    "halves": ints(0, 2, 2),
    "square": ints(4, 4),
    "cube": ints(4, 4, 2),
    "turn": ints(3, 1, 0, 2),
    "first": ints(1),
    "third": ints(3),
}
KERNELS = {
    "taps": floats(RNG.standard_normal((4, 4, 2, 2))),
    "bias": floats([[1.0, -2.0, 0.5, 3.0]]),
    "bias_of_rows": floats([[1.0], [-2.0], [0.5], [3.0]]),
}
FORMS = (
    Pair(
        "its axes are in another order",
        f"m = Mul(x, two)  y = Transpose{SWAPPED}(m)",
        "y = Mul(x, two)",
        inputs=SQUARE,
        constants=SCALES,
        cuts=OF_X,
    ),
    Pair(
        "another shape of a Transpose or a sum",
        f"t = Transpose{SWAPPED}(x)  y = Reshape(t, pairs)",
        f"v = Reshape(x, pairs)  y = Transpose{SWAPPED}(v)",
        inputs=SQUARE,
        constants=SHAPES,
        cuts=OF_X,
    ),
    Pair(
        "a sum of values whose axes are in different orders",
        "y = Add(x, x)",
        f"t = Transpose{SWAPPED}(x)  y = Add(x, t)",
        inputs=SQUARE,
        cuts=OF_X,
    ),
    Pair(
        "a sum of values whose axes are in different orders",
        "m = Mul(x, row)  n = Mul(z, column)  v = Reshape(n, square)  y = Add(m, v)",
        "v = Reshape(z, square)  s = Add(x, v)  y = Mul(s, row)",
        inputs="float[4,4] x, float[2,4,2] z",
        constants=SCALES | SHAPES,
        cuts=OF_X_AND_Z,
    ),
    Pair(
        "elements of a sum, or of another shape",
        "p = Gather<axis = 1>(x, turn)  y = Reshape(p, cube)",
        "v = Reshape(x, cube)  y = Gather<axis = 1>(v, turn)",
        inputs="float[2,4,4] x",
        constants=SHAPES,
        cuts=OF_X,
    ),
    Pair(
        "elements of a sum, or of another shape",
        "s = Add(x, z)  y = Slice(s, first, third, first)",
        "p = Slice(x, first, third, first)  q = MatMul(middle, z)  y = Add(p, q)",
        inputs="float[N,4,6] x, float[N,M,6] z",
        constants=SHAPES | MATRICES,
        cuts=OF_X_AND_Z,
    ),
    Pair(
        "a linear map of a sum whose operands may differ in size",
        "s = Add(x, z)  y = Conv<pads = [1,1,1,1]>(s, taps)",
        "p = Conv<pads = [1,1,1,1]>(x, taps)  q = Conv<pads = [1,1,1,1]>(z, taps)  y = Add(p, q)",
        inputs=f"{OPEN}, float[N,4,A,1] z",
        constants=KERNELS,
        cuts=OF_X_AND_Z,
    ),
)
