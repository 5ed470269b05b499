"""Pairs that one premise of picking elements and putting them together tells apart."""

from __future__ import annotations

import numpy as np
from pairs_of_forms import KERNELS, OF_X, OF_X_AND_Z, OPEN, floats, ints
from premises import Pair

from bnfuse.checker.check import Cut

KEPT = np.array([1.0, 0.0, 1.0, 1.0]).reshape(4, 1)
PLACES = {
    "turn": ints(3, 1, 0, 2),
    "turned_grid": ints([3, 1], [0, 2]),
    "first": ints(1),
    "second": ints(2),
    "third": ints(3),
    "starts": ints(1, 0),
    "ends": ints(3, 2),
    "axes": ints(1, 2),
    "kept": floats(KEPT),
    "to_the_second": floats(1.0 - KEPT),
    "two": floats(2.0),
    "line": np.full((2, 1, 5), 1),
    "one_place": np.full((2, 1, 1), 1),
    "other_line": np.full((2, 1, 5), 1) + np.array([0, 0, 1, 2, 0]),
    "twice": np.full((2, 2, 5), 1),
}
CHANNELS = KEPT.reshape(1, 4, 1, 1)
CHOSEN = {
    "chosen": CHANNELS[0] > 0.0,
    "taps": KERNELS["taps"],
    "of_chosen": floats(KERNELS["taps"] * CHANNELS),
    "of_others": floats(KERNELS["taps"] * (1.0 - CHANNELS)),
}
FIXED = "float[2,4,5] x"
TWICE_A_ROW = "p = Slice(x, first, second, first)  d = Mul(p, two)  "
WRITTEN = TWICE_A_ROW + "y = ScatterElements<axis = 1>(x, line, d)"
THROUGH = (
    Cut("m", "m", "linear", over=(("x", "x"),)),
    Cut("s", "s", "op"),
    Cut("y", "y", "op"),
)

MOVES = (
    Pair(
        "ScatterElements of values of different sizes",
        "m = Mul(x, kept)  n = MatMul(to_the_second, z)  y = Add(m, n)",
        "y = ScatterElements<axis = 1>(x, one_place, z)",
        inputs=f"{FIXED}, float[2,1,1] z",
        constants=PLACES,
        cuts=OF_X_AND_Z,
    ),
    Pair(
        "Where of values of different sizes",
        "c = Where(chosen, x, z)  y = Conv<pads = [1,1,1,1]>(c, taps)",
        "p = Conv<pads = [1,1,1,1]>(x, of_chosen)  q = Conv<pads = [1,1,1,1]>(z, of_others)"
        "  y = Add(p, q)",
        inputs=f"{OPEN}, float[N,4,A,1] z",
        constants=CHOSEN,
        cuts=OF_X_AND_Z,
    ),
    Pair(
        "elements are moved along several axes",
        "m = Gather<axis = 1>(x, turn)  s = Softmax<axis = 1>(m)  y = Flatten(s)",
        "m = Gather<axis = 1>(x, turned_grid)  s = Softmax<axis = 1>(m)  y = Flatten(s)",
        inputs=FIXED,
        constants=PLACES,
        cuts=THROUGH,
    ),
    Pair(
        "Slice along several axes, or told at run time",
        "y = Slice(x, first, third, first)",
        "y = Slice(x, starts, ends, axes)",
        inputs="float[N,4,M] x",
        constants=PLACES,
        cuts=OF_X,
    ),
    Pair(
        "what is there counts",
        WRITTEN,
        WRITTEN.replace("1>", '1, reduction = "max">'),
        inputs=FIXED,
        constants=PLACES,
        cuts=OF_X,
    ),
    Pair(
        "other indices",
        WRITTEN,
        WRITTEN.replace("line", "one_place"),
        inputs=FIXED,
        constants=PLACES,
        cuts=OF_X,
    ),
    Pair(
        "indices that differ along another axis",
        WRITTEN,
        WRITTEN.replace("line", "other_line"),
        inputs=FIXED,
        constants=PLACES,
        cuts=OF_X,
    ),
    Pair(
        "elements that are written twice",
        "d = Slice(x, second, third, first)  y = ScatterElements<axis = 1>(x, line, d)",
        "d = Slice(x, first, third, first)  y = ScatterElements<axis = 1>(x, twice, d)",
        inputs=FIXED,
        constants=PLACES,
        cuts=OF_X,
        why="which one is written last is left open",
    ),
)
