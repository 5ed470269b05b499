"""Small and reparametrised classifiers of images, in the style of torchvision and timm."""

from __future__ import annotations

__all__ = ["NETS"]

import torch
from torch import Tensor, nn

from benchmarks.styles.parts import Add, Gate, activated, head, normed


def _inverted(
    inputs: int, outputs: int, kernel: int, stride: int, by: type[nn.Module]
) -> nn.Module:
    wide = 3 * inputs
    path = nn.Sequential(
        activated(inputs, wide, by=by),
        activated(wide, wide, kernel, stride, wide, by=by),
        Gate(wide, 4, nn.Hardsigmoid if by is nn.Hardswish else nn.Sigmoid),
        normed(wide, outputs),
    )
    return Add(path, nn.Identity()) if inputs == outputs and stride == 1 else path


def mobilenet_v3() -> nn.Module:
    """Hard swish, hard sigmoid, squeeze and excitation."""
    blocks = [_inverted(8, 8, 3, 1, nn.Hardswish), _inverted(8, 12, 5, 2, nn.Hardswish)]
    last = activated(12, 24, by=nn.Hardswish)
    return nn.Sequential(activated(3, 8, 3, 2, by=nn.Hardswish), *blocks, last, head(24))


def efficientnet() -> nn.Module:
    """SiLU and squeeze and excitation."""
    blocks = [_inverted(8, 8, 3, 1, nn.SiLU), _inverted(8, 12, 5, 2, nn.SiLU)]
    last = activated(12, 24, by=nn.SiLU)
    return nn.Sequential(activated(3, 8, 3, 2, by=nn.SiLU), *blocks, last, head(24))


def mobilenet_v2() -> nn.Module:
    """Relu6 and linear bottlenecks."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        wide = 3 * inputs
        path = nn.Sequential(
            activated(inputs, wide, by=nn.ReLU6),
            activated(wide, wide, 3, stride, wide, by=nn.ReLU6),
            normed(wide, outputs),
        )
        return Add(nn.Identity(), path) if inputs == outputs and stride == 1 else path

    blocks = [block(8, 8, 1), block(8, 12, 2), block(12, 12, 1)]
    return nn.Sequential(activated(3, 8, 3, 2, by=nn.ReLU6), *blocks, head(12))


class _Shuffle(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        half = channels // 2 if stride == 1 else channels
        self.main = nn.Sequential(
            activated(half, half), normed(half, half, 3, stride, half), activated(half, half)
        )
        self.other = nn.Sequential(normed(half, half, 3, stride, half), activated(half, half))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            left, right = x.chunk(2, 1)
            y = torch.cat([left, self.main(right)], 1)
        else:
            y = torch.cat([self.other(x), self.main(x)], 1)
        batch, channels, height, width = y.shape
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return y.view(batch, channels, height, width)


def shufflenet() -> nn.Module:
    """Half of the channels past each block, then a shuffle."""
    blocks = [_Shuffle(8, 2), _Shuffle(16, 1), _Shuffle(16, 1)]
    return nn.Sequential(
        activated(3, 8, 3, 2), nn.MaxPool2d(3, 2, 1), *blocks, activated(16, 24), head(24)
    )


class _Ghost(nn.Module):
    def __init__(self, inputs: int, outputs: int, relu: bool) -> None:
        super().__init__()
        self.outputs = outputs
        half = outputs // 2
        by = nn.ReLU if relu else nn.Identity
        self.primary = activated(inputs, half, by=by)
        self.cheap = activated(half, half, 3, groups=half, by=by)

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], 1)[:, : self.outputs]


def ghostnet() -> nn.Module:
    """Half of each layer's channels are made from the other half."""
    block = nn.Sequential(_Ghost(8, 16, True), Gate(16, 4, nn.Hardsigmoid), _Ghost(16, 8, False))
    return nn.Sequential(activated(3, 8, 3, 2), Add(block, nn.Identity()), head(8))


class _MobileOne(nn.Module):
    def __init__(self, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.skip = nn.BatchNorm2d(channels)
        self.scale = normed(channels, channels, 1, groups=groups)
        self.convs = nn.ModuleList(
            normed(channels, channels, kernel, groups=groups) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.skip(x) + self.scale(x)
        for conv in self.convs:
            y = y + conv(x)
        return torch.relu(y)


def mobileone() -> nn.Module:
    """Overparametrised depthwise and pointwise branches."""
    blocks = [_MobileOne(8, 3, 8), _MobileOne(8, 1, 1), _MobileOne(8, 3, 8)]
    return nn.Sequential(activated(3, 8, 3, 2), *blocks, head(8))


def squeezenet() -> nn.Module:
    """Fire modules with norms."""

    class Fire(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze = activated(8, 4)
            self.one, self.three = activated(4, 4), activated(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.squeeze(x)
            return torch.cat([self.one(y), self.three(y)], 1)

    return nn.Sequential(
        activated(3, 8, 3, 2), Fire(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(), head(8)
    )


NETS = {
    "MobileNetV2": mobilenet_v2,
    "MobileNetV3": mobilenet_v3,
    "EfficientNet": efficientnet,
    "ShuffleNetV2": shufflenet,
    "GhostNet": ghostnet,
    "MobileOne": mobileone,
    "SqueezeNet": squeezenet,
}
