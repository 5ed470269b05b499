"""Streams of any encoding, readers that leave, and quiet: the exit code says what was done."""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from pathlib import Path

import onnx
import pytest
from processes import COMMAND

from bnfuse.cli.main import bnfuse as group

COMMANDS = sorted(group.commands)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_encoding_stops_a_command(
    encoding: str, net_onnx: Path, tmp_path: Path, process
) -> None:
    source = net_onnx.rename(tmp_path / "nét 中.onnx")
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    ran = process("fold", source.name, "-v", **env)
    assert ran.code == 0, ran.err
    text = ran.out.decode(encoding)
    assert "Sub Div Mul Add  +  into" in text
    assert "8 -> 2" in text
    assert "\\u4e2d.folded.onnx" in text
    assert (tmp_path / "nét 中.folded.onnx").exists()
    # Box characters, the sign ±, and in errors the name of the file.
    assert process("verify", source.name, source.name, "--github", **env).code == 0
    ran = process("bench", source.name, source.name, "--rounds", 6, "--no-memory", **env)
    assert ran.code == 0, ran.err
    assert ("±" if encoding == "cp1252" else "+-") in ran.out.decode(encoding)
    ran = process("fold", "中.pt", **env)
    assert ran.code == 2
    assert "\\u4e2d.pt does not exist" in ran.err
    for command in COMMANDS:
        assert process(command, "--help", **env).code == 0


def closed(*args: str, cwd: Path, both: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command whose reader is gone before it begins."""
    read, write = os.pipe()
    os.close(read)
    try:
        return subprocess.run(
            [*COMMAND, *args],
            stdout=write,
            stderr=write if both else subprocess.PIPE,
            text=True,
            check=False,
            cwd=cwd,
        )
    finally:
        os.close(write)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes of POSIX")
@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_leaves_changes_nothing(both: bool, net_onnx: Path, tmp_path: Path) -> None:
    ran = closed("fold", str(net_onnx), cwd=tmp_path, both=both)
    assert ran.returncode == 0
    assert "Error" not in (ran.stderr or "")
    assert len(onnx.load(tmp_path / "net.folded.onnx").graph.node) == 2
    assert closed("fold", "none.pt", cwd=tmp_path, both=both).returncode == 2
    assert closed("--help", cwd=tmp_path, both=both).returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="needs pipes of POSIX")
@pytest.mark.parametrize("options", [["-o", "-"], ["--json", "-"]])
def test_a_reader_that_leaves_before_it_has_the_file_is_141(
    options: list[str], net_onnx: Path, tmp_path: Path
) -> None:
    ran = closed("fold", str(net_onnx), *options, cwd=tmp_path)
    assert ran.returncode == 141
    assert "stdout was closed" in ran.stderr.splitlines()[-1]
    assert "Exception" not in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_report_that_cannot_be_written_is_told(net_onnx: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*COMMAND, "fold", str(net_onnx)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert ran.returncode == 2
    assert "stdout cannot be written: No space left on device" in ran.stderr.splitlines()[-1]
    assert (tmp_path / "net.folded.onnx").exists()


def test_no_stdout_at_all(net_onnx: Path, tmp_path: Path) -> None:
    words = " ".join([*COMMAND, "fold", str(net_onnx), ">&-", "2>&-"])
    assert subprocess.run(words, shell=True, check=False, cwd=tmp_path).returncode == 0
    assert (tmp_path / "net.folded.onnx").exists()


@pytest.mark.parametrize("options", [["-q"], ["-q", "--json", "r.json"], ["--json", "-"]])
def test_quiet_says_one_line_where_the_exit_code_is_not_0(
    options: list[str], net_onnx: Path, wrong_onnx: Path, process
) -> None:
    json = options == ["--json", "-"]
    for args, code, says in (
        (["verify", net_onnx, wrong_onnx], 1, "FAIL: "),
        (["verify", net_onnx, net_onnx, "--provider", "openvino"], 3, "INCONCLUSIVE: "),
        (["fold", net_onnx, "--provider", "openvino"], 3, "candidate is"),
        (["fold", "none.onnx"], 2, "does not exist"),
        (["bench", net_onnx, "--provider", "openvino"], 3, "OpenVINO"),
    ):
        ran = process(*args, *options)
        assert ran.code == code
        assert bool(ran.out) == json
        assert ran.err.count("\n") == 1
        assert says in ran.err


@pytest.mark.parametrize(
    "args",
    [["fold", "net.onnx"], ["verify", "net.onnx", "net.onnx"], ["bench", "net.onnx"]],
    ids=lambda args: args[0],
)
@pytest.mark.parametrize(
    ("typed", "meant"), [("cudaa", "cuda"), ("CPUExecutionProvder", "CPUExecutionProvider")]
)
def test_a_provider_that_nobody_knows_is_told_before_the_work(
    args: list[str], typed: str, meant: str, net_onnx: Path, monkeypatch, capsys
) -> None:
    from bnfuse.cli.main import main

    monkeypatch.chdir(net_onnx.parent)
    monkeypatch.setattr(import_module("bnfuse.pipeline.convert"), "enter", None)
    with pytest.raises(SystemExit) as left:
        main([*args, "--provider", typed])
    captured = capsys.readouterr()
    assert left.value.code == 2
    assert f"Did you mean {meant}?" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_help_has_no_marks_of_its_own_layout(command: str, width: str, process) -> None:
    text = process(command, "--help", COLUMNS=width).out.decode()
    assert "\b" not in text
    assert "\\b" not in text
    assert "Usage: " in text
