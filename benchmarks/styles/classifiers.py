"""Classifiers of images by convolution, in the style of torchvision and timm."""

from __future__ import annotations

__all__ = ["NETS"]

import torch
from torch import Tensor, nn

from benchmarks.styles.parts import Add, Gate, activated, head, normed


def vgg() -> nn.Module:
    """Convolutions with bias, then norms; the classifier flattens a 7x7 grid."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (4, 8):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = width
    pooled = [nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(8 * 49, 16), nn.ReLU()]
    return nn.Sequential(*layers, *pooled, nn.Dropout(), nn.Linear(16, 5))


def resnet() -> nn.Module:
    """Bottlenecks with a projected shortcut."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        width = outputs // 2
        path = nn.Sequential(
            activated(inputs, width),
            activated(width, width, 3, stride),
            normed(width, outputs),
        )
        same = inputs == outputs and stride == 1
        shortcut = nn.Identity() if same else normed(inputs, outputs, 1, stride)
        return Add(path, shortcut, then=nn.ReLU())

    blocks = (block(8, 16, 1), block(16, 16, 1), block(16, 24, 2), block(24, 24, 1))
    return nn.Sequential(activated(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, head(24))


def resnet_d() -> nn.Module:
    """A deep stem, and shortcuts that average before they project."""

    def block(inputs: int, outputs: int) -> nn.Module:
        path = nn.Sequential(activated(inputs, outputs, 3, 2), normed(outputs, outputs, 3))
        shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), normed(inputs, outputs)
        )
        return Add(path, shortcut, then=nn.ReLU())

    stem = [activated(3, 4, 3, 2), activated(4, 4, 3), activated(4, 8, 3)]
    return nn.Sequential(*stem, block(8, 12), block(12, 16), head(16))


class _Res2(nn.Module):
    def __init__(self, channels: int, scales: int = 4) -> None:
        super().__init__()
        width = channels // scales
        self.enter = activated(channels, channels)
        self.steps = nn.ModuleList(activated(width, width, 3) for _ in range(scales - 1))
        self.leave = normed(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.enter(x).chunk(len(self.steps) + 1, 1)
        parts, last = [first], torch.zeros_like(first)
        for step, part in zip(self.steps, rest, strict=True):
            last = step(part + last)
            parts.append(last)
        y: Tensor = torch.relu(x + self.leave(torch.cat(parts, 1)))
        return y


def res2net() -> nn.Module:
    """Channel groups that feed one another inside a block."""
    return nn.Sequential(activated(3, 16, 3, 2), _Res2(16), _Res2(16), head(16))


class _SplitAttention(nn.Module):
    def __init__(self, channels: int, radix: int = 2) -> None:
        super().__init__()
        self.radix = radix
        self.conv = activated(channels, channels * radix, 3, groups=radix)
        self.enter = activated(channels, channels // 2)
        self.leave = nn.Conv2d(channels // 2, channels * radix, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        batch, channels = y.shape[:2]
        parts = y.reshape(batch, self.radix, channels // self.radix, *y.shape[2:])
        pooled = parts.sum(1).mean((2, 3), keepdim=True)
        weights = self.leave(self.enter(pooled)).view(batch, 1, self.radix, -1)
        weights = weights.transpose(1, 2).softmax(1).reshape(batch, -1, 1, 1)
        weighed = parts * weights.reshape(batch, self.radix, channels // self.radix, 1, 1)
        z: Tensor = weighed.sum(1)
        return z


def resnest() -> nn.Module:
    """Split attention: a softmax over two halves of the channels."""
    block = nn.Sequential(activated(8, 8), _SplitAttention(8), normed(8, 8))
    return nn.Sequential(activated(3, 8, 3, 2), Add(block, nn.Identity(), then=nn.ReLU()), head(8))


class _Selective(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(activated(channels, channels, 3, dilation=d) for d in (1, 2))
        self.squeeze = activated(channels, 4)
        self.choose = nn.Conv2d(4, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.stack([path(x) for path in self.paths], 1)
        weights = self.choose(self.squeeze(parts.sum(1).mean((2, 3), keepdim=True)))
        weights = weights.view(x.shape[0], 2, -1, 1, 1).softmax(1)
        y: Tensor = (parts * weights).sum(1)
        return y


def sknet() -> nn.Module:
    """Kernels of two sizes, chosen by attention."""
    return nn.Sequential(activated(3, 8, 3, 2), _Selective(8), normed(8, 8), nn.ReLU(), head(8))


def regnet() -> nn.Module:
    """Grouped bottlenecks with squeeze and excitation."""

    def block(inputs: int, outputs: int) -> nn.Module:
        path = nn.Sequential(
            activated(inputs, outputs),
            activated(outputs, outputs, 3, 2, groups=outputs // 4),
            Gate(outputs, 2),
            normed(outputs, outputs),
        )
        return Add(path, normed(inputs, outputs, 1, 2), then=nn.ReLU())

    return nn.Sequential(activated(3, 8, 3, 2), block(8, 8), block(8, 16), head(16))


class _Dense(nn.Module):
    def __init__(self, channels: int, growth: int = 4) -> None:
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


def densenet() -> nn.Module:
    """Norms after a Concat, and a transition that averages."""
    transition = [nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(
        *activated(3, 8, 7, 2),
        nn.MaxPool2d(3, 2, 1),
        *(_Dense(8 + 4 * i) for i in range(2)),
        *transition,
        *(_Dense(8 + 4 * i) for i in range(2)),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        head(16),
    )


class _Inception(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        asymmetric = nn.Sequential(
            nn.Conv2d(4, 4, (1, 7), padding=(0, 3), bias=False),
            nn.BatchNorm2d(4, eps=1e-3),
            nn.ReLU(),
            nn.Conv2d(4, 4, (7, 1), padding=(3, 0), bias=False),
            nn.BatchNorm2d(4, eps=1e-3),
            nn.ReLU(),
        )
        self.paths = nn.ModuleList(
            [
                activated(channels, 4),
                nn.Sequential(activated(channels, 4), activated(4, 4, 3)),
                nn.Sequential(activated(channels, 4), asymmetric),
                nn.Sequential(nn.AvgPool2d(3, 1, 1), activated(channels, 4)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), activated(channels, 4)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], 1)


class _ByChannel(nn.Module):
    """What torchvision does to images for weights that were trained elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, i : i + 1] * (0.45 + 0.01 * i) + (0.03 * i - 0.1) for i in range(3)]
        return torch.cat(parts, 1)


def inception() -> nn.Module:
    """Parallel towers, asymmetric kernels, and the input transformed by channel."""
    stem = [_ByChannel(), activated(3, 8, 3, 2), nn.MaxPool2d(3, 2)]
    return nn.Sequential(*stem, _Inception(8), _Inception(20), head(20))


def darknet() -> nn.Module:
    """LeakyReLU, and stages of which a part goes past (CSP)."""
    return nn.Sequential(
        activated(3, 8, 3, 2, by=_leaky), _CrossStage(8, 16), _CrossStage(16, 16), head(16)
    )


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


class _CrossStage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.down = activated(inputs, outputs, 3, 2, by=_leaky)
        self.split = activated(outputs, outputs, by=_leaky)
        step = nn.Sequential(activated(half, half, by=_leaky), activated(half, half, 3, by=_leaky))
        self.path = nn.Sequential(Add(nn.Identity(), step), activated(half, half, by=_leaky))
        self.join = activated(outputs, outputs, by=_leaky)

    def forward(self, x: Tensor) -> Tensor:
        past, through = self.split(self.down(x)).chunk(2, 1)
        y: Tensor = self.join(torch.cat([self.path(through), past], 1))
        return y


class _Exchange(nn.Module):
    def __init__(self, high: int, low: int) -> None:
        super().__init__()
        self.high, self.low = normed(high, high, 3), normed(low, low, 3)
        self.up = nn.Sequential(normed(low, high), nn.Upsample(scale_factor=2, mode="nearest"))
        self.down = normed(high, low, 3, 2)

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        a, b = torch.relu(self.high(high)), torch.relu(self.low(low))
        return torch.relu(a + self.up(b)), torch.relu(b + self.down(a))


class HrNet(nn.Module):
    """Two resolutions that exchange what they found."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = activated(3, 8, 3, 2)
        self.lower = activated(8, 12, 3, 2)
        self.stages = nn.ModuleList([_Exchange(8, 12), _Exchange(8, 12)])
        self.last = nn.Sequential(activated(20, 16), nn.Conv2d(16, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        high = self.stem(x)
        low = self.lower(high)
        for stage in self.stages:
            high, low = stage(high, low)
        low = nn.functional.interpolate(low, size=high.shape[2:], mode="bilinear")
        y: Tensor = self.last(torch.cat([high, low], 1))
        return y


class GoogLeNet(nn.Module):
    """Towers by module, and a second classifier that inference leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(activated(3, 8, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.towers = nn.Sequential(_Inception(8), nn.MaxPool2d(2, 2, ceil_mode=True))
        self.auxiliary = head(20)
        self.head = head(20)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.towers(self.stem(x))
        if self.training:
            return self.head(y), self.auxiliary(y)
        z: Tensor = self.head(y)
        return z


def nfnet() -> nn.Module:
    """Standardised weights: a norm of the weight, which is a constant, before batch norm."""
    return nn.Sequential(_Standardized(3, 8), nn.BatchNorm2d(8), nn.ReLU(), head(8))


class _Standardized(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        deviation = self.weight.var((1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * torch.rsqrt(deviation + 1e-5)
        return nn.functional.conv2d(x, weight, self.bias, padding=1)


def blurred() -> nn.Module:
    """A fixed binomial filter before each stride, with reflected borders."""
    return nn.Sequential(activated(3, 8, 3), _Blur(8), activated(8, 8, 3), _Blur(8), head(8))


class _Blur(nn.Module):
    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = (row[:, None] * row).expand(channels, 1, 3, 3).clone()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return nn.functional.conv2d(x, self.kernel, stride=2, groups=x.shape[1])


NETS = {
    "VGG": vgg,
    "ResNet": resnet,
    "ResNet-D": resnet_d,
    "Res2Net": res2net,
    "ResNeSt": resnest,
    "SKNet": sknet,
    "RegNet-Y": regnet,
    "DenseNet": densenet,
    "Inception": inception,
    "GoogLeNet": GoogLeNet,
    "CSPDarkNet": darknet,
    "HRNet": HrNet,
    "NFNet stem": nfnet,
    "BlurPool": blurred,
}
