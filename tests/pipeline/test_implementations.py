"""The nets that this project was made for: trained, folded, exported, and proven equal."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from bnfuse.models import Schedule, build, names, train
from bnfuse.pipeline import Folded, fold

LEFT_BEHIND_A_RELU = {"conv-bn-net": 2}
"""BnLayer's norm stands between a Relu and a zero-padded Conv: one op stays of each."""


@functools.cache
def trained(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = build(name)
    train(net, Schedule(epochs=1))
    return net.eval()


@functools.cache
def folded(name: str) -> Folded:
    return fold(trained(name), torch.randn(2, 1, 8, 8))


@pytest.mark.parametrize("name", names())
def test_every_norm_that_can_go_is_gone_and_parity_is_shown(name: str) -> None:
    report = folded(name).report
    left = [site for site in report.norms if not site.folded]
    assert report.norms
    assert len(left) == LEFT_BEHIND_A_RELU.get(name, 0), [site.reason for site in left]
    assert report.verdict == "PASS", report.verification
    ops = [node.op_type for node in folded(name).model.graph]
    assert ops.count("BatchNormalization") == LEFT_BEHIND_A_RELU.get(name, 0)
    assert not {"Sub", "Div", "Sqrt"} & set(ops)


def test_what_is_left_of_bnlayer_says_why() -> None:
    left = [site for site in folded("conv-bn-net").report.norms if not site.folded]
    for site in left:
        assert "Relu" in site.reason
        assert "pads with zeros" in site.reason


def test_the_deep_mlp_is_traced_and_the_notes_say_what_that_fixes() -> None:
    report = folded("deep-mlp").report
    assert report.exporter == "torch.onnx (jit trace)"
    assert any("the trace fixes the path taken" in note for note in report.notes)
    assert len(report.norms) == 100


def test_module_paths_survive_into_the_report() -> None:
    modules = {site.module for site in folded("scratch-cnn").report.norms}
    assert modules == {f"layers.{i}.norm" for i in range(6)}
    assert all(
        site.into[0].startswith("Conv layers.") for site in folded("scratch-cnn").report.norms
    )
