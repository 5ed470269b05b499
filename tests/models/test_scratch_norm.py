from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnfuse.models import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d

CASES = [
    (ScratchBatchNorm1d, nn.BatchNorm1d, (6, 5)),
    (ScratchBatchNorm1d, nn.BatchNorm1d, (6, 5, 7)),
    (ScratchBatchNorm2d, nn.BatchNorm2d, (6, 5, 4, 3)),
    (ScratchBatchNorm3d, nn.BatchNorm3d, (6, 5, 2, 4, 3)),
]


def double_input(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 1


@pytest.mark.parametrize(("scratch", "stock", "shape"), CASES)
def test_output_in_training_equals_pytorchs(scratch, stock, shape):
    ours, theirs = scratch(5).double().train(), stock(5).double().train()
    for norm, scale, shift in ((ours, "gamma", "beta"), (theirs, "weight", "bias")):
        with torch.no_grad():
            values = torch.arange(1.0, 6.0)
            getattr(norm, scale).copy_(values.view_as(getattr(norm, scale)))
            getattr(norm, shift).copy_(-values.view_as(getattr(norm, shift)))
    x = double_input(shape)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scratch", "stock", "shape"), CASES)
def test_gradients_in_training_equal_pytorchs(scratch, stock, shape):
    x = double_input(shape)
    weights = double_input(shape, seed=1)
    gradients = []
    for norm in (scratch(5).double(), stock(5).double()):
        leaf = x.clone().requires_grad_()
        (norm(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("scratch", "_stock", "shape"), CASES)
def test_moving_statistics_weigh_the_new_batch_and_the_biased_variance(scratch, _stock, shape):
    norm = scratch(5, momentum=0.3).double().train()
    x = double_input(shape)
    norm(x)
    axes = [axis for axis in range(x.dim()) if axis != 1]
    torch.testing.assert_close(norm.moving_mean.flatten(), 0.3 * x.mean(axes))
    torch.testing.assert_close(
        norm.moving_var.flatten(), 0.7 + 0.3 * x.var(axes, correction=0), rtol=1e-12, atol=0
    )


def test_running_variance_is_not_pytorchs():
    x = double_input((4, 5, 2, 2))
    ours, theirs = ScratchBatchNorm2d(5, momentum=0.1), nn.BatchNorm2d(5, momentum=0.1)
    for norm in (ours, theirs):
        norm.double().train()(x)
    torch.testing.assert_close(ours.moving_mean.flatten(), theirs.running_mean)
    n = x.numel() / 5
    biased = (theirs.running_var - 0.9) * (n - 1) / n + 0.9
    torch.testing.assert_close(ours.moving_var.flatten(), biased, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("scratch", "_stock", "shape"), CASES)
def test_output_in_evaluation_is_the_formula(scratch, _stock, shape):
    norm = scratch(5, eps=0.25).double().eval()
    side = (1, 5) + (1,) * (len(shape) - 2)
    values = {
        "gamma": [1.0, -2.0, 0.5, 3.0, 0.0],
        "beta": [0.0, 1.0, -1.0, 2.0, 5.0],
        "moving_mean": [1.0, 2.0, 3.0, -4.0, 0.0],
        "moving_var": [0.0, 1.0, 4.0, 9.0, 0.1],
    }
    with torch.no_grad():
        for name, value in values.items():
            tensor = getattr(norm, name)
            tensor.copy_(torch.tensor(value, dtype=torch.float64).view_as(tensor))
    gamma, beta, mean, var = (
        torch.tensor(value, dtype=torch.float64).view(side) for value in values.values()
    )
    x = double_input(shape)
    torch.testing.assert_close(norm(x), gamma * (x - mean) / (var + 0.25).sqrt() + beta)


def test_shapes_and_defaults_are_the_sources():
    norm = ScratchBatchNorm2d(7)
    for tensor in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_var):
        assert tensor.shape == (1, 7, 1, 1)
    assert (norm.eps, norm.momentum) == (1e-5, 0.9)
    assert norm.moving_mean.eq(0).all()
    assert norm.moving_var.eq(1).all()
    assert {name for name, _ in norm.named_buffers()} == {"moving_mean", "moving_var"}


def test_default_momentum_all_but_forgets_what_came_before():
    norm = ScratchBatchNorm2d(1).double().train()
    norm(torch.full((2, 1, 1, 1), 10.0, dtype=torch.float64))
    norm(torch.zeros((2, 1, 1, 1), dtype=torch.float64))
    assert norm.moving_mean.item() == pytest.approx(0.1 * 9.0)
    assert norm.moving_var.item() == pytest.approx(0.01)


def test_evaluation_leaves_the_statistics_alone():
    norm = ScratchBatchNorm2d(3).eval()
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    norm(torch.randn(4, 3, 2, 2))
    assert all(torch.equal(before[name], tensor) for name, tensor in norm.state_dict().items())


def test_moving_statistics_carry_no_graph():
    norm = ScratchBatchNorm2d(3).train()
    norm(torch.randn(4, 3, 2, 2, requires_grad=True))
    assert norm.moving_mean.grad_fn is None
    assert not norm.moving_var.requires_grad


def test_buffers_follow_to():
    norm = ScratchBatchNorm2d(3).to("meta")
    assert norm.moving_mean.device.type == norm.moving_var.device.type == "meta"
    assert norm(torch.empty(2, 3, 4, 4, device="meta")).device.type == "meta"
    assert ScratchBatchNorm1d(3).to(torch.float64).moving_var.dtype == torch.float64


def test_without_affine_there_is_nothing_to_learn():
    norm = ScratchBatchNorm2d(3, affine=False).train()
    assert list(norm.parameters()) == []
    x = torch.randn(8, 3, 4, 4)
    torch.testing.assert_close(norm(x), nn.BatchNorm2d(3, affine=False)(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scratch", "shape"),
    [
        (ScratchBatchNorm1d, (2, 3, 4, 4)),
        (ScratchBatchNorm2d, (2, 3)),
        (ScratchBatchNorm2d, (2, 3, 4)),
        (ScratchBatchNorm3d, (2, 3, 4, 4)),
    ],
)
def test_wrong_rank_is_an_error_and_not_a_broadcast(scratch, shape):
    with pytest.raises(ValueError, match=r"expected .*D input"):
        scratch(3)(torch.randn(shape))


@given(
    momentum=st.floats(0.0, 1.0),
    steps=st.integers(1, 4),
    batch=st.integers(2, 5),
    channels=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_moving_mean_is_pytorchs_for_any_momentum(momentum, steps, batch, channels):
    ours = ScratchBatchNorm1d(channels, momentum=momentum).double().train()
    theirs = nn.BatchNorm1d(channels, momentum=momentum).double().train()
    for step in range(steps):
        x = double_input((batch, channels), seed=step)
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.moving_mean.flatten(), theirs.running_mean)
