"""The recipes for Olive and optimum, in docs/exporters.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx_ir
import pytest
import torch
from torch import nn

import bnfuse

PAGE = (Path(__file__).parents[2] / "docs/exporters.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    nn.init.uniform_(made[1].running_mean)
    return made


@pytest.fixture(scope="module")
def unfolded(net):
    return bnfuse.export(net, torch.randn(2, 3, 16, 16)).model


def test_the_pass_for_olive_folds_and_its_page_shows_what_it_prints(unfolded, tmp_path):
    pytest.importorskip("olive", reason="the pass is tested where the extra recipes is installed")
    for name in ("olive_bnfuse.py", "run_olive.py"):
        (tmp_path / name).write_text(FILES[name])
    onnx_ir.save(unfolded, tmp_path / "model.onnx")
    ran = subprocess.run(
        [sys.executable, "run_olive.py"],
        cwd=tmp_path,
        env={**os.environ, "OLIVE_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert f"run_olive.py\n{ran.stdout.splitlines()[-1]}\n" in PAGE


def test_the_validator_for_optimum_tells_right_from_wrong(net, unfolded, tmp_path):
    found = {}
    exec(FILES["optimum_parity.py"], found)
    # What OnnxConfig has: an example by the names of the inputs.
    example = {"pixel_values": torch.randn(2, 3, 16, 16)}
    config = SimpleNamespace(generate_dummy_inputs=lambda **_: example)
    onnx_ir.save(unfolded, tmp_path / "model.onnx")
    validate = found["validate_model_outputs"]
    result = validate(config, net, tmp_path / "model.onnx", ["logits"], atol=1e-5)
    assert result.verdict.name == "PASS"
    other = nn.Sequential(net[0], nn.BatchNorm2d(8), nn.ReLU()).eval()
    with pytest.raises(AssertionError, match="FAIL"):
        validate(config, other, tmp_path / "model.onnx", ["logits"])
