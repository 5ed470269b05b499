"""Weights into an architecture: factories, prefixes, and exact words about what does not fit."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bnfuse.errors import LoadError, UsageError
from bnfuse.loading import load


@pytest.fixture
def weights(tmp_path, mynets):
    torch.manual_seed(1)
    net = mynets.make()
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return net.state_dict()


@pytest.mark.usefixtures("weights")
def test_without_a_factory_the_error_shows_the_option_and_some_keys(tmp_path):
    with pytest.raises(
        LoadError, match=r"5 tensors \(conv\.weight.*--model package\.module:factory"
    ):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "model",
    ["mynets:make", "mynets:make()", "mynets:Net(channels=2)", "mynets:Net( 2 )", "mynets:Net"],
)
def test_factories_and_classes_with_literals(tmp_path, weights, model):
    loaded = load(tmp_path / "model.pt", model=model)
    assert all(torch.equal(v, weights[k]) for k, v in loaded.module.state_dict().items())


@pytest.mark.parametrize(
    ("prefix", "key"), [("module.", None), ("_orig_mod.", "model"), ("module._orig_mod.", "ema")]
)
def test_prefixes_of_wrappers_are_taken_off(tmp_path, weights, prefix, key):
    renamed = {prefix + name: value for name, value in weights.items()}
    torch.save({key: renamed} if key else renamed, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt", model="mynets:make")
    assert torch.equal(loaded.module.conv.weight, weights["conv.weight"])
    assert any(f"{prefix}conv.weight was read as conv.weight" in note for note in loaded.notes)


def test_a_lightning_prefix_is_taken_off_and_noted(tmp_path, weights):
    renamed = {f"net.inner.{name}": value for name, value in weights.items()}
    torch.save({"state_dict": renamed, "epoch": 1}, tmp_path / "model.ckpt")
    assert load(tmp_path / "model.ckpt", model="mynets:make").module is not None


def test_a_prefix_that_belongs_to_the_model_stays(tmp_path):
    torch.save({"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)}, tmp_path / "m.pt")
    (tmp_path / "wrapped.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.module = nn.Linear(2, 2)\n"
        "    def forward(self, x):\n"
        "        return self.module(x)\n"
    )
    import os
    import sys

    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        loaded = load(tmp_path / "m.pt", model="wrapped:Net")
    finally:
        os.chdir(here)
        sys.modules.pop("wrapped", None)
    assert torch.equal(loaded.module.module.weight, torch.ones(2, 2))
    assert loaded.notes == ()


def test_missing_unexpected_and_mis_shaped_keys_are_listed_with_counts(tmp_path, weights):
    wrong = dict(weights)
    del wrong["conv.bias"]
    wrong["norm.gamma"] = torch.ones(1, 5, 1, 1)
    wrong |= {f"head.{i}": torch.ones(1) for i in range(7)}
    save_file(wrong, tmp_path / "model.safetensors")
    with pytest.raises(LoadError) as caught:
        load(tmp_path / "model.safetensors", model="mynets:make(channels=2)")
    text = str(caught.value)
    assert "1 of 5 keys are missing (conv.bias)" in text
    assert "7 are unexpected (head.0, head.1, head.2, head.3, … 3 more)" in text
    assert "norm.gamma is (1, 5, 1, 1) where the model has (1, 2, 1, 1)" in text
    assert 'mynets:make(key=value)"' in text


def test_a_norm_with_plain_attributes_is_named(tmp_path, mynets):
    torch.save(mynets.plain().state_dict(), tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"norm \(PlainNorm: means, stds\).*plain attributes"):
        load(tmp_path / "model.pt", model="mynets:plain")


def test_the_same_norm_pickled_whole_after_training_loads(tmp_path, mynets):
    net = mynets.plain()
    net(torch.randn(4, 1, 8, 8))
    torch.save(net.eval(), tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.PlainNorm"])
    assert torch.equal(loaded.module.norm.means, net.norm.means)
    assert not loaded.module.norm.means.requires_grad


def test_the_same_norm_pickled_before_training_is_named(tmp_path, mynets):
    torch.save(mynets.plain().eval(), tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"norm \(PlainNorm: means, stds\)"):
        load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.PlainNorm"])


@pytest.mark.usefixtures("mynets")
def test_misfits_name_the_plain_attributes_too(tmp_path):
    torch.save({"conv.weight": torch.ones(2, 1, 3, 3)}, tmp_path / "model.pt")
    with pytest.raises(LoadError, match="keep their statistics as plain attributes"):
        load(tmp_path / "model.pt", model="mynets:plain")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_another_dtype_make_the_module_that_dtype(tmp_path, weights, dtype):
    torch.save({k: v.to(dtype) for k, v in weights.items()}, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt", model="mynets:make")
    assert loaded.module.conv.weight.dtype is dtype
    assert loaded.inputs.args[0].dtype is dtype


def test_a_missing_step_counter_is_no_misfit(tmp_path):
    net = nn.BatchNorm2d(2)
    state = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "model.pt")
    assert load(tmp_path / "model.pt", model="torch.nn:BatchNorm2d(2)").module is not None


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("mynets", UsageError, "does not name"),
        ("mynets:make(channels=open('x'))", UsageError, "literal"),
        ("mynets:make(**{})", UsageError, "literal"),
        ("mynets:__import__('os').system('x')", UsageError, "factory"),
        ("mynets:[make]", UsageError, "factory"),
        ("mynets:make(", UsageError, "literal"),
        ("nowhere:make", LoadError, "no module nowhere"),
        ("mynets:none", LoadError, "no class or function none"),
        ("mynets:broken", LoadError, "no such weights"),
        ("mynets:number", LoadError, "returns a int"),
        ("mynets:make(colour=3)", LoadError, "colour"),
    ],
)
def test_wrong_factories_are_explained(tmp_path, model, error, words):
    with pytest.raises(error, match=words):
        load(tmp_path / "model.pt", model=model)


def test_a_factory_for_a_file_that_has_an_architecture_is_noted(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    assert "--model is not needed" in load(tmp_path / "model.pt", model="x:y").notes[0]
