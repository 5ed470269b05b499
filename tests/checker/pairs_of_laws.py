"""Pairs that one premise of the laws of ops tells apart."""

from __future__ import annotations

import numpy as np
from premises import Pair

SHIFT = {"c": np.array([1.0, -2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)}
MIXED = {"s": np.array([1.0, -2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)}

LAWS = (
    Pair(
        "a shift",
        "y = Relu(x)",
        "m = Add(x, c)  r = Relu(m)  y = Sub(r, c)",
        constants=SHIFT,
    ),
    Pair(
        "a scale that is not positive",
        "y = Relu(x)",
        "m = Mul(x, s)  r = Relu(m)  y = Div(r, s)",
        constants=MIXED,
    ),
)
