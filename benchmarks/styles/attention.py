"""Classifiers of images that mix tokens, in the style of timm."""

from __future__ import annotations

__all__ = ["NETS"]

import torch
from torch import Tensor, nn

from benchmarks.styles.parts import Add, activated, head, normed


class _Scale(nn.Module):
    """A layer scale; ``shape`` as the net has it."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(0.3 + 0.4 * torch.rand(*shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _ConvNextBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.path = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            _Scale(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.path(self.mix(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + y


def convnext() -> nn.Module:
    """Layer norms over channels that were moved to the end."""
    stem = nn.Conv2d(3, 8, 4, 4)
    return nn.Sequential(stem, _ConvNextBlock(8), _ConvNextBlock(8), head(8))


class _PoolMixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(x) - x
        return y


def _pool_block(channels: int, norm: type[nn.Module]) -> nn.Module:
    mixer = nn.Sequential(norm(channels), _PoolMixer(), _Scale(channels, 1, 1))
    mlp = nn.Sequential(
        norm(channels),
        nn.Conv2d(channels, 2 * channels, 1),
        nn.GELU(),
        nn.Conv2d(2 * channels, channels, 1),
        _Scale(channels, 1, 1),
    )
    return nn.Sequential(Add(nn.Identity(), mixer), Add(nn.Identity(), mlp))


def poolformer() -> nn.Module:
    """A pool less its input as the mixer, batch norm before it, layer scales behind."""
    blocks = [_pool_block(8, nn.BatchNorm2d) for _ in range(2)]
    return nn.Sequential(nn.Conv2d(3, 8, 7, 4, 3), *blocks, nn.BatchNorm2d(8), head(8))


class _Attention(nn.Module):
    """Attention of tokens; ``norm`` makes what follows each linear map, as in LeViT."""

    bias: Tensor

    def __init__(self, channels: int, heads: int = 2, normalized: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(channels, 3 * channels, bias=not normalized)
        self.norm = nn.BatchNorm1d(3 * channels) if normalized else nn.Identity()
        self.leave = nn.Linear(channels, channels, bias=not normalized)
        self.last = nn.BatchNorm1d(channels) if normalized else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        batch, length, channels = x.shape
        mixed = self.norm(self.mix(x).flatten(0, 1)).view(batch, length, 3, self.heads, -1)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1) * (channels // self.heads) ** -0.5).softmax(-1)
        y = (weights @ value).transpose(1, 2).reshape(batch, length, channels)
        z: Tensor = self.last(self.leave(y).flatten(0, 1)).view(batch, length, channels)
        return z


class _Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class _Mean(nn.Module):
    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axis)


def levit() -> nn.Module:
    """Linear maps over tokens, each with a batch norm over the flattened tokens."""

    class Normed(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.linear, self.norm = nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs)

        def forward(self, x: Tensor) -> Tensor:
            y = self.linear(x)
            z: Tensor = self.norm(y.flatten(0, 1)).reshape_as(y)
            return z

    stem = [activated(3, 8, 3, 2, by=nn.Hardswish), normed(8, 8, 3, 2), _Tokens()]
    mlp = nn.Sequential(Normed(8, 16), nn.Hardswish(), Normed(16, 8))
    blocks = [Add(nn.Identity(), _Attention(8, normalized=True)), Add(nn.Identity(), mlp)]
    last = [_Mean(1), nn.BatchNorm1d(8), nn.Linear(8, 5)]
    return nn.Sequential(*stem, *blocks, *last)


def efficientformer() -> nn.Module:
    """Blocks of pools and convolutions with norms and layer scales, then attention."""

    def block(channels: int) -> nn.Module:
        mixer = nn.Sequential(_PoolMixer(), _Scale(channels, 1, 1))
        mlp = nn.Sequential(
            activated(channels, 2 * channels, by=nn.GELU),
            normed(2 * channels, channels),
            _Scale(channels, 1, 1),
        )
        return nn.Sequential(Add(nn.Identity(), mixer), Add(nn.Identity(), mlp))

    attention = nn.Sequential(nn.LayerNorm(8), _Attention(8), _Scale(8))
    last = [_Tokens(), Add(nn.Identity(), attention), nn.LayerNorm(8), _Mean(1), nn.Linear(8, 5)]
    return nn.Sequential(activated(3, 8, 3, 4), block(8), block(8), *last)


class _Affine(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(0.5 + torch.rand(1, 1, channels))
        self.beta = nn.Parameter(torch.randn(1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.beta, self.alpha, x)


class _Across(nn.Module):
    def __init__(self, length: int) -> None:
        super().__init__()
        self.linear = nn.Linear(length, length)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x.transpose(1, 2)).transpose(1, 2)
        return y


class ResMlp(nn.Module):
    """An affine per channel before a linear map along the tokens."""

    input_shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Sequential(nn.Conv2d(3, 8, 8, 8), _Tokens())
        self.blocks = nn.Sequential(*(self._block() for _ in range(2)))
        self.last = nn.Sequential(_Affine(8), _Mean(1), nn.Linear(8, 5))

    @staticmethod
    def _block() -> nn.Module:
        across = nn.Sequential(_Affine(8), _Across(16), _Scale(8))
        mlp = nn.Sequential(_Affine(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), _Scale(8))
        return nn.Sequential(Add(nn.Identity(), across), Add(nn.Identity(), mlp))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.blocks(self.patch(x)))
        return y


class VisionTransformer(nn.Module):
    """A class token, positions, and the built-in encoder layer."""

    input_shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Sequential(nn.Conv2d(3, 8, 8, 8), _Tokens())
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 17, 8))
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patch(x)
        y = torch.cat([self.token.expand(x.shape[0], -1, -1), y], 1) + self.positions
        z: Tensor = self.last(self.encoder(y)[:, 0])
        return z


class _Window(nn.Module):
    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm, self.attention = nn.LayerNorm(channels), _Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        rows, columns = height // self.window, width // self.window
        y = y.view(batch, rows, self.window, columns, self.window, channels).permute(
            0, 1, 3, 2, 4, 5
        )
        y = self.attention(y.reshape(-1, self.window**2, channels))
        y = y.view(batch, rows, columns, self.window, self.window, channels)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)
        return x + torch.roll(y, (self.shift, self.shift), (1, 2))


class Swin(nn.Module):
    """Attention in windows, one time in two shifted."""

    input_shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.Sequential(_Window(8, 4, 0), _Window(8, 4, 2))
        self.last = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(self.patch(x).permute(0, 2, 3, 1))
        z: Tensor = self.last(y.mean((1, 2)))
        return z


def convmixer() -> nn.Module:
    """Norms after a GELU."""

    def layer() -> nn.Module:
        spatial = nn.Sequential(
            nn.Conv2d(8, 8, 5, groups=8, padding="same"), nn.GELU(), nn.BatchNorm2d(8)
        )
        point = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU(), nn.BatchNorm2d(8))
        return nn.Sequential(Add(nn.Identity(), spatial), point)

    stem = [nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.BatchNorm2d(8)]
    return nn.Sequential(*stem, layer(), layer(), head(8))


NETS = {
    "ConvNeXt": convnext,
    "ConvMixer": convmixer,
    "PoolFormer": poolformer,
    "EfficientFormer": efficientformer,
    "LeViT": levit,
    "ResMLP": ResMlp,
    "ViT": VisionTransformer,
    "Swin": Swin,
}
