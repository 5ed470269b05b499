"""Honest files of each kind load to the same function, with the flags that they need."""

from __future__ import annotations

import collections

import pytest
import torch
from load_samples import small_net, write
from torch import nn

from bnfuse.errors import InputShapeError, LoadError
from bnfuse.loading import FileKind, load

X = torch.linspace(-1, 1, 2 * 8 * 8).reshape(2, 1, 8, 8)


def same_function(module, reference):
    with torch.no_grad():
        return torch.equal(module(X), reference(X))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("module", {}),
        ("legacy_module", {"trust": True}),
        ("torchscript", {"trust": True}),
        ("exported_program", {"trust": True}),
        ("state_dict", {"model": "load_samples:small_net"}),
        ("checkpoint", {"model": "load_samples:small_net"}),
        ("legacy_state_dict", {"model": "load_samples:small_net"}),
        ("safetensors", {"model": "load_samples:small_net()"}),
        ("pickle", {"model": "load_samples:small_net", "trust": True}),
    ],
)
def test_each_kind_loads_to_the_same_function(tmp_path, kind, options):
    loaded = load(write(kind, tmp_path / "model.pt"), **options)
    assert loaded.kind is FileKind(kind)
    assert same_function(loaded.module, small_net())
    assert loaded.inputs.dynamic == ({0: "N"},)
    assert loaded.inputs.args[0].shape[0] >= 2
    assert loaded.model is None


def test_a_checksum_less_file_of_torch_loads(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(small_net(), tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same_function(load(tmp_path / "model.pt").module, small_net())


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_are_taken_off_with_no_flag(tmp_path, wrap):
    torch.save(wrap(small_net()), tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert type(loaded.module) is nn.Sequential
    assert same_function(loaded.module, small_net())
    assert any("taken off" in note for note in loaded.notes)


def test_training_mode_becomes_eval_mode_and_is_noted(tmp_path):
    torch.save(small_net().train(), tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert not any(part.training for part in loaded.module.modules())
    assert "was in training mode: put in eval mode" in loaded.notes
    assert same_function(loaded.module, small_net())


def test_initial_statistics_are_named(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval(), tmp_path / "model.pt")
    (note,) = load(tmp_path / "model.pt").notes
    assert "initial statistics" in note
    assert note.endswith(": 1")


def test_trained_statistics_are_not(tmp_path):
    torch.save(small_net(), tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").notes == ()


def test_tensors_saved_on_cuda_load_on_the_cpu(tmp_path, monkeypatch):
    # The location tag is all that tells a CUDA checkpoint from another.
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    net = small_net()
    net.plain = torch.ones(2)
    net.device = torch.device("cuda")
    torch.save(net, tmp_path / "model.pt")
    monkeypatch.undo()
    assert b"cuda:0" in (tmp_path / "model.pt").read_bytes()
    module = load(tmp_path / "model.pt").module
    assert {p.device.type for p in module.state_dict().values()} == {"cpu"}
    assert module.plain.device.type == "cpu"
    assert module.device == torch.device("cpu")


def test_a_plain_tensor_with_a_graph_behind_it_becomes_a_constant(tmp_path):
    net = small_net()
    net.means = torch.ones(2, requires_grad=True)
    net.nested = {"a": [torch.ones(1, requires_grad=True)]}
    torch.save(net, tmp_path / "model.pt")
    module = load(tmp_path / "model.pt").module
    assert not module.means.requires_grad
    assert not module.nested["a"][0].requires_grad


def test_what_the_model_in_a_checkpoint_does_not_need_is_not_imported(
    tmp_path, mynets, forget_mynets
):
    best = collections.deque([1])
    content = {"model": small_net(), "args": mynets.ScratchBN(), "best": best, "epoch": 2}
    torch.save(content, tmp_path / "model.pt")
    forget_mynets()
    loaded = load(tmp_path / "model.pt")
    assert same_function(loaded.module, small_net())
    assert any("mynets.ScratchBN" in note for note in loaded.notes)
    import sys

    assert "mynets" not in sys.modules


def test_the_first_known_key_wins_and_the_others_are_noted(tmp_path):
    torch.save({"ema": nn.Linear(2, 2), "model": small_net()}, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert same_function(loaded.module, small_net())
    assert loaded.notes[0] == "the model is under 'model'; it also has 'ema': --weights chooses"


def test_a_model_key_of_none_is_passed_over(tmp_path):
    torch.save({"model": None, "ema": small_net()}, tmp_path / "model.pt")
    assert same_function(load(tmp_path / "model.pt").module, small_net())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_have_the_dtype_of_the_module(tmp_path, dtype):
    torch.save(small_net(dtype), tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").inputs.args[0].dtype is dtype


def test_torch_layers_of_every_common_kind_need_no_flag(tmp_path):
    layers = nn.ModuleDict(
        {
            "lstm": nn.LSTM(3, 4),
            "attention": nn.TransformerEncoderLayer(8, 2, activation=nn.functional.gelu),
            "embedding": nn.EmbeddingBag(5, 3),
            "weight": torch.nn.utils.spectral_norm(nn.Conv2d(2, 2, 3)),
            "up": nn.Upsample(scale_factor=2),
            "scales": nn.ParameterList([nn.Parameter(torch.ones(2))]),
        }
    )
    net = nn.Sequential(nn.Linear(3, 3))
    net.extra = layers
    torch.save(net, tmp_path / "model.pt")
    # Sequential runs the dict as a layer: the file itself was read, with no flag.
    with pytest.raises(InputShapeError):
        load(tmp_path / "model.pt")


def test_a_module_on_meta_is_refused(tmp_path):
    torch.save({"model": nn.Linear(2, 2, device="meta")}, tmp_path / "model.pt")
    with pytest.raises(LoadError):
        load(tmp_path / "model.pt")


def test_loading_changes_no_file_and_leaves_none_behind(tmp_path):
    for kind in ("module", "torchscript", "exported_program"):
        path = write(kind, tmp_path / f"{kind}.pt")
        before = path.read_bytes()
        load(path, trust=True)
        assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "exported_program.pt",
        "module.pt",
        "torchscript.pt",
    ]
