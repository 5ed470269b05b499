"""Providers: which are used, which are missing, and that a silent fallback is never a pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.capi import onnxruntime_inference_collection

from bnfuse.errors import UsageError
from bnfuse.verifying import Verdict, verify
from bnfuse.verifying.runtime import (
    providers,
)
from bnfuse.verifying.runtime import (
    sessions as runtime,
)
from bnfuse.verifying.runtime.providers import Row, resolve
from bnfuse.verifying.runtime.sessions import RunError, Session, unproven

CUDA = "CUDAExecutionProvider"
MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 1] x) => (float[N, 1] y) '
    "<float[1, 1] w = {2}> { y = MatMul(x, w) }"
)


class FakeSession:
    """A session that says what it is told to."""

    used: tuple[str, ...] = (CUDA, "CPUExecutionProvider")
    failure = ""

    def __init__(self, model: Any, row: Row) -> None:
        del model, row
        if self.failure:
            raise RunError(self.failure)
        self.providers = list(self.used)


def pretend(monkeypatch: pytest.MonkeyPatch, session: type) -> None:
    monkeypatch.setattr(runtime, "available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(runtime, "Session", session)
    monkeypatch.setattr(providers, "_preload", lambda: None)


def test_auto_skips_what_this_build_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "available_providers", lambda: ["CPUExecutionProvider"])
    found = resolve(["auto"])
    assert {row.provider for row in found.rows} == {"cpu"}
    assert not found.missing
    assert "onnxruntime-gpu" in found.skipped[0]


def test_auto_uses_cuda_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, FakeSession)
    found = resolve(["auto"])
    rows = [(row.provider, row.optimization, row.mode) for row in found.rows]
    assert rows == [
        ("cpu", "disabled", "strict"),
        ("cpu", "all", "strict"),
        ("cuda", "disabled", "strict"),
        ("cuda", "all", "strict"),
        ("cuda", "all", "as shipped"),
    ]
    strict = found.rows[2]
    assert strict.options["use_tf32"] == "0"
    assert strict.options["cudnn_conv_algo_search"] == "DEFAULT"
    assert not found.rows[4].options


def test_a_silent_fallback_is_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fallen(FakeSession):
        used = ("CPUExecutionProvider",)

    pretend(monkeypatch, Fallen)
    found = resolve(["cuda"])
    assert not found.rows
    assert "fell back silently" in found.missing[0].reason
    assert "CUDA" in found.missing[0].reason


def test_a_provider_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeSession):
        failure = "libcudnn.so.9: cannot open shared object file"

    pretend(monkeypatch, Broken)
    assert "libcudnn" in resolve(["auto"]).skipped[0]


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino", "RknpuExecutionProvider"])
def test_a_provider_by_name_that_is_not_there_is_inconclusive(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "available_providers", lambda: ["CPUExecutionProvider"])
    result = verify(MODEL, MODEL, providers=["cpu", name])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.verdict.exit_code == 3
    assert "has no" in result.reason
    assert {row.verdict for row in result.rows if row.provider == "cpu"} == {Verdict.PASS}


def test_what_is_no_provider_anywhere_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean cuda"):
        verify(MODEL, MODEL, providers=["cpu", "cudaa"])


def test_full_names_are_known() -> None:
    assert {row.provider for row in resolve(["CPUExecutionProvider"]).rows} == {"cpu"}


class Placed:
    """What :func:`unproven` asks of a session."""

    def __init__(self, used: list[str], counts: dict[tuple[str, str], int]) -> None:
        self.providers = used
        self._counts = Counter(counts)

    def placement(self) -> Counter[tuple[str, str]]:
        return self._counts


ROW = Row("cuda", CUDA, "all")


@pytest.mark.parametrize(
    ("used", "counts", "words"),
    [
        ([CUDA], {("Conv", CUDA): 3, ("Shape", "CPUExecutionProvider"): 2}, ""),
        (
            [CUDA],
            {("Conv", CUDA): 3, ("MatMul", "CPUExecutionProvider"): 1},
            "ran elsewhere: MatMul on CPUExecutionProvider",
        ),
        ([CUDA], {("FusedConv", "CPUExecutionProvider"): 1}, "FusedConv"),
        (["CPUExecutionProvider"], {("Conv", "CPUExecutionProvider"): 3}, "fell back silently"),
        ([CUDA], {}, "does not say where"),
    ],
)
def test_placement_is_proven(used: list[str], counts: Any, words: str) -> None:
    reason, _ = unproven(Placed(used, counts), ROW)  # type: ignore[arg-type]
    assert (words in reason) if words else not reason


def test_a_row_whose_placement_is_unproven_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def doubt(session: Any, row: Row) -> tuple[str, str]:
        del session, row
        return "ran elsewhere", "Conv: 1 cpu"

    monkeypatch.setattr("bnfuse.verifying.comparing.contest.unproven", doubt)
    result = verify(MODEL, MODEL, providers=["cpu"])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.rows[0].placement == "Conv: 1 cpu"


def test_a_row_as_shipped_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        Row("cpu", "CPUExecutionProvider", "all"),
        Row("cpu", "CPUExecutionProvider", "all", mode="as shipped"),
    )

    def doubt(session: Any, row: Row) -> tuple[str, str]:
        del session
        return ("doubt", "") if row.mode == "as shipped" else ("", "")

    monkeypatch.setattr(providers, "_rows", {"cpu": rows}.get)
    monkeypatch.setattr("bnfuse.verifying.comparing.contest.unproven", doubt)
    result = verify(MODEL, MODEL, providers=["cpu"])
    assert result.verdict is Verdict.PASS
    assert result.rows[1].verdict is Verdict.INCONCLUSIVE
    assert not result.rows[1].decides


def test_a_row_as_shipped_is_held_to_the_bound_of_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(
        Row("cpu", "CPUExecutionProvider", "all", mode=mode) for mode in ("strict", "as shipped")
    )
    monkeypatch.setattr(providers, "_rows", {"cpu": rows}.get)
    wrong = onnx.ModelProto()
    wrong.CopyFrom(MODEL)
    wrong.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.array([[2.0006]], np.float32), "w")
    )
    strict, shipped = verify(MODEL, wrong, providers=["cpu"]).rows
    assert strict.verdict is Verdict.FAIL
    assert shipped.verdict is Verdict.PASS


def test_placement_is_read_from_the_profile_of_older_releases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(
        onnxruntime_inference_collection.Session, "get_provider_graph_assignment_info"
    )
    # Any provider but the CPU's own name is recorded; the session itself runs on the CPU.
    session = Session(MODEL.SerializeToString(), Row("azure", "AzureExecutionProvider", "disabled"))
    session.run({"x": np.ones((2, 1), np.float32)})
    assert session.placement()["MatMul", "CPUExecutionProvider"] >= 1


@pytest.mark.cuda
def test_cuda_runs_strict_and_as_shipped() -> None:
    absence = providers.explain_absence("cuda")
    if absence is not None:
        pytest.skip(absence)
    result = verify(MODEL, MODEL, providers=["cuda"])
    assert result.verdict is Verdict.PASS, result.reason
    assert [row.mode for row in result.rows] == ["strict", "strict", "as shipped"]
    assert all("cuda" in row.placement for row in result.rows)
