from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

import bnfuse.models
from bnfuse.errors import UsageError
from bnfuse.models import MODULE_CLASSES, REGISTRY, build, entry, names
from bnfuse.models.norms import NORM_KINDS, make_norm
from bnfuse.models.scratch import ScratchBatchNorm
from bnfuse.models.spellings import SpelledBatchNorm

ABSTRACT = {ScratchBatchNorm, SpelledBatchNorm}
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def test_names_are_what_the_command_line_promises():
    assert names() == (
        "scratch-cnn",
        "conv-pool-bn",
        "conv-pool-bn-twice",
        "conv-bn-linear-bn",
        "conv-bn-momentum-0.1",
        "conv-bn-momentum-1",
        "conv-bn-no-affine",
        "image-norm",
        "flattened-norm",
        "conv-bn-net",
        "deep-mlp",
    )


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("norm", [None, *NORM_KINDS])
def test_every_net_maps_digits_to_scores_with_every_norm(name, norm):
    net = build(name, norm)
    x = torch.randn(32, 1, 8, 8)
    assert net.train()(x).shape == (32, 10)
    assert net.eval()(x[:1]).shape == (1, 10)
    kinds = [type(module) for module in net.modules()]
    assert any(issubclass(kind, BATCH_NORM) for kind in kinds) == (
        (norm or entry(name).own_norm) == "torch"
    )
    assert any(issubclass(kind, ScratchBatchNorm) for kind in kinds) == (
        (norm or entry(name).own_norm) == "scratch"
    )


@pytest.mark.parametrize("registered", REGISTRY, ids=names())
def test_constructors_need_no_argument(registered):
    assert isinstance(registered.factory(), nn.Module)


def test_entries_are_frozen():
    with pytest.raises(FrozenInstanceError):
        REGISTRY[0].name = "other"


@pytest.mark.parametrize("name", ["scratch-cnn", "conv-bn-net"])
def test_seed_decides_the_weights_and_leaves_the_random_state_alone(name):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first, same, other = build(name, seed=1), build(name, seed=1), build(name, seed=2)
    assert torch.equal(torch.rand(2), expected)
    pairs = list(zip(first.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"'scrach-cnn'.*Did you mean scratch-cnn\?"):
        build("scrach-cnn")
    with pytest.raises(UsageError, match=r"--list"):
        entry("")


def test_unknown_norm_is_an_error():
    with pytest.raises(UsageError, match="none, torch, scratch"):
        build("scratch-cnn", "layer")


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_norms_keep_their_own_default_momentum(dims):
    assert make_norm("torch", 4, dims=dims).momentum == 0.1
    assert make_norm("scratch", 4, dims=dims).momentum == 0.9
    assert make_norm("scratch", 4, dims=dims, momentum=0.2).momentum == 0.2


def test_every_module_class_of_the_package_is_listed_for_loading():
    defined = set()
    for info in pkgutil.iter_modules(bnfuse.models.__path__):
        module = importlib.import_module(f"bnfuse.models.{info.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, nn.Module) and value.__module__ == module.__name__:
                defined.add(value)
    assert defined - ABSTRACT == set(MODULE_CLASSES)


def test_public_names_resolve_and_are_complete():
    assert set(bnfuse.models.__all__) == set(dir(bnfuse.models)) == set(bnfuse.models._HOME)
    for name in bnfuse.models.__all__:
        assert getattr(bnfuse.models, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bnfuse.models.__getattr__("nothing")


def test_examples_in_the_documentation_run():
    result = doctest.testmod(bnfuse.models)
    assert result.attempted == 3
    assert result.failed == 0
