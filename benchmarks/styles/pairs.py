"""Nets of two images, of volumes, of points and nets that make images."""

from __future__ import annotations

__all__ = ["NETS"]

import torch
from torch import Tensor, nn

from benchmarks.styles.parts import Add, activated, normed


class SiameseTracker(nn.Module):
    """The template's features are the kernel that the search image's are correlated with."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3),
            nn.BatchNorm2d(8),
        )
        self.adjust = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))

    def forward(self, template: Tensor, search: Tensor) -> Tensor:
        kernel, image = self.features(template), self.features(search)
        batch, channels, height, width = image.shape
        found = nn.functional.conv2d(
            image.reshape(1, batch * channels, height, width), kernel, groups=batch
        )
        y: Tensor = self.adjust(found.transpose(0, 1))
        return y


class SiameseMetric(nn.Module):
    """One encoder for both images, and the distance of what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(activated(1, 8, 3, 2), activated(8, 12, 3, 2))
        self.embed = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 8))
        self.norm = nn.BatchNorm1d(8)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        one, two = (self.norm(self.embed(self.features(image))) for image in (first, second))
        return torch.sqrt(((one - two) ** 2).sum(1) + 1e-6)


class Raft(nn.Module):
    """All pairs of features correlated, looked up around a flow that a recurrent unit improves."""

    def __init__(self, steps: int = 2) -> None:
        super().__init__()
        self.steps = steps
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 4, 1)
        )
        self.context = nn.Sequential(activated(3, 8, 7, 2), nn.Conv2d(8, 12, 3, 4, 1))
        self.motion = activated(9 + 2, 8, 3)
        self.gates, self.candidate = (
            nn.Conv2d(4 + 16, 8, 3, padding=1),
            nn.Conv2d(4 + 16, 4, 3, padding=1),
        )
        self.flow = nn.Sequential(activated(4, 8, 3), nn.Conv2d(8, 2, 3, padding=1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        both = self.features(torch.cat([first, second], 0))
        one, two = torch.chunk(both, 2, dim=0)
        hidden, context = torch.split(self.context(first), [4, 8], dim=1)
        hidden, context = torch.tanh(hidden), torch.relu(context)
        batch, channels, height, width = one.shape
        pairs = one.flatten(2).transpose(1, 2) @ two.flatten(2) / channels**0.5
        pairs = pairs.reshape(batch * height * width, 1, height, width)
        start = self._grid(batch, height, width, one)
        now = start
        for _ in range(self.steps):
            looked = self._look(pairs, now, batch, height, width)
            moved = self.motion(torch.cat([looked, now - start], 1))
            read = torch.cat([context, moved], 1)
            update, reset = torch.sigmoid(self.gates(torch.cat([hidden, read], 1))).chunk(2, 1)
            fresh = torch.tanh(self.candidate(torch.cat([reset * hidden, read], 1)))
            hidden = (1 - update) * hidden + update * fresh
            now = now + self.flow(hidden)
        return nn.functional.interpolate(now - start, scale_factor=8, mode="bilinear")

    @staticmethod
    def _grid(batch: int, height: int, width: int, like: Tensor) -> Tensor:
        rows, columns = torch.meshgrid(
            torch.arange(height, device=like.device, dtype=like.dtype),
            torch.arange(width, device=like.device, dtype=like.dtype),
            indexing="ij",
        )
        return torch.stack([columns, rows])[None].repeat(batch, 1, 1, 1)

    @staticmethod
    def _look(pairs: Tensor, now: Tensor, batch: int, height: int, width: int) -> Tensor:
        step = torch.linspace(-1, 1, 3, dtype=now.dtype)
        around = torch.stack(torch.meshgrid(step, step, indexing="ij"), -1).view(1, 3, 3, 2)
        centre = now.permute(0, 2, 3, 1).reshape(batch * height * width, 1, 1, 2)
        place = centre + around
        size = torch.tensor([width - 1, height - 1], dtype=now.dtype)
        found = nn.functional.grid_sample(pairs, 2 * place / size - 1, align_corners=True)
        return found.view(batch, height, width, -1).permute(0, 3, 1, 2)


class ResNet3d(nn.Module):
    """Volumes; every convolution without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 8, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(8),
            nn.ReLU(),
        )
        self.path = nn.Sequential(
            nn.Conv3d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.Conv3d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm3d(8),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y: Tensor = self.head(torch.relu(x + self.path(x)))
        return y


class _Aligned(nn.Module):
    """A matrix that a small net predicts, added to the identity (PointNet's T-Net)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.points = nn.Sequential(nn.Conv1d(channels, 8, 1), nn.BatchNorm1d(8), nn.ReLU())
        self.matrix = nn.Sequential(
            nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, channels**2)
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.points(x).max(2)[0]
        eye = torch.eye(self.channels, dtype=x.dtype).flatten()
        matrix = (self.matrix(pooled) + eye).view(-1, self.channels, self.channels)
        return (x.transpose(1, 2) @ matrix).transpose(1, 2)


class PointNet(nn.Module):
    """Points in any order: pointwise convolutions and a maximum over them."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Sequential(
            _Aligned(3), nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU(), _Aligned(8),
            nn.Conv1d(8, 16, 1), nn.BatchNorm1d(16),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 5)
        )

    def forward(self, points: Tensor) -> Tensor:
        pooled = torch.max(self.points(points), 2, keepdim=True)[0].view(-1, 16)
        return torch.log_softmax(self.head(pooled), 1)


class Dcgan(nn.Module):
    """Noise to an image by transposed convolutions."""

    input_shape = (6, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride, padding in ((6, 16, 1, 0), (16, 8, 2, 1)):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())

    def forward(self, noise: Tensor) -> Tensor:
        y: Tensor = self.layers(noise)
        return y


class Vae(nn.Module):
    """Encoder and decoder with norms, and the mean in place of a draw, as inference has it."""

    input_shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            activated(3, 8, 3, 2, by=nn.LeakyReLU), activated(8, 12, 3, 2, by=nn.LeakyReLU)
        )
        self.mean, self.deviation = nn.Linear(12 * 64, 6), nn.Linear(12 * 64, 6)
        self.enter = nn.Linear(6, 12 * 64)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(12, 8, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(),
            nn.Upsample(scale_factor=2),
            normed(8, 3, 3),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.encoder(x).flatten(1)
        mean, deviation = self.mean(y), self.deviation(y)
        drawn = mean + torch.randn_like(mean) * deviation if self.training else mean
        return self.decoder(self.enter(drawn).view(-1, 12, 8, 8)), mean, deviation


class SuperResolution(nn.Module):
    """Residual blocks with norms, and a pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        path = nn.Sequential(normed(8, 8, 3), nn.PReLU(8), normed(8, 8, 3))
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(Add(nn.Identity(), path), normed(8, 8, 3))
        self.last = nn.Sequential(
            nn.Conv2d(8, 32, 3, padding=1), nn.BatchNorm2d(32), nn.PixelShuffle(2), nn.PReLU(),
            nn.Conv2d(8, 3, 9, padding=4),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        z: Tensor = self.last(y + self.body(y))
        return z


NETS = {
    "SiamFC": SiameseTracker,
    "siamese metric": SiameseMetric,
    "RAFT": Raft,
    "3D ResNet": ResNet3d,
    "PointNet": PointNet,
    "DCGAN": Dcgan,
    "VAE": Vae,
    "SRResNet": SuperResolution,
}
