"""Where the runtime computes the original itself wrongly, the verdict says so, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.verifying import Verdict, Verification, verify

# ONNX Runtime 1.31 folds a norm into a MatMul before it though a Reshape moves the channels.
HEAD = '<ir_version: 9, opset_import: ["": 17]> g (float[N, 4] x) => (float[M, 4, 4] y) '
NORM = "a = MatMul(x, w) b = Reshape(a, s) y = BatchNormalization(b, g, h, m, v)"
SPELT = "a = MatMul(x, w) b = Reshape(a, s) c = Mul(b, k) y = Add(c, t)"


def model(body: str, change: float = 0.0) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    found = onnx.parser.parse_model(f"{HEAD} {{ {body} }}")
    names = {"g": 1.0, "h": 0.0, "m": 0.0, "v": 2.0}
    norm = {name: rng.uniform(0.2, 1, 4).astype(np.float32) + at for name, at in names.items()}
    scale = norm["g"].astype(np.float64) / np.sqrt(norm["v"] + np.float64(1e-5))
    shift = norm["h"] - norm["m"] * scale + change
    tensors: dict[str, Any] = {
        **norm,
        "w": rng.standard_normal((4, 4)).astype(np.float32),
        "s": np.array([-1, 4, 4]),
        "k": scale.astype(np.float32).reshape(4, 1),
        "t": shift.astype(np.float32).reshape(4, 1),
    }
    used = {name for node in found.graph.node for name in node.input}
    found.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in tensors.items() if name in used
    )
    return found


def judge(one: onnx.ModelProto, two: onnx.ModelProto) -> Verification:
    # The rows of the batch have to be a multiple of what the Reshape makes of them.
    x = np.random.default_rng(1).standard_normal((16, 4)).astype(np.float32)
    return verify(one, two, {"x": x}, providers=["cpu"])


def verdicts(result: Verification) -> list[str]:
    return [f"{row.optimization} {row.verdict.value}" for row in result.rows]


def test_a_candidate_that_the_runtime_computes_rightly_passes() -> None:
    result = judge(model(NORM), model(SPELT))
    assert verdicts(result) == ["disabled PASS", "all PASS"]
    (note,) = [text for text in result.warnings if "computes the original itself wrongly" in text]
    assert "optimisation all" in note
    assert "the candidate is right there" in note


def test_one_that_it_breaks_as_well_is_right_without_optimisation() -> None:
    result = judge(model(NORM), model(NORM))
    assert verdicts(result) == ["disabled PASS", "all INCONCLUSIVE"]
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "computes the original itself wrongly" in result.reason
    assert "and the candidate too" in result.reason


def test_one_that_only_the_candidate_breaks_fails() -> None:
    result = judge(model(SPELT), model(NORM))
    assert verdicts(result) == ["disabled PASS", "all FAIL"]


@pytest.mark.parametrize("change", [1e-5, 1e-2])
def test_a_wrong_candidate_fails_on_every_row(change: float) -> None:
    result = judge(model(NORM), model(SPELT, change))
    assert verdicts(result) == ["disabled FAIL", "all FAIL"]
