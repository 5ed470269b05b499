from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import demo, graphs
from benchmarks.environment import environment, save
from benchmarks.process import measure
from benchmarks.relu_nets import FAMILIES, Case, build
from bnfuse.bench.sessions import open_runner
from bnfuse.pipeline import fold


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_forms_of_one_family_are_one_function(family, kernel):
    case = Case(channels=4, size=5, kernel=kernel)
    x = np.random.default_rng(1).standard_normal(case.shape(family)).astype(np.float32)
    outputs = {
        name: open_runner(model, "cpu", 1, name).run({"x": x})[0]
        for name, model in build(family, case).items()
    }
    bare, *forms = outputs.values()
    assert len(forms) >= 3
    for form in forms[1:]:
        np.testing.assert_allclose(form, forms[0], rtol=1e-4, atol=1e-5)
    assert not np.allclose(bare, forms[0], atol=1e-2)


@pytest.mark.parametrize("make", [graphs.chain, graphs.residual, graphs.concat])
def test_growing_graphs_are_valid_and_their_norms_stand_as_written(make):
    model = make(3)
    onnx.checker.check_model(model, full_check=True)
    ops = [node.op_type for node in model.graph.node]
    assert ops.count("Sub") == ops.count("Div") == ops.count("Mul") > 0


def test_growing_chain_folds_to_nothing_but_convolutions():
    folded = fold(graphs.chain(5), verified=False)
    assert {node.op_type for node in folded.model.graph} == {"Conv", "Relu"}
    assert len(folded.report.norms) == 5


def test_results_name_the_processor_but_neither_host_nor_folders(tmp_path):
    path = save("result", {"rows": [1]}, tmp_path)
    text = path.read_text()
    assert json.loads(text)["rows"] == [1]
    assert environment()["machine"]["cpu"]
    assert environment()["versions"]["onnxruntime"]
    for private in (socket.gethostname(), str(Path.home()), str(Path.cwd())):
        assert len(private) < 3 or private not in text


def test_cost_of_a_process_does_not_hold_its_starters_memory():
    ballast = np.ones(256 << 20, np.uint8)
    cost = measure([sys.executable, "-I", "-S", "-c", "print('heard by nobody')"])
    assert 0 < cost.peak < ballast.nbytes
    assert cost.wall > 0


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such luck"):
        measure([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_demo_stops_at_the_first_command_that_fails(tmp_path, monkeypatch, capsys):
    ran = []

    def run(command, **_):
        ran.append(command[3])
        return subprocess.CompletedProcess(command, 1 if command[3] == "fold" else 0)

    monkeypatch.setattr(demo.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path / "out")])
    assert demo.main() == 1
    assert ran == ["train", "export", "fold"]
    out = capsys.readouterr().out
    assert "$ bnfuse train scratch-cnn" in out
    assert "stops here" in out
