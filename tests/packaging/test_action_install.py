"""The GitHub Action's first step, in an environment that has no bnfuse yet."""

from __future__ import annotations

import shlex

import pytest
from builds import ROOT
from environments import bare
from pages import typed

LIGHT = next(
    shlex.split(one.command)[2:] for one in typed("README.md") if "pip install click" in one.command
)
RUN = shlex.quote(str(ROOT / "action/run.py"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return bare(tmp_path_factory.mktemp("action") / "env", LIGHT)


def test_for_an_onnx_file_bnfuse_is_installed_without_pytorch(empty, dist, tmp_path):
    install = f"BNFUSE_ORIGINAL=model.onnx BNFUSE_VERSION={shlex.quote(str(dist.wheel))}"
    before = empty.distributions()
    empty.run(f"BNFUSE_VERSION=installed python {RUN} install", tmp_path)
    assert empty.distributions() == before
    empty.run(f"{install} python {RUN} install", tmp_path)
    assert {name for name, _ in empty.distributions().items() - before.items()} == {"bnfuse"}
    ran = empty.shell(
        f"BNFUSE_ORIGINAL=model.onnx BNFUSE_CANDIDATE=x.onnx python {RUN} verify", tmp_path
    )
    assert ran.returncode == 2
    assert "There is no file x.onnx" in ran.stdout


def test_what_pip_cannot_install_stops_the_step(empty, tmp_path):
    install = "BNFUSE_ORIGINAL=model.onnx BNFUSE_VERSION=./absent.whl"
    assert empty.shell(f"{install} python {RUN} install", tmp_path).returncode == 1
