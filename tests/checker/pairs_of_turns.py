"""Pairs that one premise of values with their axes in another order tells apart."""

from __future__ import annotations

import numpy as np
from pairs_of_cuts import linear, turning
from premises import Pair

from bnfuse.checker.check import Cut

TURN, BACK = "t = Transpose<perm = [0,2,1]>(x)", "y = Transpose<perm = [0,2,1]>(s)"
BOTH = "float[N,4,4] x, float[N,4,4] z"
NUMBERS = {
    "row": np.array([1.0, -2.0, 0.5, 3.0], np.float32),
    "first": np.array(1),
}
TURNED = linear("x", "t", "x", turning(0, 2, 1))
CUTS = (TURNED, Cut("y", "s", "turned"), linear("y", "y", "y:s"))


def turned(reason: str, op: str, other: str, **more: object) -> Pair:
    """An op on ``x``, and another one on ``t``, which is ``x`` turned; turned back."""
    given = {"inputs": "float[N,4,4] x", "constants": NUMBERS, "cuts": CUTS, **more}
    return Pair(reason, f"y = {op}", f"{TURN}  s = {other}  {BACK}", **given)  # type: ignore[arg-type]


TURNS: tuple[Pair, ...] = (
    turned("Sin and Cos are different ops", "Sin(x)", "Cos(t)"),
    turned("Sum has other inputs", "Sum(x)", "Sum(t, x)"),
    turned("operands that are not turned in one way", "Add(x, z)", "Add(t, t)", inputs=BOTH),
    Pair(
        "operands that are not turned in one way",
        "y = Add(x, z)",
        "t = Transpose<perm = [1,2,0]>(x)  u = Transpose<perm = [2,0,1]>(z)  s = Add(t, u)"
        "  y = Transpose<perm = [1,2,0]>(s)",
        inputs="float[4,4,4] x, float[4,4,4] z",
        cuts=(
            linear("x", "t", "x", turning(1, 2, 0)),
            linear("z", "u", "z", turning(2, 0, 1)),
            Cut("y", "s", "turned"),
            linear("y", "y", "y:s"),
        ),
    ),
    turned("no law turns CumSum", "CumSum(x, first)", "CumSum(t, first)"),
    turned("alpha of LeakyRelu differs", "LeakyRelu<alpha = 0.1>(x)", "LeakyRelu<alpha = 2>(t)"),
    turned("a constant that was not turned with the values", "Add(x, row)", "Add(t, row)"),
    turned(
        "another meaning of the axis",
        "Softmax<axis = 1>(x)",
        "Softmax<axis = 2>(t)",
        opset=11,
        why="before operator set 13 it is over all axes from that one on",
    ),
    turned("another axis", "Softmax<axis = 1>(x)", "Softmax<axis = 1>(t)"),
)
