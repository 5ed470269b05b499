"""``bnfuse inspect`` and ``bnfuse fold --dry-run`` as a person types them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import Net
from test_json_report import valid

from bnfuse.cli.main import main

LINES = ("norms ", "nodes ")


def told(text: str) -> list[str]:
    """The lines of the plan."""
    lines = [line for line in text.splitlines() if line.startswith(LINES) or "✓" in line]
    return [" ".join(line.split()) for line in lines]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return run


def test_a_dry_run_tells_the_plan_that_inspect_tells_and_that_fold_follows(
    say, net_onnx: Path
) -> None:
    files = sorted(net_onnx.parent.iterdir())
    code, dry, _ = say("fold", net_onnx, "--dry-run")
    assert code == 0
    assert sorted(net_onnx.parent.iterdir()) == files
    _, seen, _ = say("inspect", net_onnx)
    assert told(dry) == told(seen)
    assert sorted(net_onnx.parent.iterdir()) == files
    _, folded, _ = say("fold", net_onnx, "--no-verify")
    done = [line.replace("folded", "would fold") for line in told(folded)]
    assert [line.replace("would be ", "") for line in told(dry)] == done


def test_a_dry_run_as_json_is_the_report_of_a_fold_that_was_not_done(say, net_onnx: Path) -> None:
    _, out, _ = say("fold", net_onnx, "--dry-run", "--json", "-")
    data = valid(out)
    assert (data["dry_run"], data["output"], data["verdict"]) == (True, None, "NOT VERIFIED")
    assert data["norms"] == {"found": 1, "folded": 1, "left": 0}


@pytest.mark.parametrize(
    "option",
    [
        ["-o", "x.onnx"],
        ["--force"],
        ["--junit", "x.xml"],
        ["--github"],
        ["--require-proof"],
        ["--localize"],
        ["--range", "x=0,1"],
    ],
    ids=lambda option: option[0],
)
def test_a_dry_run_takes_no_option_of_what_it_leaves_out(
    say, net_onnx: Path, option: list[str]
) -> None:
    code, out, err = say("fold", net_onnx, "--dry-run", *option)
    assert (code, out) == (2, "")
    assert option[0] in err


def test_a_strict_dry_run_fails_where_the_fold_would(say, tmp_path: Path) -> None:
    net = Net(dtype=np.float32)
    x = net.norm(net.op("Sigmoid", net.input(["N", 4, 8, 8])), 4, 2)
    onnx.save(net.model(net.op("Sigmoid", x)), tmp_path / "m.onnx")
    assert say("fold", "m.onnx", "--dry-run")[0] == 0
    code, _, err = say("fold", "m.onnx", "--dry-run", "--strict")
    assert code == 1
    assert "--strict: 1 of 1 norms would be left" in err


def test_an_onnx_file_as_json(say, net_onnx: Path) -> None:
    code, out, _ = say("inspect", net_onnx, "--json", "-")
    data = valid(out)
    (seen,) = data["inspected"]
    assert code == 0
    assert data["comparison"] is None
    assert seen["graph"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 3, 8, 8]}]
    assert seen["graph"]["macs"]["total"] == [{"count": 36 * 4 * 3 * 9, "symbols": ["N"]}]
    assert seen["plan"]["folds"][0]["into"].startswith("Conv ")
    assert (seen["plan"]["graph"]["nodes"], seen["plan"]["ops"]["after"]) == (2, 2)
    assert seen["blocked"] is seen["sealed"] is None


def test_what_bnfuse_wrote_says_where_it_comes_from_and_whether_it_was_changed(
    say, net_onnx: Path
) -> None:
    say("fold", net_onnx, "-o", "f.onnx", "--no-verify")
    out = say("inspect", "f.onnx")[1]
    assert "source   net.onnx\n" in out
    assert "bytes    as bnfuse wrote it\n" in out
    with Path("f.onnx").open("ab") as file:
        file.write(b"\x72\x00")
    out = say("inspect", "f.onnx")[1]
    assert "bytes    changed since bnfuse wrote it\n" in out


def test_two_models_side_by_side(say, net_onnx: Path) -> None:
    say("fold", net_onnx, "-o", "f.onnx", "--no-verify")
    code, out, _ = say("inspect", net_onnx, "f.onnx")
    assert code == 0
    assert "absorbed Sub Add Sqrt Div Mul Add into Conv conv_2" in out
    data = valid(say("inspect", net_onnx, "f.onnx", "--json", "-")[1])
    assert len(data["inspected"]) == 2
    assert data["comparison"]["counts"]["absorbed"] == 6


def test_no_torch_and_no_runtime_for_an_onnx_file(net_onnx: Path) -> None:
    code = (
        "import sys\n"
        "from bnfuse.cli.main import main\n"
        "try:\n    main(['inspect', *sys.argv[1:]])\n"
        "finally:\n    print([m for m in ('torch', 'onnxruntime') if m in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(net_onnx), str(net_onnx)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.endswith("[]\n")


class Call:
    """Pickles as a call, as an attacker's object does."""

    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_pickle_that_would_run_a_command_is_told_and_runs_nothing(say, as_json: bool) -> None:
    Path("hostile.pt").write_bytes(pickle.dumps(Call(), protocol=2))
    code, out, err = say("inspect", "hostile.pt", *(["--json", "-"] if as_json else []))
    assert code == 2
    assert "would call" in err
    assert "no option allows it" in err
    if as_json:
        assert "would call" in valid(out)["error"]["message"]
    else:
        assert "system('touch owned')" in out
    assert not Path("owned").exists()


def test_a_file_that_needs_an_option_is_told_as_far_as_it_is_safe(say) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(net.state_dict(), "weights.pt")
    code, out, _ = say("inspect", "weights.pt")
    assert code == 0
    assert "1  17 (norm)" in out
    assert "no plan: weights.pt holds 7 tensors" in out
    assert "bnfuse inspect weights.pt --model package.module:factory" in out
    seen = valid(say("inspect", "weights.pt", "--json", "-")[1])["inspected"][0]
    assert seen["plan"] is None
    assert "--model" in seen["blocked"]["hint"]
    assert [module["path"] for module in seen["modules"] if module["norm"]] == ["1"]


def test_a_module_file_is_planned_by_its_export(say) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    torch.save(net, "model.pt")
    code, out, _ = say("inspect", "model.pt", "--input-shape", "N,3,8,8")
    assert code == 0
    assert "  1  BatchNorm2d 17 (norm)\n" in out
    assert "names load with no flag" in out
    assert "into Conv 0" in out
    assert not Path("model.onnx").exists()


def damaged(net_onnx: Path) -> dict[str, Path]:
    """Files that are no model, by what is to be said of them."""
    folder = net_onnx.parent
    (folder / "empty.onnx").touch()
    (folder / "cut.onnx").write_bytes(net_onnx.read_bytes()[:500])
    (folder / "text.onnx").write_text("no model")
    (folder / "folder").mkdir()
    return {
        "empty file": folder / "empty.onnx",
        "cut off": folder / "cut.onnx",
        "text file": folder / "text.onnx",
        "is a folder": folder / "folder",
        "Did you mean net.onnx?": Path("nett.onnx"),
    }


@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_model_is_one_sentence(say, net_onnx: Path, place: int) -> None:
    for words, path in damaged(net_onnx).items():
        files = [path] if place == 0 else [net_onnx, path]
        code, out, err = say("inspect", *files)
        assert (code, out) == (2, "")
        errors = [line for line in err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1
        assert words in errors[0]
        assert "bnfuse met" not in err


def test_many_norms_are_told_by_stages_unless_asked_one_by_one(say, tmp_path: Path) -> None:
    net = Net(dtype=np.float32)
    x = net.input(["N", 4, 8, 8])
    for place in range(24):
        x = net.conv(net.op("Sigmoid", x), 4, 4, (1, 1))
        first = len(net.nodes)
        x = net.norm(x, 4, 2)
        for node in net.nodes[first:]:
            node.name = f"/body/stage{place // 8}/{place % 8}/norm/{node.op_type}"
    onnx.save(net.model(net.op("Sigmoid", x)), tmp_path / "m.onnx")
    out = say("fold", "m.onnx", "--dry-run")[1]
    rows = [line.split()[:3] for line in out.splitlines() if "✓" in line]
    assert rows == [[f"body.stage{stage}.*", "8", "norms"] for stage in range(3)]
    out = say("fold", "m.onnx", "--dry-run", "-v")[1]
    assert out.count("body.stage1.") >= 8
    assert "norms" not in out.partition("\nnorms ")[0].replace("norm ", "")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_every_encoding_can_say_it_without_control_characters(
    encoding: str, net_onnx: Path, process
) -> None:
    ran = process("inspect", net_onnx, PYTHONIOENCODING=encoding, FORCE_COLOR="")
    assert ran.code == 0
    text = ran.out.decode(encoding)
    assert all(char.isprintable() or char == "\n" for char in text + ran.err)
    assert ("8 → 2" if encoding == "utf-8" else "8 -> 2") in text
