"""Where time or memory runs out, nobody is accused: what was not compared is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from verification_nets import NETS

from bnfuse.verifying import Verdict, Verification, verify
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.truth.sources import NoTruthError, OnnxTruth

HEAD = '<ir_version: 9, opset_import: ["": 20]> g (float[N, 4] x) => (float[N, 4] y) '
GREEDY = """{{
    n = Shape<start = 0, end = 1>(x)
    most = Constant<value = int64[1] {{{most}}}>()
    large = Greater(n, most)
    z = If(large) <
        then_branch = t () => (float[1] a) {{
            size = Constant<value = int64[1] {{4000000000000}}>()
            filled = ConstantOfShape(size)
            a = ReduceMax(filled)
        }},
        else_branch = e () => (float[1] b) {{ b = Constant<value = float[1] {{0.0}}>() }}
    >
    r = Relu(x)
    y = Add(r, z)
}}"""


def judged(most: int) -> Verification:
    original = onnx.parser.parse_model(HEAD + "{ y = Relu(x) }")
    candidate = onnx.parser.parse_model(HEAD + GREEDY.format(most=most))
    return verify(original, candidate, providers=["cpu"], proof="none")


def test_a_batch_that_does_not_fit_into_memory_is_left_out_and_named() -> None:
    result = judged(most=100)
    assert result.verdict is Verdict.PASS, result.reason
    (first, *_) = [text for text in result.warnings if "too little memory" in text]
    assert "optimisation disabled: not compared on" in first


def test_where_nothing_fits_nothing_is_proven() -> None:
    result = judged(most=0)
    assert result.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("message", "is_of_memory"),
    [
        ("Non-zero status code: Failed to allocate memory for requested buffer of size 12", True),
        ("CUDA failure 2: out of memory", True),
        ("std::bad_alloc", True),
        ("running Split node. Name:'out of memory' Status Message: Cannot split", False),
        ("Got invalid dimensions for input: x", False),
    ],
)
def test_an_error_of_the_machine_is_told_from_one_of_the_model(
    message: str, is_of_memory: bool
) -> None:
    assert RunError(message).is_of_memory is is_of_memory


def off(by: float) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A net, and the same with every output off by a number."""
    original = NETS["cnn"](0)
    candidate = NETS["cnn"](0)
    (output,) = candidate.graph.output
    for node in candidate.graph.node:
        node.output[:] = ["inner" if name == output.name else name for name in node.output]
    candidate.graph.initializer.append(onnx.numpy_helper.from_array(np.array(by, np.float32), "by"))
    candidate.graph.node.append(onnx.helper.make_node("Add", ["inner", "by"], [output.name]))
    return original, candidate


@pytest.mark.parametrize(
    ("by", "verdict"), [(1e-5, Verdict.INCONCLUSIVE), (1.0, Verdict.FAIL), (0.0, Verdict.PASS)]
)
def test_without_simulated_rounding_only_what_it_might_excuse_is_left_open(
    by: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = OnnxTruth.watched
    spent = "the budget of 1 s for truth is spent (--truth-budget)"

    def watched(self: OnnxTruth, *args: Any, jitter: Any = None, **named: Any) -> Any:
        if jitter is not None:
            raise NoTruthError(spent)
        return plain(self, *args, jitter=jitter, **named)

    monkeypatch.setattr(OnnxTruth, "watched", watched)
    result = verify(*off(by), providers=["cpu"], proof="none")
    assert result.verdict is verdict, result.reason
    if verdict is Verdict.INCONCLUSIVE:
        assert result.reason.endswith(f"was simulated: {spent}")


def test_with_it_such_a_candidate_fails() -> None:
    assert verify(*off(1e-5), providers=["cpu"], proof="none").verdict is Verdict.FAIL
