"""Facts about PyTorch's own running statistics, on which the nets and their folding rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnfuse.models import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d
from bnfuse.models.flattened import FlattenedNorm

RANKS = [
    (nn.BatchNorm1d, ScratchBatchNorm1d, (3, 5)),
    (nn.BatchNorm1d, ScratchBatchNorm1d, (3, 5, 4)),
    (nn.BatchNorm2d, ScratchBatchNorm2d, (3, 5, 2, 2)),
    (nn.BatchNorm3d, ScratchBatchNorm3d, (3, 5, 2, 2, 2)),
]


@pytest.mark.parametrize(("stock", "scratch", "shape"), RANKS)
def test_constant_features_under_momentum_0_3(stock, scratch, shape):
    features = torch.arange(1.0, 6.0, dtype=torch.float64)
    x = features.view(1, 5, *[1] * (len(shape) - 2)).expand(shape)
    norms = stock(5, momentum=0.3).double().train(), scratch(5, momentum=0.3).double().train()
    for mean, var in ((0.3, 0.7), (0.51, 0.49)):
        for norm in norms:
            norm(x)
        theirs, ours = norms
        assert theirs.running_mean.shape == theirs.running_var.shape == (5,)
        torch.testing.assert_close(theirs.running_mean, mean * features)
        torch.testing.assert_close(theirs.running_var, torch.full_like(features, var))
        torch.testing.assert_close(ours.moving_mean.flatten(), mean * features)
        torch.testing.assert_close(ours.moving_var.flatten(), torch.full_like(features, var))


@pytest.mark.parametrize("momentum", [1.0, 0.1])
def test_momentum_is_the_weight_of_the_new_batch(momentum):
    norm = nn.BatchNorm2d(2, momentum=momentum).double().train()
    batches = [torch.randn(4, 2, 3, 3, dtype=torch.float64) + shift for shift in (0, 5, -3)]
    mean, var = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for batch in batches:
        norm(batch)
        mean = (1 - momentum) * mean + momentum * batch.mean((0, 2, 3))
        var = (1 - momentum) * var + momentum * batch.var((0, 2, 3), correction=1)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, var)
    if momentum == 1.0:
        torch.testing.assert_close(norm.running_mean, batches[-1].mean((0, 2, 3)))


@pytest.mark.parametrize("kind", ["torch", "scratch"])
def test_flattened_norm_equals_the_norm_of_the_image(kind):
    image = nn.BatchNorm2d(3).double() if kind == "torch" else ScratchBatchNorm2d(3).double()
    flat = FlattenedNorm(3, kind).double()
    if kind == "scratch":
        image.momentum = flat.norm.momentum = 0.2
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(4, 3, 5, 2, generator=generator, dtype=torch.float64) * 2 + 1
        torch.testing.assert_close(flat(x), image(x), rtol=0, atol=1e-12)
    for ours, theirs in zip(flat.buffers(), image.buffers(), strict=True):
        torch.testing.assert_close(ours.flatten(), theirs.flatten())
    x = torch.randn(1, 3, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(flat.eval()(x), image.eval()(x), rtol=0, atol=1e-12)


def test_flattened_norm_keeps_the_axes_where_every_length_is_the_same():
    flat, image = FlattenedNorm(4).double(), nn.BatchNorm2d(4).double()
    x = torch.randn(4, 4, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(flat(x), image(x), rtol=0, atol=1e-12)
