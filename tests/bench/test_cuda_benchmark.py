"""The GPU benchmark runs: on the CPU here, so that it is known to where there is a GPU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import cuda
from bnfuse.verifying.runtime import (
    providers,
)
from bnfuse.verifying.runtime import (
    sessions as runtime,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_it_measures_parity_and_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--net", "chain", "--batch", "2", "--rounds", "6"]
    assert cuda.main(["--provider", "cpu", *small, "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "cpu.json").read_text())
    assert {"environment", "provider", "device", "nets"} == set(result)
    assert [entry["precision"] for entry in result["nets"]] == ["float32", "float16"]
    for entry in result["nets"]:
        assert entry["parity"]["verdict"] == "PASS", entry["parity"]["reason"]
        assert [row["optimization"] for row in entry["parity"]["rows"]] == ["disabled", "all"]
        (speed,) = entry["speed"]
        assert set(speed["milliseconds"]) == {"unfolded", "folded", "no norm"}
        assert set(speed["to_no_norm"]) == {"unfolded", "folded"}
        assert speed["batch"] == 2
        assert not speed["cuda_graph"]
    assert "the fold is" in capsys.readouterr().out


def test_a_provider_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "available_providers", lambda: ["CPUExecutionProvider"])
    assert cuda.main(["--out", str(tmp_path)]) == 3
    assert "onnxruntime-gpu" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.cuda
def test_it_runs_on_a_gpu(tmp_path: Path) -> None:
    absence = providers.explain_absence("cuda")
    if absence is not None:
        pytest.skip(absence)
    small = ["--net", "chain", "--batch", "2", "--rounds", "6", "--out", str(tmp_path)]
    assert cuda.main(small) == 0
    result = json.loads((tmp_path / "cuda.json").read_text())
    for entry in result["nets"]:
        rows = [(row["optimization"], row["mode"]) for row in entry["parity"]["rows"]]
        assert rows == [("disabled", "strict"), ("all", "strict"), ("all", "as shipped")]
        assert all("cuda" in row["placement"] for row in entry["parity"]["rows"])
        assert [speed["cuda_graph"] for speed in entry["speed"]] == [False, True]
