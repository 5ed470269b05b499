"""Nets that answer for every pixel or for every anchor: segmentation, detection, key points."""

from __future__ import annotations

__all__ = ["NETS"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmarks.styles.parts import Add, activated, normed

if TYPE_CHECKING:
    from collections.abc import Sequence

_resize = nn.functional.interpolate


class _Pooled(nn.Module):
    """A pooled grid, projected and stretched back to the size it came from."""

    def __init__(self, inputs: int, outputs: int, grid: int, aligned: bool = False) -> None:
        super().__init__()
        self.path = nn.Sequential(nn.AdaptiveAvgPool2d(grid), activated(inputs, outputs))
        self.aligned = aligned

    def forward(self, x: Tensor) -> Tensor:
        return _resize(self.path(x), size=x.shape[-2:], mode="bilinear", align_corners=self.aligned)


class DeepLabV3(nn.Module):
    """Atrous convolutions beside a global mean that is stretched back (ASPP)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(activated(3, 8, 3, 2), activated(8, 8, 3, 2))
        atrous = [activated(8, 4, 3, dilation=rate) for rate in (2, 4)]
        self.paths = nn.ModuleList([activated(8, 4), *atrous, _Pooled(8, 4, 1)])
        self.last = nn.Sequential(activated(16, 8), nn.Dropout(0.5), nn.Conv2d(8, 3, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.stem(x)
        y = self.last(torch.cat([path(y) for path in self.paths], 1))
        return {"out": _resize(y, size=x.shape[-2:], mode="bilinear", align_corners=False)}


class PspNet(nn.Module):
    """A pyramid of pooled grids."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(activated(3, 8, 3, 2), activated(8, 8, 3, 2))
        self.pools = nn.ModuleList(_Pooled(8, 4, grid, aligned=True) for grid in (1, 2, 4))
        self.last = nn.Sequential(activated(20, 8, 3), nn.Conv2d(8, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y = self.last(torch.cat([y, *(pool(y) for pool in self.pools)], 1))
        return _resize(y, size=x.shape[-2:], mode="bilinear", align_corners=True)


class Lraspp(nn.Module):
    """A gate from a global mean, and a low-level path."""

    def __init__(self) -> None:
        super().__init__()
        self.low = activated(3, 8, 3, 2, by=nn.Hardswish)
        self.high = activated(8, 12, 3, 2, by=nn.Hardswish)
        self.project = activated(12, 8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 8, 1, bias=False), nn.Sigmoid()
        )
        self.low_last, self.high_last = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        high = self.high(low)
        y = _resize(self.project(high) * self.gate(high), size=low.shape[-2:], mode="bilinear")
        return self.low_last(low) + self.high_last(y)


class UNet(nn.Module):
    """Skips by Concat, upsampling by a transposed convolution, padding where sizes are odd."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.ModuleList([self._pair(3, 8), self._pair(8, 12), self._pair(12, 16)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(16, 12, 2, 2), nn.ConvTranspose2d(12, 8, 2, 2)])
        self.leave = nn.ModuleList([self._pair(24, 12), self._pair(16, 8)])
        self.last = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _pair(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(activated(inputs, outputs, 3), activated(outputs, outputs, 3))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for index, block in enumerate(self.enter):
            x = block(x if index == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, block, skip in zip(self.up, self.leave, skips[-2::-1], strict=True):
            x = up(x)
            height, width = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = nn.functional.pad(x, (width // 2, width - width // 2, 0, height))
            x = block(torch.cat([skip, x], 1))
        y: Tensor = self.last(x)
        return y


class Pyramid(nn.Module):
    """A feature pyramid under a head that all of its levels share, as in RetinaNet and FCOS."""

    def __init__(self, anchors: int = 2) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [activated(3, 8, 3, 4), activated(8, 12, 3, 2), activated(12, 16, 3, 2)]
        )
        self.lateral = nn.ModuleList(normed(width, 8) for width in (8, 12, 16))
        self.smooth = nn.ModuleList(normed(8, 8, 3) for _ in range(3))
        self.tower = nn.Sequential(activated(8, 8, 3), activated(8, 8, 3))
        self.classes, self.boxes = (
            nn.Conv2d(8, 3 * anchors, 3, padding=1),
            nn.Conv2d(8, 4 * anchors, 3, padding=1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        merged: list[Tensor] = []
        for lateral, feature in zip(self.lateral[::-1], features[::-1], strict=True):
            y = lateral(feature)
            if merged:
                y = y + _resize(merged[0], size=y.shape[-2:], mode="nearest")
            merged.insert(0, y)
        towers = [self.tower(s(level)) for s, level in zip(self.smooth, merged, strict=True)]
        return (
            torch.cat([self._rows(self.classes(y), 3) for y in towers], 1),
            torch.cat([self._rows(self.boxes(y), 4) for y in towers], 1),
        )

    @staticmethod
    def _rows(x: Tensor, width: int) -> Tensor:
        batch, _, height, columns = x.shape
        x = x.view(batch, -1, width, height, columns).permute(0, 3, 4, 1, 2)
        return x.reshape(batch, -1, width)


class _C2f(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.enter = activated(inputs, outputs, by=nn.SiLU)
        path = nn.Sequential(
            activated(half, half, 3, by=nn.SiLU), activated(half, half, 3, by=nn.SiLU)
        )
        self.blocks = nn.ModuleList([Add(nn.Identity(), path)])
        self.leave = activated(3 * half, outputs, by=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(2, 1))
        parts.extend(block(parts[-1]) for block in self.blocks)
        y: Tensor = self.leave(torch.cat(parts, 1))
        return y


class _Detect(nn.Module):
    """Boxes as expectations of distances to the cells of the grid, kept between calls."""

    def __init__(self, widths: Sequence[int], strides: Sequence[int], bins: int = 4) -> None:
        super().__init__()
        self.strides, self.bins, self.shape = strides, bins, None
        self.boxes, self.scores = (
            nn.ModuleList(
                nn.Sequential(activated(w, w, 3, by=nn.SiLU), nn.Conv2d(w, count, 1))
                for w in widths
            )
            for count in (4 * bins, 3)
        )
        self.expect = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.expect.weight.data[:] = torch.arange(bins, dtype=torch.float).view(1, bins, 1, 1)
        self.anchors = self.cells = torch.empty(0)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        found = [
            torch.cat([box(x), score(x)], 1)
            for box, score, x in zip(self.boxes, self.scores, levels, strict=True)
        ]
        shape = levels[0].shape
        if self.shape != shape:
            self.anchors, self.cells = self._grid(levels)
            self.shape = shape
        rows = torch.cat([y.view(shape[0], 4 * self.bins + 3, -1) for y in found], 2)
        box, scores = rows.split((4 * self.bins, 3), 1)
        batch, _, count = box.shape
        box = box.view(batch, 4, self.bins, count).transpose(2, 1).softmax(1)
        box = self.expect(box).view(batch, 4, count)
        near, far = box.chunk(2, 1)
        near, far = self.anchors - near, self.anchors + far
        box = torch.cat([(near + far) / 2, far - near], 1) * self.cells
        return torch.cat([box, scores.sigmoid()], 1), found

    def _grid(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        points, strides = [], []
        for x, stride in zip(levels, self.strides, strict=True):
            height, width = x.shape[2:]
            rows = torch.arange(height, dtype=x.dtype) + 0.5
            columns = torch.arange(width, dtype=x.dtype) + 0.5
            grid = torch.meshgrid(rows, columns, indexing="ij")
            points.append(torch.stack(grid[::-1], -1).view(-1, 2))
            strides.append(torch.full((height * width, 1), stride, dtype=x.dtype))
        return torch.cat(points).T[None], torch.cat(strides).T


class Yolo(nn.Module):
    """SiLU, C2f, pooling by repetition (SPPF), a path up and a head that keeps its grid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(activated(3, 8, 3, 2, by=nn.SiLU), _C2f(8, 8))
        self.down = nn.Sequential(activated(8, 12, 3, 2, by=nn.SiLU), _C2f(12, 12))
        self.enter, self.leave = activated(12, 6, by=nn.SiLU), activated(24, 12, by=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.join = _C2f(20, 8)
        self.detect = _Detect((8, 12), (2, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        high = self.stem(x)
        low = self.enter(self.down(high))
        pools = [low]
        for _ in range(3):
            pools.append(self.pool(pools[-1]))
        low = self.leave(torch.cat(pools, 1))
        up = _resize(low, scale_factor=2.0, mode="nearest")
        found: tuple[Tensor, list[Tensor]] = self.detect([self.join(torch.cat([up, high], 1)), low])
        return found


class SuperPoint(nn.Module):
    """Key points from a softmax over cells, and descriptors of unit length."""

    def __init__(self) -> None:
        super().__init__()
        layers = [activated(1, 8, 3), activated(8, 8, 3), nn.MaxPool2d(2), activated(8, 12, 3)]
        self.encoder = nn.Sequential(*layers, nn.MaxPool2d(2))
        self.points = nn.Sequential(activated(12, 12, 3), nn.Conv2d(12, 17, 1))
        self.described = nn.Sequential(activated(12, 12, 3), nn.Conv2d(12, 8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.encoder(x)
        scores = self.points(y).softmax(1)[:, :-1]
        batch, _, height, width = scores.shape
        scores = scores.permute(0, 2, 3, 1).reshape(batch, height, width, 4, 4)
        scores = scores.permute(0, 1, 3, 2, 4).reshape(batch, height * 4, width * 4)
        tops = nn.functional.max_pool2d(scores[:, None], 5, 1, 2)[:, 0]
        scores = torch.where(scores == tops, scores, torch.zeros_like(scores))
        return scores, nn.functional.normalize(self.described(y), p=2.0, dim=1)


class SingleShot(nn.Module):
    """An SSD head whose first level is scaled to a learnt length, and anchors of one image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.extra = activated(3, 8, 3, 4), activated(8, 12, 3, 2)
        self.scale = nn.Parameter(torch.rand(8) + 1)
        self.heads = nn.ModuleList(
            [nn.Conv2d(8, 14, 3, padding=1), nn.Conv2d(12, 14, 3, padding=1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem(x)
        second = self.extra(first)
        first = self.scale.view(1, -1, 1, 1) * nn.functional.normalize(first)
        rows = [
            head(y).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 7)
            for head, y in zip(self.heads, (first, second), strict=True)
        ]
        return torch.cat(rows, 1)


NETS = {
    "DeepLabV3": DeepLabV3,
    "PSPNet": PspNet,
    "LR-ASPP": Lraspp,
    "U-Net": UNet,
    "FPN, RetinaNet head": Pyramid,
    "YOLO": Yolo,
    "SSD": SingleShot,
    "SuperPoint": SuperPoint,
}
