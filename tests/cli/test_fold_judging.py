"""``bnfuse fold`` judges by the options that ``bnfuse verify`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from graphs import Net

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def left(tmp_path: Path) -> Path:
    net = Net(dtype=np.float32)
    h = net.op("Sigmoid", net.input(["N", 4, 8, 8]))
    onnx.save(net.model(net.op("Sigmoid", net.norm(h, 4, 2))), tmp_path / "left.onnx")
    return tmp_path / "left.onnx"


def test_given_data_are_what_is_compared_on(bnfuse, net_onnx: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    ran = bnfuse("fold", net_onnx, "--inputs", tmp_path / "data.npz")
    assert ran.code == 0, ran.err
    assert "3 samples" in ran.out


def test_a_range_bounds_an_input(bnfuse, net_onnx: Path) -> None:
    assert bnfuse("fold", net_onnx, "--range", "x=0,1", "--seed", 3, "--truth-budget", 60).code == 0


@pytest.mark.parametrize("wrong", ["x", "x=1", "x=2,1", "x=a,b", "other=0,1"])
def test_a_range_that_is_none_is_refused(bnfuse, net_onnx: Path, wrong: str) -> None:
    ran = bnfuse("fold", net_onnx, "--range", wrong)
    assert ran.code == 2
    assert not net_onnx.with_name("net.folded.onnx").exists()


def test_the_formats_of_ci_systems_are_written(bnfuse, net_onnx: Path, tmp_path: Path) -> None:
    ran = bnfuse("fold", net_onnx, "--junit", tmp_path / "parity.xml", "--github")
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


def test_nothing_left_is_no_failure(bnfuse, net_onnx: Path) -> None:
    assert bnfuse("fold", net_onnx, "--strict").code == 0


@pytest.mark.parametrize("option", [("--range", "x=0,1"), ("--junit", "p.xml"), ("--github",)])
def test_no_verification_has_nothing_to_judge_by(bnfuse, net_onnx: Path, option) -> None:
    ran = bnfuse("fold", net_onnx, "--no-verify", *option)
    assert ran.code == 2
    assert "--no-verify" in ran.err
