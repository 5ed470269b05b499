"""The installation without PyTorch: ONNX in, ONNX out, and one sentence where torch is needed."""

from __future__ import annotations

import shutil

import onnx
import pytest
import torch
from pages import typed
from torch import nn

import bnfuse

LEFT_OUT = {"torch", "onnxscript", "onnxsim"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with model files of many kinds."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    sample = torch.randn(2, 3, 16, 16)
    onnx.save(onnx_of(bnfuse.export(net, sample)), folder / "model.onnx")
    torch.save(net, folder / "model.pt")
    torch.save(net.state_dict(), folder / "weights.pt")
    torch.jit.trace(net, sample).save(folder / "script.pt")
    torch.export.save(torch.export.export(net, (sample,)), folder / "model.pt2")
    return folder


def onnx_of(exported):
    import onnx_ir

    return onnx_ir.to_proto(exported.model)


@pytest.fixture
def where(made, tmp_path):
    return shutil.copytree(made, tmp_path / "models")


def test_what_is_left_out_is_absent(light, tmp_path):
    assert not light.distributions().keys() & LEFT_OUT
    for name in sorted(LEFT_OUT):
        assert light.shell(f"python -c 'import {name}'", tmp_path).returncode != 0


def test_the_line_in_the_readme_leaves_out_nothing_else(dist):
    (line,) = (one.command for one in typed("README.md") if "pip install click" in one.command)
    needed = {one.partition(">")[0] for one in dist.requirements()}
    assert {*line.split()[2:]} == needed - LEFT_OUT


def test_an_onnx_file_is_folded_verified_and_timed(light, where):
    for one in typed("README.md"):
        if one.heading == "Without PyTorch" and one.command.startswith("bnfuse "):
            assert "PASS" in light.run(one.command, where)
    (folded,) = {*where.glob("*.onnx")} - {where / "model.onnx"}
    assert [node.op_type for node in onnx.load(folded).graph.node] == ["Conv", "Relu"]
    assert "PASS" in light.run(f"bnfuse verify model.onnx {folded.name}", where)
    timed = light.run(f"bnfuse bench model.onnx {folded.name} --rounds 6", where)
    assert "over the first" in timed


def test_the_python_interface_folds_and_verifies(light, where):
    code = (
        "import bnfuse, onnx, sys\n"
        "model = onnx.load('model.onnx')\n"
        "folded = bnfuse.fold(model)\n"
        "print(folded.report.verdict, bnfuse.verify(model, folded.model).verdict.name)\n"
        "print(bnfuse.load('model.onnx').kind.value)\n"
    )
    (where / "use.py").write_text(code)
    assert light.run("python use.py", where).split() == ["PASS", "PASS", "onnx"]


@pytest.mark.parametrize("command", ["fold", "export", "verify", "bench", "train", "schema"])
def test_help_needs_no_torch(light, tmp_path, command):
    assert "Usage: " in light.run(f"python -m bnfuse {command} --help", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "fold model.pt -o new.onnx",
        "export model.pt -o new.onnx",
        "verify model.pt model.onnx",
        "fold weights.pt --model nets:Net",
        "fold script.pt --trust",
        "fold model.pt2 --trust -o new.onnx",
        "train scratch-cnn",
        "train --list",
    ],
)
def test_what_needs_torch_says_so_in_one_sentence(light, where, line):
    before = {file: file.read_bytes() for file in where.iterdir()}
    ran = light.shell(f"bnfuse {line}", where)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    (sentence,) = ran.stderr.splitlines()
    assert "needs the package torch, which is not installed. " in sentence
    assert sentence.endswith("Install it with: pip install torch onnxscript onnxsim")
    assert {file: file.read_bytes() for file in where.iterdir()} == before
