"""The pre-commit hook: which files it takes for a pair, and pre-commit itself with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import yaml

from bnfuse.cli.precommit import pairs_of

ROOT = Path(__file__).parents[2]
TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) {{y = {}(x)}}'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def save(**models):
        for name, op in models.items():
            onnx.save(onnx.parser.parse_model(TEXT.format(op)), name.replace("_", ".") + ".onnx")

    return save


@pytest.mark.parametrize(
    "files",
    [
        ("net.onnx",),
        ("net.folded.onnx",),
        ("net.onnx", "net.folded.onnx"),
        ("net.folded.onnx.data",),
        ("./net.onnx", "net.onnx.data"),
    ],
)
def test_either_file_or_its_data_stands_for_the_pair_once(here, files):
    here(net="Relu", net_folded="Relu")
    assert pairs_of(files) == [("net.onnx", "net.folded.onnx")]


def test_what_belongs_to_no_pair_is_left_alone(here):
    here(net="Relu")
    assert pairs_of(("net.onnx", "net.pt", "net.folded.pt", "net.data")) == []


def test_a_candidate_without_its_original_is_a_pair_that_cannot_be_judged(here):
    here(net_folded="Relu")
    assert pairs_of(("net.folded.onnx",)) == [("net.onnx", "net.folded.onnx")]
    ran = hook("net.folded.onnx")
    assert ran.returncode == 2
    assert "There is no file net.onnx" in ran.stdout


def test_a_pair_that_is_named_is_judged_when_a_part_of_it_changed(here):
    here(net="Relu", net_folded="Relu", ship="Relu")
    named = (("net.onnx", "ship.onnx"),)
    assert pairs_of(("ship.onnx",), named) == [*named]
    assert pairs_of(("net.onnx",), named) == [*named]
    assert pairs_of(("other.pt",), named) == []


def hook(*arguments):
    command = [sys.executable, "-m", "bnfuse.cli.precommit", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_pair_is_judged_and_the_worst_decides(here):
    here(a="Relu", a_folded="Relu", b="Relu", b_folded="Abs")
    assert hook("--options", "--provider cpu", "a.onnx").returncode == 0
    ran = hook("b.onnx", "a.onnx")
    assert ran.returncode == 1
    assert ran.stdout.startswith("b.folded.onnx beside b.onnx: FAIL: cpu, ")
    assert "a.onnx" not in ran.stdout


def test_options_that_cannot_be_read_are_a_usage_error():
    ran = hook("--options", "'", "a.onnx")
    assert ran.returncode == 2
    assert "--options cannot be read" in ran.stderr


@pytest.mark.parametrize("asked", ["--help", "-qh"])
def test_help_among_the_options_passes_nothing(here, asked):
    here(net="Relu", net_folded="Abs")
    ran = hook("--options", asked, "net.onnx")
    assert ran.returncode == 2
    assert ran.stdout.startswith("net.folded.onnx beside net.onnx: --options asks for help")


def test_pre_commit_runs_the_hook(here, tmp_path, monkeypatch):
    (hooks := tmp_path / "hooks").mkdir()
    (bin_ := tmp_path / "bin").mkdir()
    (hooks / ".pre-commit-hooks.yaml").write_bytes((ROOT / ".pre-commit-hooks.yaml").read_bytes())
    (declared,) = yaml.safe_load((hooks / ".pre-commit-hooks.yaml").read_text())
    # What the wheel installs, for an environment in which this checkout is.
    (bin_ / declared["entry"]).write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m bnfuse.cli.precommit "$@"\n'
    )
    (bin_ / declared["entry"]).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "test")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "test@example.org")
    git(hooks, "init", "-q")
    git(hooks, "add", ".")
    git(hooks, "commit", "-qm", "hooks")
    here(net="Relu", net_folded="Relu", alone="Relu")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "net.onnx", "net.folded.onnx", "alone.onnx")
    config = {"repo": str(hooks), "rev": git(hooks, "rev-parse", "HEAD").strip()}
    config["hooks"] = [{"id": "bnfuse-verify", "args": ["--options", "--provider cpu"]}]
    Path(".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [config]}))
    assert "Passed" in pre_commit(0)
    here(net_folded="Abs")
    git(tmp_path, "add", "net.folded.onnx")
    assert "net.folded.onnx beside net.onnx: FAIL" in pre_commit(1)


def git(where, *words):
    ran = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def pre_commit(code):
    ran = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"], capture_output=True, text=True
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout
