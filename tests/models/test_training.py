from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from nightly import NIGHTLY
from torch import nn

from bnfuse.errors import UsageError
from bnfuse.models import Digits, Epoch, Schedule, Training, build, entry, load_digits, names, train

CNNS = [name for name in names() if name != "deep-mlp"]
SHORT = Schedule(epochs=2, seed=3)


@pytest.mark.parametrize("name", CNNS)
def test_every_cnn_learns_digits_it_never_saw(name):
    """By its own schedule, nightly, to 97 %; the first epoch shows already that it learns."""
    schedule = entry(name).schedule
    training = train(build(name), schedule if NIGHTLY else replace(schedule, epochs=1))
    assert training.last.accuracy >= (0.97 if NIGHTLY else 0.6)
    assert not training.diverged


def test_deep_mlp_learns_with_norm():
    training = train(build("deep-mlp"), Schedule(epochs=3, lr=1e-3, batch_size=128))
    assert training.last.accuracy > 0.5
    assert training.last.loss < 1.2


@pytest.mark.parametrize("name", ["scratch-cnn", "conv-bn-linear-bn"])
def test_same_seed_gives_the_same_weights_and_another_seed_does_not(name):
    nets = [build(name) for _ in range(3)]
    seeds = (3, 3, 4)
    runs = [train(net, Schedule(epochs=2, seed=s)) for net, s in zip(nets, seeds, strict=True)]
    assert runs[0].epochs == runs[1].epochs
    assert runs[0].epochs != runs[2].epochs
    first, same, other = (net.state_dict() for net in nets)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    train(build("conv-pool-bn"), SHORT)
    assert torch.equal(torch.rand(2), expected)


def test_result_is_what_the_net_then_does():
    net, data = build("conv-bn-linear-bn"), load_digits()
    seen = []
    training = train(net, SHORT, on_epoch=seen.append)
    assert not net.training
    with torch.no_grad():
        right = net(data.held_out_images).argmax(1).eq(data.held_out_labels).sum().item()
    assert training.last.accuracy == right / 360
    assert tuple(seen) == training.epochs
    assert [epoch.number for epoch in seen] == [1, 2]
    assert training.seconds > 0


def test_loss_is_the_mean_cross_entropy_of_the_batches():
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores.expand(len(x), 10)

    training = train(Constant(), Schedule(epochs=1, lr=1e-12))
    assert training.last.loss == pytest.approx(math.log(10), abs=1e-5)


def test_held_out_images_are_never_trained_on():
    data = load_digits()
    poisoned = Digits(
        data.train_images,
        data.train_labels,
        data.held_out_images,
        torch.zeros_like(data.held_out_labels),
    )
    clean, other = build("conv-pool-bn"), build("conv-pool-bn")
    train(clean, SHORT, data=data)
    train(other, SHORT, data=poisoned)
    pairs = zip(clean.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_batches_are_full_and_differ_from_epoch_to_epoch():
    class Watch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)
            self.batches: list[torch.Tensor] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.batches.append(x.clone())
            return self.linear(x.flatten(1))

    net = Watch()
    train(net, Schedule(epochs=2, batch_size=500))
    assert [len(batch) for batch in net.batches] == [500] * 4
    assert not torch.equal(net.batches[0], net.batches[2])


def test_divergence_stops_the_training_and_is_told():
    net = build("conv-bn-net")
    with torch.no_grad():
        net.layers[0].conv.weight[0] = 0
    training = train(net, Schedule(epochs=5))
    assert training.diverged
    assert len(training.epochs) == 1
    assert math.isnan(training.last.loss)


def test_summary_of_a_training():
    epochs = tuple(
        Epoch(number, 1.0, accuracy)
        for number, accuracy in enumerate((0.5, 0.92, 0.89, 0.96, 0.95), start=1)
    )
    training = Training(epochs, 1.0)
    assert training.epochs_to(0.9) == 2
    assert training.epochs_to(0.95) == 4
    assert training.epochs_to(0.99) is None
    assert training.best.number == 4
    assert training.last.number == 5


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"lr": 0.0},
        {"lr": -1.0},
        {"lr": math.nan},
        {"lr": math.inf},
        {"batch_size": 1},
    ],
)
def test_schedules_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError) as caught:
        Schedule(**options)
    assert caught.value.remedy


def test_batch_larger_than_the_data_is_refused():
    with pytest.raises(UsageError, match="1437"):
        train(build("conv-pool-bn"), Schedule(batch_size=1438))
