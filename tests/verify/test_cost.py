"""What a verification runs: nothing twice that one run tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper
from verification_nets import NETS

from bnfuse.verifying import Verdict, Verification, verify
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.double import DoubleEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Verification, int, int]]:
    """Return what verifies and tells how many inferences and float64 runs that took."""
    runs = {"inference": 0, "truth": 0}

    def counting(kind: type, name: str, of: str) -> None:
        plain = getattr(kind, name)

        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            runs[of] += 1
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, run)

    counting(Session, "run", "inference")
    counting(DoubleEvaluator, "run", "truth")

    def judge(*args: Any, **kwargs: Any) -> tuple[Verification, int, int]:
        runs.update(inference=0, truth=0)
        return verify(*args, providers=["cpu"], **kwargs), runs["inference"], runs["truth"]

    return judge


@pytest.mark.parametrize("net", ["cnn", "mlp", "half"])
def test_each_sample_is_run_once_by_each_session(net: str, counted: Any) -> None:
    result, inferences, truths = counted(NETS[net](3), NETS[net](3, "float64"))
    assert result.verdict is Verdict.PASS
    samples = len(result.samples)
    # Both models on both rows, and once more to see whether the original is steady.
    assert inferences == 4 * samples + 1
    assert truths == samples
    assert inferences <= 40


def _nearly_right() -> tuple[Any, Any]:
    original, wrong = NETS["mlp"](7), NETS["mlp"](7, "float64")
    last = next(n.input[2] for n in reversed(wrong.graph.node) if n.op_type == "Gemm")
    tensor = next(item for item in wrong.graph.initializer if item.name == last)
    values = numpy_helper.to_array(tensor).copy()
    values[0] += 1e-3 * np.abs(values).max()
    tensor.CopyFrom(numpy_helper.from_array(values, last))
    return original, wrong


def test_a_near_miss_runs_only_what_is_in_doubt_again(counted: Any) -> None:
    original, wrong = _nearly_right()
    result, inferences, truths = counted(original, wrong)
    draws = truths - len(result.samples)
    assert result.verdict is Verdict.FAIL
    assert any("simulated runs" in text for text in result.warnings)
    assert inferences == 4 * len(result.samples) + 1
    assert draws <= 2 * len(result.samples)


def test_a_session_is_opened_once_a_row(counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    plain = Session.__init__

    def opening(self: Session, model: Any, row: Any) -> None:
        opened.append(row)
        plain(self, model, row)

    monkeypatch.setattr(Session, "__init__", opening)
    counted(NETS["cnn"](3), NETS["cnn"](3, "float64"))
    assert len(opened) == 2 * len(CPU_ROWS)


def test_what_is_run_is_told_as_it_is() -> None:
    told: list[str] = []
    original, wrong = _nearly_right()
    verify(
        original,
        wrong,
        providers=["cpu"],
        doing=told.append,
        reached=lambda done, total: told.append(f"{done} of {total}"),
    )
    begun = [text for text in told if " of " not in text]
    assert begun[:2] == ["finding sizes that the original takes", "comparing samples"]
    assert begun[-1].startswith("simulating rounding on ")
    assert told[2:5] == ["0 of 7", "1 of 7", "2 of 7"]
