"""Every kind of file is folded, and verified against itself, under its own name and wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import hf_factories
import numpy as np
import onnx
import pytest
import torch
from graphs import Net
from load_samples import KINDS, small_net, write

import bnfuse
from bnfuse.cli.main import main

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "exported_program": ".pt2"}
FACTORY = ("--model", "load_samples:small_net")
FLAGS = {
    "state_dict": FACTORY,
    "checkpoint": FACTORY,
    "safetensors": FACTORY,
    "legacy_state_dict": FACTORY,
    "legacy_module": ("--trust",),
    "torchscript": ("--trust",),
    "exported_program": ("--trust",),
    "pickle": (*FACTORY, "--trust"),
    "own classes": ("--allow", "mynets.Net", "--allow", "mynets.ScratchBN"),
    "classes of a package": ("--allow", "mynets.*"),
    "averaged weights": (*FACTORY, "--weights", "ema"),
    "hugging face": ("--input-shape", "N,3,32,32"),
}
MORE_KINDS = ("own classes", "classes of a package", "averaged weights", "hugging face")
ROWS = {
    "a pickled module of `torch.nn` classes": {"module"},
    "a pickled module of your own classes": {"own classes"},
    "a pickled module of a package's classes": {"classes of a package"},
    "a state_dict, a checkpoint, safetensors": {"state_dict", "checkpoint", "safetensors"},
    "a checkpoint that also holds averaged weights": {"averaged weights"},
    "a Hugging Face folder: config.json, safetensors": {"hugging face"},
    "TorchScript, `.pt2`, a legacy pickle: files that run code": {
        "torchscript",
        "exported_program",
        "legacy_module",
        "legacy_state_dict",
        "pickle",
    },
    "ONNX": {"onnx"},
}
"""The README's table, and the kinds here that show each row of it."""


def written(kind, path, mynets):
    if "classes" in kind:
        torch.save(mynets.make().eval(), path)
        return path
    if kind == "averaged weights":
        other, average = (small_net().state_dict() for _ in range(2))
        other["0.bias"] += 1.0
        torch.save({"state_dict": other, "state_dict_ema": average}, path)
        return path
    if kind == "hugging face":
        hf_factories.resnet().save_pretrained(path)
        return path
    if kind == "onnx":
        net = Net(dtype=np.float32)
        conv = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
        onnx.save(net.model(net.op("Relu", net.norm(conv, 4, 2))), path, format="protobuf")
        return path
    return write(kind, path)


def test_every_row_of_the_readme_is_shown_by_kinds_here():
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = page.partition("| you have | you type |")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]
    assert [row for row in rows if row != "a module in memory"] == list(ROWS)
    assert set().union(*ROWS.values()) == {*KINDS, *MORE_KINDS}


def run(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code


@pytest.mark.parametrize("named", ["right", "wrong", "barely"])
@pytest.mark.parametrize("kind", [*KINDS, *MORE_KINDS])
def test_a_file_is_folded_and_verified_by_the_commands(tmp_path, mynets, kind, named, capsys):
    own = SUFFIXES.get(kind, ".pt")
    wrong = {".pt": ".safetensors", ".onnx": ".pt"}.get(own, ".onnx")
    suffix = {"right": own, "wrong": wrong, "barely": ""}[named]
    path = written(kind, tmp_path / f"model{suffix}", mynets)
    flags = FLAGS.get(kind, ())
    report, out = tmp_path / "report.json", tmp_path / "out.onnx"
    here = ("--provider", "cpu", *flags)
    assert run("fold", path, "-o", out, "--json", report, *here) == 0, capsys.readouterr()
    told = json.loads(report.read_text())
    assert told["verdict"] == "PASS"
    assert told["norms"]["folded"] == told["norms"]["found"] >= 1
    assert run("verify", path, out, *here) == 0, capsys.readouterr()


def test_a_module_in_memory_is_folded_and_verified():
    net, x = small_net(), torch.randn(2, 1, 8, 8)
    folded = bnfuse.fold(net, x, providers=["cpu"])
    assert folded.report.verdict == "PASS"
    assert folded.report.norms[0].folded
    assert bnfuse.verify(net, folded.model, providers=["cpu"]).verdict.name == "PASS"


def test_a_guess_at_the_sizes_gives_way_to_what_the_candidate_has_fixed(tmp_path):
    folded = bnfuse.fold(small_net(), torch.randn(2, 1, 8, 8), output=tmp_path / "out.onnx")
    path = write("module", tmp_path / "model.pt")
    assert bnfuse.load(path).inputs.args[0].shape[2:] != (8, 8)
    assert bnfuse.verify(path, folded.path, providers=["cpu"]).verdict.name == "PASS"


def test_a_module_file_called_onnx_is_an_original_by_what_it_is(tmp_path):
    folded = bnfuse.fold(small_net(), torch.randn(2, 1, 8, 8), output=tmp_path / "out.onnx")
    path = write("module", tmp_path / "model.onnx")
    assert bnfuse.verify(path, folded.path, providers=["cpu"]).verdict.name == "PASS"
