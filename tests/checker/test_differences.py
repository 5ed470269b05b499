"""Where one stored constant is another, and all else is proved, that constant is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.proving import Proved, prove

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3,8,8] x, int64[N] i) => (float[N,5] y)
{
  c = Conv(x, w1, b1)  r = Relu(c)  d = Conv(r, w2, b2)  s = Relu(d)
  p = GlobalAveragePool(s)  f = Flatten(p)  t = Gather(table, i)  a = Add(f, t)
  n = LayerNormalization(a, gamma, beta)  z = Sigmoid(n)  y = Gemm(z, w3, b3)
}
"""
SHAPES = {
    "w1": (6, 3, 3, 3),
    "b1": (6,),
    "w2": (4, 6, 1, 1),
    "b2": (4,),
    "table": (7, 4),
    "gamma": (4,),
    "beta": (4,),
    "w3": (4, 5),
    "b3": (5,),
}


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {n: rng.uniform(0.5, 2.0, s).astype(np.float32) for n, s in SHAPES.items()}


def model_of(numbers: dict[str, np.ndarray]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in numbers.items())
    return model


def judged(numbers: dict[str, np.ndarray], changed: dict[str, np.ndarray]) -> Proved:
    return prove(model_of(numbers), model_of({**numbers, **changed}))


@pytest.mark.parametrize("size", [2.0, 1e-2, 1e-4])
@pytest.mark.parametrize("name", SHAPES)
def test_the_constant_that_is_another_is_named_with_both_numbers(
    name: str, size: float, numbers: dict[str, np.ndarray]
) -> None:
    array = numbers[name].copy()
    index = tuple(extent - 1 for extent in array.shape)
    array[index] += size
    found = judged(numbers, {name: array}).difference
    assert found is not None
    assert (found.tensor, found.index) == (name, index)
    assert found.original == pytest.approx(numbers[name][index], rel=1e-6)
    assert found.candidate == pytest.approx(array[index], rel=1e-6)
    assert name in str(found)


def test_a_channel_is_named_in_the_value_that_it_makes_wrong(
    numbers: dict[str, np.ndarray],
) -> None:
    array = numbers["w2"].copy()
    array[3, 1] *= 2.0
    found = judged(numbers, {"w2": array}).difference
    assert found is not None
    assert (found.value, found.channel) == ("d", 3)


def test_channels_in_another_order_are_no_difference(numbers: dict[str, np.ndarray]) -> None:
    order = [1, 0, 2, 3, 4, 5]
    changed = {"w1": numbers["w1"][order], "b1": numbers["b1"][order]}
    changed["w2"] = numbers["w2"][:, order]
    found = judged(numbers, changed)
    assert found.difference is None


def test_two_constants_that_are_others_are_no_proof_and_not_one_difference(
    numbers: dict[str, np.ndarray],
) -> None:
    changed = {name: numbers[name].copy() for name in ("w1", "w3")}
    for array in changed.values():
        array.flat[0] *= 3.0
    found = judged(numbers, changed)
    assert (found.proved, found.difference) == (False, None)


def test_what_some_way_of_rounding_could_explain_is_no_difference(
    numbers: dict[str, np.ndarray],
) -> None:
    array = numbers["w1"].copy()
    array[2, 1, 0, 0] *= 1.0 + 30 * 2.0**-24
    found = judged(numbers, {"w1": array})
    assert (found.proved, found.difference) == (False, None)


def test_the_command_says_it_and_leaves_with_1(
    numbers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    array = numbers["b2"].copy()
    array[1] = 9.5
    onnx.save(model_of(numbers), paths[0])
    onnx.save(model_of({**numbers, "b2": array}), paths[1])
    command = [sys.executable, "-m", "bnfuse", "prove", *paths]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout.startswith("DIFFERENT b2[1], channel 1 of 'd': the original has ")
    assert "the candidate 9.5," in run.stdout
