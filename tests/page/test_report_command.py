"""``bnfuse report`` and ``bnfuse fold --report``: what is written, and what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from processes import run as run_process

from bnfuse.cli.main import bnfuse
from bnfuse.errors import BnfuseError


@pytest.fixture
def files(tmp_path: Path, model: onnx.ModelProto, run: dict[str, Any], times: dict[str, Any]):
    onnx.save(model, tmp_path / "net.onnx")
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "times.json").write_text(json.dumps(times))
    return tmp_path


@pytest.fixture
def process(files: Path):
    return partial(run_process, files)


@pytest.fixture
def command(files: Path, monkeypatch: pytest.MonkeyPatch):
    """The command line in this process, in the folder of the files."""
    monkeypatch.chdir(files)
    return lambda *args: CliRunner().invoke(bnfuse, args)


def test_a_fold_writes_its_page_and_the_saved_report_makes_the_same(process, tmp_path: Path):
    files = ("--report", "page.html", "--json", "own.json", "--detailed")
    assert process("fold", "net.onnx", "-q", *files).code == 0
    assert process("report", "own.json").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (tmp_path / "own.html").read_text(encoding="utf-8") == page
    assert "net.folded.onnx" in page


def test_the_page_goes_to_stdout_alone(process):
    ran = process("fold", "net.onnx", "--no-verify", "--report", "-")
    assert ran.code == 0
    assert ran.out.decode().startswith("<!DOCTYPE html>")
    assert ran.out.decode().rstrip().endswith("</html>")


def test_a_fold_that_could_not_be_judged_has_its_page_too(command, tmp_path: Path):
    command("fold", "net.onnx", "-q", "--provider", "openvino", "--report", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<div class="verdict inconclusive">' in page
    assert "net.folded.unverified.onnx" in page


def test_the_times_of_a_benchmark_are_shown_beside(command, tmp_path: Path):
    ran = command("report", "run.json", "--bench", "times.json", "-o", "all.html")
    assert ran.exception is None
    assert 'id="latency"' in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_a_fold_is_timed_for_its_page(command, tmp_path: Path):
    ran = command("fold", "net.onnx", "-q", "--report", "page.html", "--bench")
    assert ran.exception is None
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="latency"' in page
    assert "30 rounds" in page


def test_a_verification_has_a_page(process, tmp_path: Path):
    assert process("verify", "net.onnx", "net.onnx", "-q", "--json", "v.json").code == 0
    assert process("report", "v.json").code == 0
    page = (tmp_path / "v.html").read_text(encoding="utf-8")
    assert "PASS" in page
    assert 'id="net"' not in page


def test_a_page_made_before_is_replaced_and_another_file_is_not(command, tmp_path: Path):
    assert command("report", "run.json").exception is None
    assert command("report", "run.json").exception is None
    (tmp_path / "run.html").write_text("mine")
    assert "-o" in str(command("report", "run.json").exception)
    assert (tmp_path / "run.html").read_text() == "mine"
    assert command("report", "run.json", "-o", "run.html").exception is None


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["report", "none.json"], "cannot be read: No such file"),
        (["report", "net.onnx", "-o", "x.html"], "cannot be read as JSON"),
        (["report", "times.json"], "no JSON report of that kind"),
        (["report", "run.json", "--bench", "run.json"], "bnfuse bench --json"),
        (["report", "run.json", "-o", "run.json"], "is the report itself"),
        (["report", "run.json", "-o", "none/x.html"], "there is no folder"),
        (["report", "list.json"], "holds no report"),
        (["report", "part.json"], "is not as bnfuse writes it"),
        (["fold", "net.onnx", "--bench"], "--bench is about the page of a report"),
        (["fold", "run.json", "--report", "x.html", "--bench"], "is no ONNX file"),
        (["fold", "net.onnx", "--dry-run", "--report", "x.html"], "and --report would"),
        (["fold", "net.onnx", "--detailed"], "--detailed is about the JSON report"),
        (["fold", "net.onnx", "--report", "net.onnx"], "is the source itself"),
        (["fold", "net.onnx", "--report", "-", "--json", "-"], "both write to stdout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_shown_is_one_sentence(args, says, command, tmp_path: Path):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "part.json").write_text('{"command": "fold", "error": null, "verdict": "PASS"}')
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    error = command(*args).exception
    assert isinstance(error, BnfuseError)
    assert error.exit_code == 2
    assert says in str(error)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
