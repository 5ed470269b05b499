from __future__ import annotations

import json

import pytest
from bench_models import write_conv

from bnfuse.cli.main import main

QUICK = ["--rounds", "6", "--no-memory"]


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write_conv(tmp_path / "a.onnx")
    write_conv(tmp_path / "b.onnx", layers=2)
    return tmp_path


def run(capsys, *args):
    with pytest.raises(SystemExit) as left:
        main(["bench", *args])
    captured = capsys.readouterr()
    return left.value.code, captured.out, captured.err


def test_prints_a_line_a_model(capsys):
    code, out, _ = run(capsys, "a.onnx", "b.onnx", *QUICK)
    assert code == 0
    assert "a.onnx" in out
    assert "b.onnx" in out
    assert "over the first" in out


def test_json_alone_goes_to_stdout(capsys):
    code, out, _ = run(capsys, "a.onnx", "b.onnx", *QUICK, "--json", "-", "--batch", "2")
    assert code == 0
    data = json.loads(out)
    assert data["inputs"] == {"x": [2, 3, 8, 8]}
    assert data["models"][1]["difference"] in {"faster", "slower", "within noise"}


def test_quiet_is_silent_and_still_writes_the_numbers(capsys, models):
    code, out, err = run(capsys, "a.onnx", *QUICK, "-q", "--json", "times.json")
    assert (code, out, err) == (0, "", "")
    assert json.loads((models / "times.json").read_text())["rounds"] == 6


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["none.onnx"], 2),
        ([], 2),
        (["a.onnx", "--rounds", "2"], 2),
        (["a.onnx", "--provider", "nonsense"], 2),
        (["a.onnx", "--provider", "rocm"], 3),
        (["a.onnx", *QUICK, "--json", "no/such/folder.json"], 2),
    ],
)
def test_errors_have_their_codes_and_no_traceback(capsys, args, code):
    found, _, err = run(capsys, *args)
    assert found == code
    assert "Traceback" not in err
    assert err.strip()
