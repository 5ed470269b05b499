"""``bnfuse fold`` judges by the options that ``bnfuse verify`` has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from graphs import Net

from bnfuse.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def bnfuse(capsys: pytest.CaptureFixture[str]):
    def run(*args: object) -> Ran:
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Ran(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
    onnx.save(net.model(net.op("Relu", net.norm(conv, 4, 2))), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    net = Net(dtype=np.float32)
    h = net.op("Sigmoid", net.input(["N", 4, 8, 8]))
    onnx.save(net.model(net.op("Sigmoid", net.norm(h, 4, 2))), tmp_path / "left.onnx")
    return tmp_path / "left.onnx"


def test_given_data_are_what_is_compared_on(bnfuse, model: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    ran = bnfuse("fold", model, "--inputs", tmp_path / "data.npz")
    assert ran.code == 0, ran.err
    assert "3 samples" in ran.out


def test_a_range_bounds_an_input(bnfuse, model: Path) -> None:
    assert bnfuse("fold", model, "--range", "x=0,1", "--seed", 3, "--truth-budget", 60).code == 0


@pytest.mark.parametrize("wrong", ["x", "x=1", "x=2,1", "x=a,b", "other=0,1"])
def test_a_range_that_is_none_is_refused(bnfuse, model: Path, wrong: str) -> None:
    ran = bnfuse("fold", model, "--range", wrong)
    assert ran.code == 2
    assert not model.with_name("net.folded.onnx").exists()


def test_the_formats_of_ci_systems_are_written(bnfuse, model: Path, tmp_path: Path) -> None:
    ran = bnfuse("fold", model, "--junit", tmp_path / "parity.xml", "--github")
    assert ran.code == 0, ran.err
    suite = ElementTree.parse(tmp_path / "parity.xml").getroot()
    assert int(suite.get("tests", "0")) > 0


def test_what_is_left_fails_where_that_is_asked_for(bnfuse, left: Path) -> None:
    assert bnfuse("fold", left).code == 0
    kept = left.with_name("left.folded.onnx")
    kept.unlink()
    ran = bnfuse("fold", left, "--strict")
    assert ran.code == 1
    assert "1 of 1 norms are left; what was verified is kept" in ran.err
    assert kept.is_file()


def test_nothing_left_is_no_failure(bnfuse, model: Path) -> None:
    assert bnfuse("fold", model, "--strict").code == 0


@pytest.mark.parametrize("option", [("--range", "x=0,1"), ("--junit", "p.xml"), ("--github",)])
def test_no_verification_has_nothing_to_judge_by(bnfuse, model: Path, option) -> None:
    ran = bnfuse("fold", model, "--no-verify", *option)
    assert ran.code == 2
    assert "--no-verify" in ran.err
