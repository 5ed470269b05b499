"""Diverse branch blocks, as Ding et al. (CVPR 2021) define them, are one Conv each.

Two of the four branches have a 1×1 before a kernel or an average. The paper pads before the 1×1,
so that the two are one convolution. Their code pads after the 1×1's norm, with what that norm makes
of zero, so that it is the same; written as an assignment into slices, that exports as several dozen
ScatterND over run-time ranges, whose constant is that of the norm only to single precision.
"""

from __future__ import annotations

import onnx_ir as ir
import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn
from torch.nn import functional as F

import bnfuse

X = torch.randn(2, 4, 7, 7)


class PaddedBefore(nn.Module):
    """Zeros, a 1×1 without bias, its norm."""

    def __init__(self, inputs: int, outputs: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(F.pad(x, [self.pad] * 4)))

    def of_zero(self) -> torch.Tensor:
        """What the norm makes of zero."""
        norm = self.norm
        deviation = torch.sqrt(norm.running_var + norm.eps)
        return (norm.bias - norm.running_mean * norm.weight / deviation).view(1, -1, 1, 1)


class PaddedInside(PaddedBefore):
    """The same function, with zeros between the norm and its value of zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        border = self.of_zero()
        return F.pad(self.norm(self.conv(x)) - border, [self.pad] * 4) + border


class PaddedByAssignment(PaddedBefore):
    """The same function, with the border written over zeros."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.pad(self.norm(self.conv(x)), [self.pad] * 4)
        y[:, :, : self.pad, :] = self.of_zero()
        y[:, :, -self.pad :, :] = self.of_zero()
        y[:, :, :, : self.pad] = self.of_zero()
        y[:, :, :, -self.pad :] = self.of_zero()
        return y


class DiverseBranchBlock(nn.Module):
    """A kernel, a 1×1, a 1×1 before a kernel, and a 1×1 before an average, each with a norm."""

    def __init__(
        self, head: type[PaddedBefore], inputs: int, outputs: int, stride: int = 1
    ) -> None:
        super().__init__()
        plain = {"stride": stride, "bias": False}
        self.kernel = nn.Conv2d(inputs, outputs, 3, padding=1, **plain)
        self.one = nn.Conv2d(inputs, outputs, 1, **plain)
        self.deep = nn.Sequential(head(inputs, 3, 1), nn.Conv2d(3, outputs, 3, **plain))
        self.mean = nn.Sequential(head(inputs, outputs, 1), nn.AvgPool2d(3, stride))
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = (self.kernel, self.one, self.deep, self.mean)
        normed = [norm(branch(x)) for norm, branch in zip(self.norms, branches, strict=True)]
        return F.relu(sum(normed[1:], normed[0]))


def net(head: type[PaddedBefore]) -> nn.Module:
    torch.manual_seed(0)
    made = DiverseBranchBlock(head, 4, 6, stride=2)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return made.eval()


def test_the_three_spellings_are_one_function() -> None:
    with torch.no_grad():
        expected = net(PaddedBefore)(X)
        for head in (PaddedInside, PaddedByAssignment):
            torch.testing.assert_close(net(head)(X), expected)


def test_a_block_padded_before_its_1x1_is_one_conv() -> None:
    folded = bnfuse.fold(net(PaddedBefore), X)
    assert [node.op_type for node in folded.model.graph] == ["Conv", "Relu"]
    assert folded.report.verdict == "PASS"
    assert [merge.kind for merge in folded.report.merges] == ["padding", "padding", "parallel"]
    merge = folded.report.merges[-1]
    assert len(merge.parts) == 4
    assert merge.after.flops < merge.before.flops
    assert merge.after.bytes < merge.before.bytes


@pytest.mark.parametrize("head", [PaddedInside, PaddedByAssignment])
def test_a_border_that_is_the_norm_of_zero_only_when_rounded_is_left(
    head: type[PaddedBefore],
) -> None:
    module = net(head)
    folded = bnfuse.fold(module, X, verified=False)
    # The two branches without such a border are one; the 1×1s and the deep kernel stay.
    assert [node.op_type for node in folded.model.graph].count("Conv") == 4
    if head is PaddedInside:
        assert any("the bias before it must not reach" in m.reason for m in folded.report.unmerged)
    model = ir.serde.serialize_model(folded.model).SerializeToString()
    session = InferenceSession(model)
    (output,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(output), module(X))
