"""Every way that people spell a norm, around Conv, grouped Conv and Linear, folds away."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bnfuse.models import SPELLINGS, swap_norms
from bnfuse.pipeline import fold


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.norm2 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 8)
        self.norm3 = nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu()
        x = self.norm2(self.grouped(x)).relu().mean((2, 3))
        return self.norm3(self.linear(x))


def with_statistics(net: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
    return net.eval()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_folds_and_passes(spelling: str) -> None:
    net = swap_norms(with_statistics(Net()), spelling=spelling)
    result = fold(net, torch.randn(2, 3, 8, 8))
    assert [site.folded for site in result.report.norms] == [True] * 3
    assert result.report.verdict == "PASS"
    ops = [node.op_type for node in result.model.graph if node.op_type != "Transpose"]
    assert ops.count("Conv") == 2
    assert not {"Sub", "Div", "Mul", "Add", "BatchNormalization", "Sqrt"} & set(ops)


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.scale = nn.Parameter(torch.rand(8) + 0.5)
        self.shift = nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,c->nchw", self.conv(x), self.scale) + self.shift


class WeightNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class SharedNorm(nn.Module):
    """One norm module used twice, after two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.norm(self.conv(x)).relu()))


class LogVariance(nn.Module):
    """Statistics kept as logarithms, eps outside the root."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.register_buffer("mean", torch.randn(8))
        self.register_buffer("log_var", torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        deviation = self.log_var.exp().pow(0.5) + 1e-5
        return (self.conv(x) - self.mean[:, None, None]) / deviation[:, None, None]


@pytest.mark.parametrize("net", [Einsum, WeightNormed, SharedNorm, LogVariance])
def test_other_spellings_fold_and_pass(net: type[nn.Module]) -> None:
    result = fold(with_statistics(net()), torch.randn(2, 3, 8, 8))
    assert result.report.norms
    assert all(site.folded for site in result.report.norms)
    assert result.report.verdict == "PASS"
    assert {node.op_type for node in result.model.graph} <= {"Conv", "Relu"}


class BatchStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


def test_batch_statistics_are_left_with_the_reason() -> None:
    result = fold(BatchStatistics().eval(), torch.randn(2, 3, 8, 8))
    assert result.report.verdict == "PASS"
    (site,) = result.report.norms
    assert not site.folded
    assert "run time" in site.reason


def test_half_precision_folds_in_half_precision() -> None:
    net = with_statistics(WeightNormed()).half()
    result = fold(net, torch.randn(2, 3, 8, 8).half())
    assert [site.folded for site in result.report.norms] == [True]
    assert result.report.verdict == "PASS"
    assert {v.dtype.name for v in result.model.graph.initializers.values()} == {"FLOAT16"}
