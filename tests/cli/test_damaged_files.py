"""Damaged files through the command line: exit code 2, no traceback, nothing else touched."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from bnfuse.cli.main import main


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_off_file_leaves_with_2_and_touches_nothing(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "model.pt", tmp_path / "model.onnx"
    torch.save(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: random.Random(seed).randrange(len(whole) - 1)])
    output.write_bytes(b"what was there before")
    with pytest.raises(SystemExit) as left:
        main(["fold", str(path)])
    captured = capsys.readouterr()
    assert left.value.code == 2
    assert "Traceback" not in captured.err
    assert "error:" in captured.err
    assert "bnfuse met" not in captured.err
    assert output.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.pt"]
