"""Training on the digits: one loop, one schedule, the same for every net."""

from __future__ import annotations

__all__ = ["Epoch", "Schedule", "Training", "train"]

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bnfuse.errors import UsageError
from bnfuse.models.digits import Digits, load_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: Adam with a learning rate that falls to zero along a half cosine.

    Raises:
        UsageError: If a number makes no sense.
    """

    epochs: int = 15
    """Passes over the training part."""
    lr: float = 3e-3
    """Learning rate of the first step."""
    batch_size: int = 64
    """Images a step, at least 2. What does not fill a batch waits for the next epoch's shuffle."""
    seed: int = 0
    """Of the order of the images."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"{self.epochs} epochs train nothing.", "Ask for at least one.")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise UsageError(f"A learning rate of {self.lr} trains nothing.", "Try 0.003.")
        if self.batch_size < 2:
            raise UsageError("A batch of one has no variance to norm by.", "Take at least two.")


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training part left behind."""

    number: int
    """From 1."""
    loss: float
    """Mean cross entropy over the epoch's batches, in nats, while the weights were changing."""
    accuracy: float
    """Part of the held-out images that are classified right after the epoch, from 0 to 1."""


@dataclass(frozen=True)
class Training:
    """What came out of a training, epoch by epoch."""

    epochs: tuple[Epoch, ...]
    """At least one; fewer than asked for if the training diverged."""
    seconds: float
    """Wall time of all steps and evaluations."""

    @property
    def last(self) -> Epoch:
        """The epoch after which the weights are as the net now holds them."""
        return self.epochs[-1]

    @property
    def best(self) -> Epoch:
        """The first epoch with the highest held-out accuracy."""
        return max(self.epochs, key=lambda epoch: epoch.accuracy)

    @property
    def diverged(self) -> bool:
        """Whether the loss became NaN or infinite; the training stops there."""
        return not math.isfinite(self.last.loss)

    def epochs_to(self, accuracy: float) -> int | None:
        """Number of the first epoch after which the held-out accuracy is at least ``accuracy``."""
        return next((epoch.number for epoch in self.epochs if epoch.accuracy >= accuracy), None)


def train(
    net: nn.Module,
    schedule: Schedule | None = None,
    *,
    data: Digits | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Training:
    """Train ``net`` in place by cross entropy; it is left in evaluation mode.

    The same net, schedule and number of threads give the same weights.

    Args:
        net: Maps float32 images ``(N, 1, 8, 8)`` to scores ``(N, 10)``.
        schedule: Epochs, learning rate, batch size and seed; :class:`Schedule`'s own if ``None``.
        data: The digits if ``None``.
        on_epoch: Called after each epoch.

    Raises:
        UsageError: If a batch is larger than the training part, or scikit-learn is missing.
    """
    schedule = schedule or Schedule()
    data = data or load_digits()
    if schedule.batch_size > len(data.train_images):
        raise UsageError(
            f"A batch of {schedule.batch_size} is more than the {len(data.train_images)} images.",
            "Take a smaller one.",
        )
    start = time.perf_counter()
    epochs = []
    for epoch in _epochs(net, schedule, data):
        epochs.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
    return Training(tuple(epochs), time.perf_counter() - start)


def _epochs(net: nn.Module, schedule: Schedule, data: Digits) -> Iterator[Epoch]:
    shuffle = torch.Generator().manual_seed(schedule.seed)
    steps = len(data.train_images) // schedule.batch_size
    optimizer = torch.optim.Adam(net.parameters(), lr=schedule.lr)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=schedule.epochs * steps)
    for number in range(1, schedule.epochs + 1):
        net.train()
        order = torch.randperm(len(data.train_images), generator=shuffle)
        loss = 0.0
        for batch in order[: steps * schedule.batch_size].view(steps, -1):
            loss += _step(net, optimizer, data.train_images[batch], data.train_labels[batch])
            fall.step()
            if not math.isfinite(loss):
                break
        yield Epoch(number, loss / steps, _held_out_accuracy(net, data))
        if not math.isfinite(loss):
            return


def _step(
    net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> float:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.item())


@torch.no_grad()
def _held_out_accuracy(net: nn.Module, data: Digits) -> float:
    """Part of the held-out images that ``net`` classifies right; leaves it in evaluation mode."""
    net.eval()
    right = net(data.held_out_images).argmax(dim=1) == data.held_out_labels
    return float(right.double().mean().item())
