"""What only some of the work needs is asked for before the work, by the name that pip knows."""

from __future__ import annotations

import sys

import pytest
import torch
from click.testing import CliRunner

import bnfuse
from bnfuse.cli.train import train
from bnfuse.errors import UsageError
from bnfuse.packages import require

FOR_PYTORCH = ("torch", "onnxscript", "onnxsim")


@pytest.fixture
def without(monkeypatch):
    """Hide packages from this test."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_what_is_installed_is_not_asked_for():
    require("This", "numpy", "onnx")


def test_the_remedy_has_the_name_that_pip_knows(without):
    without("sklearn")
    with pytest.raises(UsageError) as caught:
        require("Training", "torch", "sklearn")
    assert str(caught.value) == (
        "Training needs the package sklearn, which is not installed. "
        "Install it with: pip install scikit-learn"
    )


def test_the_remedy_installs_all_that_a_pytorch_model_needs(without):
    without(*FOR_PYTORCH)
    with pytest.raises(UsageError, match="package torch, which is not") as caught:
        require("Reading it", "torch")
    assert caught.value.remedy == "Install it with: pip install torch onnxscript onnxsim"


def test_a_file_of_torch_is_told_to_need_torch_and_not_to_be_saved_again(without, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Conv2d(1, 2, 3), path)
    without(*FOR_PYTORCH)
    with pytest.raises(UsageError) as caught:
        bnfuse.load(path)
    assert str(caught.value) == (
        f"{path} is a whole nn.Module pickled by torch.save: reading it needs the package torch, "
        "which is not installed. Install it with: pip install torch onnxscript onnxsim"
    )


def test_a_module_cannot_be_exported_without_onnxscript(without):
    without("onnxscript", "onnxsim")
    net = torch.nn.Conv2d(1, 2, 3).eval()
    with pytest.raises(UsageError, match="package onnxscript, which is not") as caught:
        bnfuse.fold(net, torch.zeros(1, 1, 4, 4))
    assert caught.value.remedy.endswith("pip install onnxscript onnxsim")


@pytest.mark.parametrize("arguments", [["--list"], ["scratch-cnn"], ["--compare"]])
def test_training_without_torch_is_one_sentence(without, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    without(*FOR_PYTORCH)
    ran = CliRunner().invoke(train, arguments)
    assert isinstance(ran.exception, UsageError)
    assert "package torch, which is not installed" in str(ran.exception)
