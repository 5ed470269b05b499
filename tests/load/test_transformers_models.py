"""Real architectures from transformers, saved in three kinds, loaded by what the errors told."""

from __future__ import annotations

import shlex
from itertools import pairwise

import hf_factories
import pytest
import torch
from safetensors.torch import save_file

from bnfuse.errors import LoadError, UnsafeFileError
from bnfuse.loading import load

NETS = {"resnet": "pixel_values", "mobilenet": "pixel_values", "bert": "input_ids"}


@pytest.fixture(scope="module")
def nets():
    return {name: getattr(hf_factories, name)() for name in NETS}


def told(error) -> list[str]:
    command = error.remedy[error.remedy.index("bnfuse fold") :].partition(" (")[0]
    words = shlex.split(command)
    return [value for option, value in pairwise(words) if option == "--allow"]


def same_output(loaded, net):
    inputs = dict(zip(loaded.inputs.names, loaded.inputs.args, strict=True))
    with torch.no_grad():
        ours, theirs = loaded.module(**inputs), net(**inputs)
    return all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", NETS)
def test_pickled_modules_load_with_the_flags_that_the_error_told(tmp_path, nets, name):
    path = tmp_path / "model.pt"
    torch.save(nets[name], path)
    with pytest.raises(UnsafeFileError) as caught:
        load(path)
    flags = told(caught.value)
    assert flags
    loaded = load(path, allow=flags)
    assert loaded.inputs.names == (NETS[name],)
    assert loaded.inputs.dynamic == ({0: "N"},)
    assert same_output(loaded, nets[name])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kind", ["state_dict", "safetensors"])
def test_weights_load_with_the_factory_that_the_error_asked_for(tmp_path, nets, name, kind):
    path = tmp_path / "model.bin"
    if kind == "state_dict":
        torch.save(nets[name].state_dict(), path)
    else:
        save_file(nets[name].state_dict(), path)
    with pytest.raises(LoadError, match=r"--model package\.module:factory"):
        load(path)
    loaded = load(path, model=f"hf_factories:{name}")
    assert loaded.inputs.names == (NETS[name],)
    assert same_output(loaded, nets[name])


def test_token_ids_stay_within_the_vocabulary(tmp_path, nets):
    path = tmp_path / "model.pt"
    torch.save(nets["bert"].state_dict(), path)
    (ids,) = load(path, model="hf_factories:bert").inputs.args
    assert ids.dtype is torch.int64
    assert int(ids.max()) < 19


def test_several_named_inputs_by_option(tmp_path, nets):
    path = tmp_path / "model.pt"
    torch.save(nets["bert"].state_dict(), path)
    shapes = ["attention_mask=N,T:6", "input_ids=N,T:6"]
    inputs = load(path, model="hf_factories:bert", input_shapes=shapes).inputs
    assert inputs.names == ("input_ids", "attention_mask")
    assert inputs.dynamic == ({0: "N", 1: "T"}, {0: "N", 1: "T"})
