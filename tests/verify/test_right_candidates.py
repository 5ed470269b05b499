"""Never fail a right model: folds in either precision, and what other tools make of a net."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from verification_candidates import RIGHT
from verification_nets import NETS

from bnfuse.verifying import Verdict, verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("how", RIGHT)
@pytest.mark.parametrize("net", NETS)
def test_right_candidate_passes(net: str, how: str, seed: int, tmp_path: Path) -> None:
    if how in ("onnxsim", "onnxslim") and importlib.util.find_spec(how) is None:
        pytest.skip(f"{how} is not installed; to verify needs neither")
    if net == "deep" and seed != 11:
        seed = 3
    result = verify(NETS[net](seed), RIGHT[how](net, seed, tmp_path), providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason
    assert all(row.outputs for row in result.rows)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_is_itself(seed: int) -> None:
    model = NETS["heads"](seed)
    result = verify(model, model, providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS
    assert all(output.usage <= 1 for row in result.rows for output in row.outputs)


def test_a_channel_that_a_relu_kills_may_be_alive_by_rounding() -> None:
    # More than half of the channels are zero on the zero input; one more hangs on rounding.
    shifts = np.array([-1.0, -2.0, -0.5, -3.0, 0.1, 0.2, 0.3, 0.0], np.float32)

    def model(body: str) -> onnx.ModelProto:
        values = ", ".join(str(value) for value in shifts)
        return onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 17]> g (float[N, 8] x) => (float[N, 8] y) '
            f"<float[8] s = {{{values}}}, float[1] c = {{0.3}}, float[1] d = {{1e-9}}> {{ {body} }}"
        )

    plain = model("a = Add(x, c) b = Sub(a, c) e = Add(b, s) y = Relu(e)")
    other = model("e = Add(x, s) f = Add(e, d) y = Relu(f)")
    assert verify(plain, other, providers=["cpu"]).verdict is Verdict.PASS
