"""Views, turns and recurrences: what is proved of them, and each premise violated alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.checker.check import Cut, Proving
from bnfuse.checker.graph import Graph
from bnfuse.checker.nodes import NotProved
from bnfuse.checker.relations import IDENTITY
from bnfuse.proving import Proved, prove

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,4,6] x) => (float{out} y) {{ {body} }}
"""


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


CONSTANTS = {
    "flat": ints(-1, 24),
    "two": ints(0, 2, 2, 6),
    "swapped": ints(-1, 6, 4),
    "first": ints(1),
    "second": ints(2),
    "both": ints(1, 2),
    "row": np.linspace(1, 2, 6, dtype=np.float32),
    "column": np.linspace(1, 2, 6, dtype=np.float32).reshape(6, 1),
    "other": np.linspace(1, 3, 6, dtype=np.float32).reshape(6, 1),
    "block": np.ones((1, 4, 6), np.float32),
    "turned": np.ones((1, 6, 4), np.float32),
    "filled": np.full((1, 6, 4), 2, np.float32),
}


def model(body: str, out: str = "[N,4,6]") -> onnx.ModelProto:
    made = onnx.parser.parse_model(TEXT.format(body=body, out=out))
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in CONSTANTS.items())
    return made


def judged(a: str, b: str, out: str) -> Proved:
    return prove(model(a, out), model(b, out))


T = "<perm = [0,2,1]>"
SAME = {
    "a view by way of another": (
        "y = Reshape(x, flat)",
        "m = Reshape(x, two)  y = Reshape(m, flat)",
        "[N,24]",
    ),
    "views that undo one another": (
        "y = Relu(x)",
        "m = Unsqueeze(x, first)  n = Squeeze(m, first)  y = Relu(n)",
        "[N,4,6]",
    ),
    "a turn before and after": (
        "y = Relu(x)",
        f"m = Transpose{T}(x)  n = Relu(m)  y = Transpose{T}(n)",
        "[N,4,6]",
    ),
    "a turn behind a mean in place of before it": (
        f"m = Transpose{T}(x)  y = ReduceMean(m, first)",
        f"n = ReduceMean(x, second)  y = Transpose{T}(n)",
        "[N,1,4]",
    ),
    "axes that are gone with the turn": (
        f"m = Transpose{T}(x)  y = ReduceMean<keepdims = 0>(m, first)",
        "y = ReduceMean<keepdims = 0>(x, second)",
        "[N,4]",
    ),
    "a constant that is turned as well": (
        f"m = Mul(x, row)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Mul(n, column)",
        "[N,6,4]",
    ),
    "a constant beside it that is turned as well": (
        f"m = Concat<axis = 2>(x, block)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Concat<axis = 1>(n, turned)",
        "[N,12,4]",
    ),
    "a softmax along the turned axis": (
        f"m = Softmax<axis = -1>(x)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Softmax<axis = 1>(n)",
        "[N,6,4]",
    ),
}
DIFFERENT = {
    "a view that is no turn": (f"y = Transpose{T}(x)", "y = Reshape(x, swapped)", "[N,6,4]"),
    "a turn that is not undone": (
        f"m = Relu(x)  y = Transpose{T}(m)",
        "m = Relu(x)  y = Reshape(m, swapped)",
        "[N,6,4]",
    ),
    "a mean over another axis": (
        f"m = Transpose{T}(x)  y = ReduceMean(m, first)",
        f"n = ReduceMean(x, first)  y = Transpose{T}(n)",
        None,
    ),
    "a constant that was not turned": (
        f"m = Mul(x, row)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Mul(n, other)",
        "[N,6,4]",
    ),
    "another constant beside it": (
        f"m = Concat<axis = 2>(x, block)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Concat<axis = 1>(n, filled)",
        "[N,12,4]",
    ),
    "a softmax along another axis": (
        f"m = Softmax<axis = -1>(x)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = Softmax<axis = 2>(n)",
        "[N,6,4]",
    ),
    "another slope": (
        f"m = LeakyRelu<alpha = 0.1>(x)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = LeakyRelu<alpha = 0.2>(n)",
        "[N,6,4]",
    ),
    "an op that knows its axes": (
        f"m = CumSum(x, two)  y = Transpose{T}(m)",
        f"n = Transpose{T}(x)  y = CumSum(n, two)",
        "[N,6,4]",
    ),
    "operands that are turned in different ways": (
        "m = MatMul(x, x)  y = Relu(m)",
        f"t = Transpose{T}(x)  m = MatMul(x, t)  y = Relu(m)",
        None,
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_another_layout_is_proved(kind: str) -> None:
    found = judged(*SAME[kind])
    assert found.proved, found.reason


@pytest.mark.parametrize("kind", DIFFERENT)
def test_a_premise_that_does_not_hold_is_no_proof(kind: str) -> None:
    a, b, out = DIFFERENT[kind]
    assert not judged(a, b, out or "[N,A,B]").proved


TURN = replace(IDENTITY, order=(0, 2, 1))
FORGED = [
    Cut("y", "y", "view", IDENTITY, (("x", "x"),)),
    Cut("y", "y", "linear", IDENTITY, (("x", "x"),)),
    Cut("y", "y", "linear"),
    Cut("y", "y", "linear", IDENTITY, (("y", "y"),)),
    Cut("y", "y", "turned"),
    Cut("x", "x", "linear", TURN, (("x", "x"),)),
    Cut("x", "x", "linear", replace(IDENTITY, order=(0, 1)), (("x", "x"),)),
    Cut("x", "x", "linear", replace(IDENTITY, order=(0, 1, 1)), (("x", "x"),)),
]


@pytest.mark.parametrize("cut", FORGED, ids=lambda cut: f"{cut.law} {cut.over}")
def test_a_cut_that_claims_too_much_is_refused(cut: Cut) -> None:
    graphs = Graph.of(model("y = Relu(x)")), Graph.of(model("y = Neg(x)"))
    proving = Proving(*graphs)
    proving.begin()
    with pytest.raises(NotProved):
        proving.admit(cut)


def test_the_shape_that_an_output_is_said_to_have_shows_nothing() -> None:
    a = model("y = Unsqueeze(x, first)", "[N,1,4,6]")
    assert not prove(a, model("y = Identity(x)", "[N,1,4,6]")).proved


RECURRENT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[5,N,3] x) => (float[5,1,N,4] y)
{ s = Mul(x, scale)  z = Add(s, shift)  y, h = GRU<hidden_size = 4>(z, w, r, b) }
"""


def recurrent(**changed: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A GRU behind an affine, and one that took the affine; the second with changes."""
    rng = np.random.default_rng(0)
    given = {
        "scale": np.array([0.5, 2.0, -1.5]),
        "shift": np.array([1.0, -2.0, 0.25]),
        "w": rng.standard_normal((1, 12, 3)),
        "r": rng.standard_normal((1, 12, 4)),
        "b": rng.standard_normal((1, 24)),
    }
    taken = dict(given)
    taken["w"] = given["w"] * given["scale"]
    taken["b"] = given["b"].copy()
    taken["b"][:, :12] += given["w"] @ given["shift"]
    for name, index in changed.items():
        taken[name] = taken[name].copy()
        taken[name][index] += 0.01
    plain = RECURRENT.replace("s = Mul(x, scale)  z = Add(s, shift)", "").replace("(z,", "(x,")
    models = []
    for text, numbers in ((RECURRENT, given), (plain, taken)):
        made = onnx.parser.parse_model(text)
        tensors = ((n, np.asarray(a, np.float32)) for n, a in numbers.items())
        made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in tensors)
        models.append(made)
    return models[0], models[1]


def test_a_recurrence_that_took_an_affine_is_proved() -> None:
    found = prove(*recurrent())
    assert found.proved, found.reason
    assert 0.0 < found.units <= 2.0


@pytest.mark.parametrize(
    ("name", "index"), [("w", (0, 1, 1)), ("r", (0, 1, 1)), ("b", (0, 1)), ("b", (0, 20))]
)
def test_a_recurrence_with_another_number_is_not(name: str, index: tuple[int, ...]) -> None:
    assert not prove(*recurrent(**{name: index})).proved
