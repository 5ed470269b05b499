"""The command line, within this process and as one of its own, and small models to give it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import Net
from processes import run

from bnfuse.cli.main import main


@dataclass
class Ran:
    """How a command ended within this process."""

    code: int
    out: str
    err: str


@pytest.fixture
def process(tmp_path: Path):
    """Run ``bnfuse`` in the test's folder."""
    return partial(run, tmp_path)


@pytest.fixture(name="bnfuse")
def within(capsys: pytest.CaptureFixture[str]):
    """Run ``bnfuse`` within this process, where torch is imported."""

    def typed(*args: object) -> Ran:
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, captured.out, captured.err)

    return typed


@pytest.fixture
def net_onnx(tmp_path: Path) -> Path:
    """A Conv, a hand-written norm and a Relu."""
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
    onnx.save(net.model(net.op("Relu", net.norm(conv, 4, 2))), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def wrong_onnx(net_onnx: Path, tmp_path: Path) -> Path:
    """Another function than ``net_onnx``'s."""
    model = onnx.load(net_onnx)
    tensor = model.graph.initializer[0]
    value = onnx.numpy_helper.to_array(tensor) * np.float32(1.1)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    return tmp_path / "wrong.onnx"
