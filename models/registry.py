"""The nets that can be trained by name."""

from __future__ import annotations

__all__ = ["REGISTRY", "Net", "build", "entry", "names"]

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

import torch

from bnfuse.errors import UsageError
from bnfuse.models.bnlayer import ConvBnNet
from bnfuse.models.deep_mlp import DeepMlp
from bnfuse.models.flattened import FlattenedNormNet
from bnfuse.models.image_norm import ImageNormNet
from bnfuse.models.scratch_cnn import ScratchCnn
from bnfuse.models.training import Schedule
from bnfuse.models.walkthrough import ConvNorm, ConvNormLinearNorm, ConvPoolNorm, ConvPoolNormTwice

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from bnfuse.models.norms import NormKind


@dataclass(frozen=True)
class Net:
    """A net that can be trained by name."""

    name: str
    """What the command line calls it."""
    factory: Callable[..., nn.Module]
    """Makes an untrained net; takes the kind of norm as ``norm``."""
    own_norm: str
    """The norm that it has when none is asked for."""
    summary: str
    """Its layers, in one line."""
    schedule: Schedule = field(default_factory=Schedule)
    """With which it trains well."""


REGISTRY: tuple[Net, ...] = (
    Net(
        "scratch-cnn",
        ScratchCnn,
        "scratch",
        "6 × (Conv → BN2d → ReLU), average pool, Linear",
        Schedule(epochs=12),
    ),
    Net(
        "conv-pool-bn",
        ConvPoolNorm,
        "torch",
        "Conv → AvgPool → BN2d",
        Schedule(epochs=30),
    ),
    Net(
        "conv-pool-bn-twice",
        ConvPoolNormTwice,
        "torch",
        "Conv → AvgPool → BN2d → Conv → AvgPool → BN2d → ReLU",
        Schedule(epochs=30, lr=1e-2),
    ),
    Net(
        "conv-bn-linear-bn",
        ConvNormLinearNorm,
        "torch",
        "Conv → BN2d → Flatten → ReLU → Linear → BN1d → ReLU",
    ),
    Net(
        "conv-bn-momentum-0.1",
        partial(ConvNorm, momentum=0.1),
        "torch",
        "Conv → BN2d, momentum 0.1",
    ),
    Net(
        "conv-bn-momentum-1",
        partial(ConvNorm, momentum=1.0),
        "torch",
        "Conv → BN2d, momentum 1: the last batch's statistics",
    ),
    Net(
        "conv-bn-no-affine",
        partial(ConvNorm, affine=False),
        "torch",
        "Conv → BN2d without scale and shift",
    ),
    Net(
        "image-norm",
        ImageNormNet,
        "torch",
        "(d - mean) / std → 2 × (Conv → BN2d → ReLU), average pool, Linear",
    ),
    Net(
        "flattened-norm",
        FlattenedNormNet,
        "torch",
        "2 × (Conv → BN1d on (N, C, H·W) → ReLU), average pool, Linear",
        Schedule(epochs=30, lr=1e-2),
    ),
    Net(
        "conv-bn-net",
        ConvBnNet,
        "bnlayer",
        "5×5 Conv, 3 × (Conv → ReLU → norm of the last batch), max pool, Linear",
        # A channel that is zero over a whole batch has no std, and this norm has no eps: on images
        # this small, a batch of 64 is too few.
        Schedule(epochs=40, lr=2e-3, batch_size=256),
    ),
    Net(
        "deep-mlp",
        partial(DeepMlp, initial_shift=2.0),
        "torch",
        "100 × (Linear 256 → BN1d → ReLU), Linear",
        Schedule(epochs=12, lr=1e-3),
    ),
)


def names() -> tuple[str, ...]:
    """The names of :data:`REGISTRY`, in its order."""
    return tuple(entry.name for entry in REGISTRY)


def entry(name: str) -> Net:
    """Find an entry by its name.

    Raises:
        UsageError: If no net has that name.
    """
    for candidate in REGISTRY:
        if candidate.name == name:
            return candidate
    close = get_close_matches(name, names(), n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"There is no net named {name!r}.", f"{meant}`bnfuse train --list` names them all."
    )


def build(name: str, norm: NormKind | None = None, seed: int = 0) -> nn.Module:
    """Make an untrained net.

    Args:
        name: One of :func:`names`.
        norm: ``"none"``, ``"torch"`` or ``"scratch"`` in the place of the norm that the net has.
        seed: Of the initial weights; the caller's random state is left as it is.

    Raises:
        UsageError: If no net has that name, or ``norm`` is not a kind of norm.
    """
    factory = entry(name).factory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory() if norm is None else factory(norm=norm)
