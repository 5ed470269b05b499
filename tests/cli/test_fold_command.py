"""``bnfuse fold`` and ``bnfuse export`` as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

ESCAPE = "\x1b["


@pytest.fixture
def model_pt(tmp_path: Path) -> Path:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    nn.init.normal_(module[1].bias)
    torch.save(module, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_a_module_file_becomes_a_verified_onnx_file_beside_it(bnfuse, model_pt: Path) -> None:
    ran = bnfuse("fold", model_pt)
    assert ran.code == 0, ran.err
    output = model_pt.with_suffix(".onnx")
    assert [n.op_type for n in onnx.load(output).graph.node] == ["Conv", "Relu"]
    assert "1 of 1 folded" in ran.out
    assert "PASS" in ran.out
    assert str(output) in ran.out.replace("\n", "")
    for stage in ("load", "export", "fold", "verify"):
        assert stage in ran.err
    assert "nn.Module" in ran.err or "module" in ran.err


def test_an_onnx_file_becomes_another_one(bnfuse, net_onnx: Path) -> None:
    before = net_onnx.read_bytes()
    assert bnfuse("fold", net_onnx).code == 0
    assert net_onnx.with_name("net.folded.onnx").exists()
    assert net_onnx.read_bytes() == before


def test_export_keeps_the_norms(bnfuse, model_pt: Path) -> None:
    ran = bnfuse("export", model_pt, "-o", model_pt.with_name("plain.onnx"))
    assert ran.code == 0, ran.err
    nodes = onnx.load(model_pt.with_name("plain.onnx")).graph.node
    assert [n.op_type for n in nodes] == ["Conv", "BatchNormalization", "Relu"]


def test_export_of_hand_written_norm_keeps_it_as_it_is_written(bnfuse, tmp_path: Path) -> None:
    from bnfuse.models import build

    torch.save(build("scratch-cnn").eval(), tmp_path / "scratch.pt")
    assert bnfuse("export", tmp_path / "scratch.pt").code == 0
    ops = [n.op_type for n in onnx.load(tmp_path / "scratch.onnx").graph.node]
    assert ops.count("Sub") == ops.count("Div") == 6
    assert "BatchNormalization" not in ops


def test_json_on_stdout_is_alone_there(bnfuse, net_onnx: Path) -> None:
    ran = bnfuse("fold", net_onnx, "--json", "-")
    data = json.loads(ran.out)
    assert data["norms"] == {"found": 1, "folded": 1, "left": 0}
    assert data["verdict"] == "PASS"


def test_json_in_a_file(bnfuse, net_onnx: Path, tmp_path: Path) -> None:
    assert bnfuse("fold", net_onnx, "--json", tmp_path / "report.json", "-q").code == 0
    assert json.loads((tmp_path / "report.json").read_text())["opset"] == 20


def test_quiet_says_nothing(bnfuse, net_onnx: Path) -> None:
    ran = bnfuse("fold", net_onnx, "-q")
    assert (ran.out, ran.err) == ("", "")


def test_plain_text_where_there_is_no_terminal(bnfuse, net_onnx: Path) -> None:
    ran = bnfuse("fold", net_onnx)
    assert ESCAPE not in ran.out + ran.err


def test_no_verify_says_so(bnfuse, net_onnx: Path) -> None:
    ran = bnfuse("fold", net_onnx, "--no-verify")
    assert ran.code == 0
    assert "NOT VERIFIED" in ran.out


def test_input_shape_with_a_dynamic_height(bnfuse, tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), tmp_path / "m.pt")
    ran = bnfuse("fold", tmp_path / "m.pt", "--input-shape", "N,3,H:16,16")
    assert ran.code == 0, ran.err
    (value,) = onnx.load(tmp_path / "m.onnx").graph.input
    dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    assert dims == ["N", 3, "H", 16]


@pytest.mark.parametrize("opset", [17, 21])
def test_opset(bnfuse, model_pt: Path, opset: int) -> None:
    assert bnfuse("fold", model_pt, "--opset", opset).code == 0
    imports = onnx.load(model_pt.with_suffix(".onnx")).opset_import
    assert {o.domain: o.version for o in imports}[""] == opset


def test_a_provider_that_is_not_there_leaves_with_3(bnfuse, net_onnx: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build has the CUDA provider")
    ran = bnfuse("fold", net_onnx, "--provider", "cuda")
    assert ran.code == 3
    assert not net_onnx.with_name("net.folded.onnx").exists()
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["fold", "nope.pt"], "does not exist"),
        (["fold"], "Missing argument"),
        (["fold", "{onnx}", "-o", "{onnx}"], "is the source itself"),
        (["fold", "{onnx}", "-o", "{folder}/none/x.onnx"], "cannot be written"),
        (["fold", "{text}"], ""),
        (["fold", "{pt}", "--input-shape", "N,3,,8"], ""),
        (["fold", "{pt}", "--opset", "3"], "Opset 3"),
        (["export", "{onnx}"], "ONNX model already"),
        (["fold", "{onnx}", "--opset", "17"], "operator set"),
        (["fold", "{onnx}", "--input-shape", "N,3,8,8"], ""),
        (["fold", "{onnx}", "--model", "a:b"], ""),
        (["frobnicate"], "No such command"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    bnfuse, args: list[str], says: str, model_pt: Path, net_onnx: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.pt"
    text.write_text("not a model")
    places = {"onnx": net_onnx, "pt": model_pt, "text": text, "folder": tmp_path}
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    ran = bnfuse(*(arg.format(**places) for arg in args))
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_vv_shows_the_traceback(bnfuse) -> None:
    assert "Traceback" in bnfuse("fold", "nope.pt", "-vv").err


def python(code: str, *args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


HEAVY = ("torch", "onnx", "onnxruntime", "onnxsim", "numpy", "onnx_ir", "rich")


@pytest.mark.parametrize("args", [["--help"], ["fold", "--help"], ["frobnicate"], ["fold"]])
def test_help_and_usage_errors_import_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\nfrom bnfuse.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print('HEAVY', [m for m in {HEAVY} if m in sys.modules])"
    )
    assert "HEAVY []" in python(code, *args).stdout


def test_folding_an_onnx_file_imports_neither_torch_nor_onnxsim(net_onnx: Path) -> None:
    code = (
        "import sys\nfrom bnfuse.cli.main import main\n"
        "try: main(['fold', sys.argv[1]])\nexcept SystemExit as left: print('CODE', left.code)\n"
        "print('HEAVY', [m for m in ('torch', 'onnxsim', 'onnxscript') if m in sys.modules])"
    )
    ran = python(code, net_onnx)
    assert "CODE 0" in ran.stdout, ran.stderr
    assert "HEAVY []" in ran.stdout


def test_python_m_bnfuse_is_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bnfuse", "--version"], capture_output=True, text=True, check=True
    )
    assert "version 0.1.0" in ran.stdout


def test_what_bnfuse_train_saves_bnfuse_fold_loads_with_no_flags(bnfuse, tmp_path: Path) -> None:
    path = tmp_path / "trained.pt"
    assert bnfuse("train", "conv-bn-linear-bn", "-o", path, "--epochs", 1, "-q").code == 0
    ran = bnfuse("fold", path)
    assert ran.code == 0, ran.err
    assert "2 of 2 folded" in ran.out


def test_what_a_model_prints_does_not_reach_stdout(bnfuse, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "loud.py").write_text(
        "import torch\n"
        "class Loud(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 4, 3)\n"
        "        self.norm = torch.nn.BatchNorm2d(4)\n"
        "    def forward(self, x):\n"
        "        print('LOUD')\n"
        "        return self.norm(self.conv(x))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    from loud import Loud  # type: ignore[import-not-found]

    torch.save(Loud(), tmp_path / "loud.pt")
    refused = bnfuse("fold", tmp_path / "loud.pt")
    assert refused.code == 2
    assert "--allow loud.Loud" in refused.err
    ran = bnfuse("fold", tmp_path / "loud.pt", "--allow", "loud.Loud")
    assert ran.code == 0, ran.err
    assert "LOUD" not in ran.out
