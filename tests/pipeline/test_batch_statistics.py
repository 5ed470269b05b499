"""A norm that takes its statistics from the batch is called that."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import bnfuse


class ByHand(nn.Module):
    def __init__(self, how: str, dims: tuple[int, ...] = (0, 2, 3)) -> None:
        super().__init__()
        self.how, self.dims = how, dims
        self.conv = nn.Conv2d(3, 4, 3)
        self.gamma = nn.Parameter(torch.rand(1, 4, 1, 1) + 0.5)
        self.beta = nn.Parameter(torch.rand(1, 4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        mean = y.mean(self.dims, keepdim=True)
        if self.how == "var":
            variance = y.var(self.dims, keepdim=True, unbiased=False)
            y = (y - mean) * torch.rsqrt(variance + 1e-5)
        else:
            y = (y - mean) / torch.sqrt(((y - mean) ** 2).mean(self.dims, keepdim=True) + 1e-5)
        return (self.gamma * y + self.beta).relu()


NETS = {
    "var": lambda: ByHand("var"),
    "mean": lambda: ByHand("mean"),
    "untracked": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU()
    ),
}


@pytest.mark.parametrize("kind", NETS)
def test_statistics_of_the_batch_are_the_reason(kind: str) -> None:
    report = bnfuse.fold(NETS[kind]().eval(), torch.randn(4, 3, 8, 8), providers="cpu").report
    assert report.verdict == "PASS"
    (site,) = [site for site in report.sites if site.kind in ("norm", "affine")]
    assert not site.folded
    assert "its statistics are computed from the batch at run time" in site.reason
    assert "two run-time values" not in site.reason


def test_statistics_of_each_sample_are_not_called_the_batchs() -> None:
    net = ByHand("mean", (1, 2, 3)).eval()
    report = bnfuse.fold(net, torch.randn(4, 3, 8, 8), providers="cpu").report
    assert not any("the batch" in site.reason for site in report.sites)
