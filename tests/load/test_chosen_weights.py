"""Of several models in a checkpoint one is chosen by name, and the note says which."""

from __future__ import annotations

import pytest
import torch
from load_samples import small_net, write

import bnfuse
from bnfuse.cli.main import main
from bnfuse.errors import LoadError
from bnfuse.loading import load

MODEL = "load_samples:small_net"


def net(bias):
    made = small_net()
    with torch.no_grad():
        made[0].bias.fill_(bias)
    return made


def saved(path, legacy=False, **models):
    """A checkpoint; the first bias of each model tells it from the others."""
    torch.save({"epoch": 3, **models}, path, _use_new_zipfile_serialization=not legacy)
    return path


def first_bias(loaded):
    return float(loaded.module[0].bias[0])


def weights(bias):
    return net(bias).state_dict()


EMA = ["state_dict_ema", "ema", "model_ema", "ema_model", "params_ema", "ema_state_dict"]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", EMA)
def test_the_average_is_told_of_and_can_be_chosen(tmp_path, key, legacy):
    path = saved(tmp_path / "m.pt", legacy, **{"state_dict": weights(1.0), key: weights(2.0)})
    usual = load(path, model=MODEL)
    assert first_bias(usual) == 1.0
    assert f"under 'state_dict'; it also has '{key}': --weights chooses" in " ".join(usual.notes)
    for name in ("ema", key):
        loaded = load(path, model=MODEL, weights=name)
        assert first_bias(loaded) == 2.0
        assert f"under '{key}'; it also has 'state_dict'" in " ".join(loaded.notes)
    assert first_bias(load(path, model=MODEL, weights="state_dict")) == 1.0


def test_a_model_in_a_model_is_named_by_its_path(tmp_path):
    nested = {"state_dict": weights(1.0), "average": weights(2.0)}
    path = saved(tmp_path / "m.pt", model=nested)
    assert first_bias(load(path, model=MODEL)) == 1.0
    assert first_bias(load(path, model=MODEL, weights="model.average")) == 2.0
    assert first_bias(load(path, model=MODEL, weights="average")) == 2.0


def test_whole_modules_are_chosen_alike(tmp_path):
    path = saved(tmp_path / "m.pt", model=net(1.0), ema=net(2.0))
    assert first_bias(load(path, weights="ema")) == 2.0
    assert first_bias(load(path)) == 1.0


def test_several_under_unknown_keys_are_named_and_chosen(tmp_path):
    path = saved(tmp_path / "m.pt", student=weights(1.0), teacher=weights(2.0))
    with pytest.raises(LoadError, match=r"several models.*student, teacher") as error:
        load(path, model=MODEL)
    assert "--weights student" in error.value.remedy
    assert first_bias(load(path, model=MODEL, weights="teacher")) == 2.0


def test_a_name_that_is_not_there_or_not_clear_says_what_is(tmp_path):
    path = saved(tmp_path / "m.pt", model=weights(1.0), ema_a=weights(2.0), ema_b=weights(3.0))
    with pytest.raises(LoadError, match="no model called 'swa'") as error:
        load(path, model=MODEL, weights="swa")
    assert "model, ema_a and ema_b" in error.value.remedy
    with pytest.raises(LoadError, match="has 2 models called 'ema'") as error:
        load(path, model=MODEL, weights="ema")
    assert "ema_a and ema_b" in error.value.remedy


@pytest.mark.parametrize("kind", ["state_dict", "safetensors", "onnx", "torchscript"])
def test_where_there_is_nothing_to_choose_it_is_refused(tmp_path, kind):
    with pytest.raises(LoadError) as error:
        load(write(kind, tmp_path / "m"), model=MODEL, weights="ema", trust=True)
    assert error.value.remedy == "Leave --weights out."


def test_it_is_an_option_of_fold_and_of_verify(tmp_path, capsys):
    path = saved(tmp_path / "m.pt", state_dict=weights(1.0), state_dict_ema=weights(2.0))
    out = tmp_path / "out.onnx"
    options = ["--model", MODEL, "--provider", "cpu"]

    def run(*args):
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in (*args, *options)])
        return left.value.code

    assert run("fold", path, "-o", out, "--weights", "ema") == 0
    assert "under 'state_dict_ema'; it also has 'state_dict'" in capsys.readouterr().out
    assert run("verify", path, out, "--weights", "ema") == 0
    assert run("verify", path, out) == 1
    folded = bnfuse.fold(path, model=MODEL, weights="ema", providers="cpu")
    assert bnfuse.verify(out, folded, providers="cpu").verdict.name == "PASS"
