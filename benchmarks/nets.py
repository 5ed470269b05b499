"""Small nets for what ``transformers`` has no architecture for, after the papers named."""

from __future__ import annotations

__all__ = ["ConvMixer", "ConvReluNorm", "DenseNet", "PreActResNet", "RepVgg"]

import torch
from torch import Tensor, nn


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def _stem(channels: int, stride: int = 4) -> nn.Conv2d:
    return nn.Conv2d(3, channels, stride, stride=stride)


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.path(x)], 1)


class DenseNet(nn.Module):
    """Norms after a Concat, before a ReLU (Huang et al. 2017), two blocks of six layers."""

    def __init__(self, growth: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [_stem(64)]
        channels = 64
        for block in range(2):
            for _ in range(6):
                layers.append(_DenseLayer(channels, growth))
                channels += growth
            if block == 0:
                layers += [
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                    nn.Conv2d(channels, channels // 2, 1, bias=False),
                    nn.AvgPool2d(2),
                ]
                channels //= 2
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), _head(channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 1000)``."""
        y: Tensor = self.layers(x)
        return y


class _Mixer(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, groups=channels, padding=kernel // 2),
            nn.GELU(),
            nn.BatchNorm2d(channels),
        )
        self.channels = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.GELU(), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.channels(x + self.spatial(x))
        return y


class ConvMixer(nn.Module):
    """Norms after a GELU (Trockman and Kolter 2022), eight layers of 128 channels."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _stem(channels, 7),
            nn.GELU(),
            nn.BatchNorm2d(channels),
            *(_Mixer(channels, 9) for _ in range(8)),
            _head(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 1000)``."""
        y: Tensor = self.layers(x)
        return y


class _RepVggBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, branches: int) -> None:
        super().__init__()
        kept = inputs == outputs and stride == 1
        made: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
            ),
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            ),
            *([nn.BatchNorm2d(inputs)] if kept else []),
        ]
        self.branches = nn.ModuleList(made[:branches])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (branch(x) for branch in self.branches)
        z: Tensor = self.relu(sum(others, first))
        return z


class RepVgg(nn.Module):
    """Parallel 3×3, 1×1 and identity branches, each with a norm (Ding et al. 2021).

    Args:
        branches: How many of the three a block has; with one it is the net that they merge to.
    """

    def __init__(self, branches: int = 3) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 3
        for width, depth in ((48, 1), (48, 2), (96, 4), (192, 6)):
            for index in range(depth):
                blocks.append(_RepVggBlock(channels, width, 1 if index else 2, branches))
                channels = width
        self.layers = nn.Sequential(*blocks, _head(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 1000)``."""
        y: Tensor = self.layers(x)
        return y


class _PreActBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.path(x)
        return y


class PreActResNet(nn.Module):
    """Norm and ReLU before each convolution (He et al. 2016), eight blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _stem(64),
            *(_PreActBlock(64) for _ in range(4)),
            nn.Conv2d(64, 128, 1, stride=2, bias=False),
            *(_PreActBlock(128) for _ in range(4)),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            _head(128),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 1000)``."""
        y: Tensor = self.layers(x)
        return y


class ConvReluNorm(nn.Module):
    """The norm after the ReLU, as many people write it: eight layers."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (32, 32, 64, 64, 128, 128, 256, 256):
            stride = 2 if width != channels else 1
            layers += [nn.Conv2d(channels, width, 3, stride, 1), nn.ReLU(), nn.BatchNorm2d(width)]
            channels = width
        self.layers = nn.Sequential(*layers, _head(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 1000)``."""
        y: Tensor = self.layers(x)
        return y
