"""Never pass a wrong model: every seeded breakage of every net is caught."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from verification_mutations import MUTATIONS, breakages
from verification_nets import NETS

from bnfuse.verifying import Candidate, Derived, Verdict, verify

WRONG = [
    pytest.param(net, name, wrong, id=f"{net}-{name}")
    for net in ("cnn", "mlp", "text", "heads", "attention", "half")
    for name, _, wrong in breakages(net, seed=1)
]


def test_there_are_at_least_forty_kinds_over_several_nets() -> None:
    kinds = {param.values[1] for param in WRONG}
    assert len(kinds) >= 40
    assert kinds == set(MUTATIONS), "a mutation that no net has a place for tests nothing"


@pytest.mark.parametrize(("net", "name", "wrong"), WRONG)
def test_breakage_is_caught(net: str, name: str, wrong: onnx.ModelProto) -> None:
    result = verify(NETS[net](1), wrong, providers=["cpu"])
    assert result.verdict is Verdict.FAIL, name
    assert result.reason


def bias_names(model: onnx.ModelProto) -> list[str]:
    linear = {"Conv", "ConvTranspose", "Gemm"}
    return [node.input[2] for node in model.graph.node if node.op_type in linear]


@pytest.mark.parametrize("layer", [0, 40, 99])
def test_a_bias_that_rounding_hides_is_caught_by_its_derivation(layer: int) -> None:
    # A hundred layers enlarge rounding until one bias off by 1e-5 is lost in it.
    original, folded = NETS["deep"](0), NETS["deep"](0, "float64")
    name = bias_names(folded)[layer]
    tensor = next(item for item in folded.graph.initializer if item.name == name)
    exact = numpy_helper.to_array(tensor).astype(np.float64)
    derived = [Derived(name, exact, rule="absorb backward", node="normed")]
    assert verify(original, Candidate(folded, derived), providers=["cpu"]).verdict is Verdict.PASS

    wrong = exact.astype(np.float32)
    wrong[3] += 1e-5 * np.abs(wrong).max()
    tensor.CopyFrom(numpy_helper.from_array(wrong, name))
    result = verify(original, Candidate(folded, derived), providers=["cpu"])
    assert result.verdict is Verdict.FAIL
    assert name in result.reason
    assert result.constants[0].index == (3,)
