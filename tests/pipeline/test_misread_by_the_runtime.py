"""What ONNX Runtime's optimiser makes another function of is written so that it does not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import bnfuse
from bnfuse.verifying import Verdict, verify

# ONNX Runtime 1.31 makes one op of a Pad by 0 and a MaxPool, which pads by minus infinity.
POOL = "MaxPool<kernel_shape = [3, 3], strides = [2, 2]>"
SIZES = "int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}"


class Stem(nn.Module):
    """A stem as BiT and nets that came from TensorFlow have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.pad, self.pool = nn.ConstantPad2d(1, 0.0), nn.MaxPool2d(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pool(self.pad(self.norm(self.conv(x))))
        return pooled


def stem() -> Stem:
    torch.manual_seed(0)
    net = Stem()
    net.norm.bias.data.sub_(3.0)
    net.norm.running_mean.add_(torch.rand(8))
    return net.eval()


def graph(pool: str, pad: str = "Pad(c, p)", extra: str = "") -> onnx.ModelProto:
    """A convolution, a Pad and a pool."""
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (float[N, 3, 8, 8] x) => '
        f"(float[N, 4, P, Q] y) <{SIZES}{extra}> {{ c = Conv(x, w, b) d = {pad} y = {pool}(d) }}"
    )
    rng = np.random.default_rng(0)
    for name, value in (("w", rng.normal(size=(4, 3, 3, 3))), ("b", np.full(4, -9.0))):
        stored = numpy_helper.from_array(value.astype(np.float32), name)
        model.graph.initializer.append(stored)
    return model


def pool_of(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "MaxPool")


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def test_a_folded_stem_is_right_at_every_level() -> None:
    folded = bnfuse.fold(stem(), torch.randn(2, 3, 16, 16), providers=["cpu"])
    result = folded.report.verification
    assert result is not None
    assert result.verdict is Verdict.PASS, result.reason
    assert {row.optimization: row.verdict for row in result.rows} == {
        "disabled": Verdict.PASS,
        "all": Verdict.PASS,
    }
    assert result.proof is not None
    assert result.proof.status == "PROVED"
    (note,) = [text for text in folded.report.notes if "auto_pad VALID" in text]
    assert "minus infinity" in note


def test_as_the_exporter_writes_it_the_optimiser_is_named() -> None:
    exported = bnfuse.export(stem(), torch.randn(2, 3, 16, 16))
    result = verify(stem(), exported.model, torch.randn(2, 3, 16, 16), providers=["cpu"])
    assert [row.verdict for row in result.rows] == [Verdict.PASS, Verdict.FAIL]
    assert "optimisation all" in result.reason
    assert "with optimisations off the candidate passes" in result.reason


def test_a_file_is_mended_too_and_its_own_run_told_of() -> None:
    folded = bnfuse.fold(graph(POOL), providers=["cpu"])
    assert attributes(pool_of(onnx_ir.to_proto(folded.model)))["auto_pad"] == b"VALID"
    result = folded.report.verification
    assert result is not None
    assert result.verdict is Verdict.PASS, result.reason
    assert any("computes the original itself wrongly" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("pool", "pad", "extra"),
    [
        (POOL, "Pad(c, p, one)", ", float one = {1}"),
        (POOL, 'Pad<mode = "edge">(c, p)', ""),
        (POOL, "Relu(c)", ""),
        ("MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>", "Pad(c, p)", ""),
        ("MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>", "Pad(c, p)", ""),
        ('MaxPool<kernel_shape = [3, 3], auto_pad = "SAME_UPPER">', "Pad(c, p)", ""),
    ],
)
def test_other_pools_stay_as_they_are(pool: str, pad: str, extra: str) -> None:
    model = graph(pool, pad, extra)
    folded = onnx_ir.to_proto(bnfuse.fold(model, verified=False).model)
    assert attributes(pool_of(folded)) == attributes(pool_of(model))
