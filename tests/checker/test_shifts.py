"""What a shift is measured against, once it was found as the difference of two constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import numpy_helper
from test_moves import ROW, model

from bnfuse.checker.check import Cut, Proving
from bnfuse.checker.graph import Graph
from bnfuse.checker.nodes import NotProved
from bnfuse.checker.relations import Relation

BIG = np.array([1000.0, -900.0, 800.0, 700.0], np.float32).reshape(4, 1)


@pytest.mark.parametrize(("beyond", "proved"), [(0.0, True), (12.0, True), (40.0, False)])
def test_a_shift_is_measured_against_the_constants_that_it_is_of(
    beyond: float, proved: bool
) -> None:
    """Small beside both constants, it has the rounding of the larger."""
    small = np.array([1e-3, 2e-3, -3e-3, 4e-3], np.float32).reshape(4, 1)
    stored = BIG + small
    stored[1] += np.float32(beyond * 2.0**-24 * 900.0)
    sides = []
    for body, constant in (
        ("a = Add(x, n)  s = Add(a, small)  y = Gather<axis = 1>(s, turn)", BIG),
        ("a = Add(x, n)  y = Gather<axis = 1>(a, turn)", stored),
    ):
        made = model(body)
        for name, array in (("n", constant), ("small", small)):
            made.graph.initializer.append(numpy_helper.from_array(array, name))
        sides.append(Graph.of(made))
    proving = Proving(*sides)
    proving.begin()
    shift = Relation.of(1, np.ones(4), (stored - BIG.astype(np.float64)).reshape(-1))
    proving.admit(Cut("a", "a", "linear", shift, (("x", "x"),)))
    last = Cut("y", "y", "linear", over=(("a", "a"),))
    if proved:
        proving.admit(last)
    else:
        with pytest.raises(NotProved, match="rounding units"):
            proving.admit(last)


def test_a_shift_of_a_value_whose_axes_are_moved_is_measured_by_itself() -> None:
    moved = "  a = Transpose<perm = [0,2,1]>(m)  y = Neg(a)"
    proving = Proving(*(Graph.of(model(f"m = {m}" + moved)) for m in ("Neg(x)", "Sub(row, x)")))
    proving.begin()
    shift = Relation.of(2, np.ones(4), ROW.astype(np.float64))
    proving.admit(Cut("a", "a", "linear", shift, (("x", "x"),)))
    np.testing.assert_array_equal(proving.known["a", "a"].magnitude, np.abs(ROW))


@pytest.mark.parametrize(("beyond", "proved"), [(0.0, True), (12.0, True), (40.0, False)])
def test_the_axes_of_the_value_may_be_in_another_order(beyond: float, proved: bool) -> None:
    """The small difference of two large constants is taken back on the other side."""
    small = np.array([1e-3, 2e-3, -3e-3, 4e-3], np.float32).reshape(4, 1)
    near = BIG + small
    taken = (near.astype(np.float64) - BIG).astype(np.float32)
    taken[1] += np.float32(beyond * 2.0**-24 * 900.0)
    sides = []
    for body, constants in (
        (
            "t = Transpose<perm = [0,2,1]>(x)  a = Add(t, n)  y = Transpose<perm = [0,2,1]>(a)",
            {"n": BIG.reshape(-1)},
        ),
        ("a = Add(x, n)  y = Sub(a, taken)", {"n": near, "taken": taken}),
    ):
        made = model(body)
        made.graph.initializer.extend(numpy_helper.from_array(c, n) for n, c in constants.items())
        sides.append(Graph.of(made))
    proving = Proving(*sides)
    proving.begin()
    shift = Relation.of(2, np.ones(4), (near - BIG.astype(np.float64)).reshape(-1))
    proving.admit(Cut("a", "a", "linear", replace(shift, order=(0, 2, 1)), (("x", "x"),)))
    last = Cut("y", "y", "linear", over=(("a", "a"),))
    if proved:
        proving.admit(last)
    else:
        with pytest.raises(NotProved, match="rounding units"):
            proving.admit(last)
