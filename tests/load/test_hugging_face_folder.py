"""A folder of the Hugging Face Hub is one model: its class from config.json, its weights safely."""

from __future__ import annotations

import json
import shlex
import shutil
import sys

import hf_factories
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

import bnfuse
from bnfuse.cli.main import main
from bnfuse.errors import LoadError, UnsafeFileError
from bnfuse.loading import FileKind, detect, load


def resnet():
    torch.manual_seed(1)
    return hf_factories.resnet()


@pytest.fixture(params=["one file", "shards"])
def folder(tmp_path, request):
    path = tmp_path / "resnet"
    size = "1KB" if request.param == "shards" else "5GB"
    resnet().save_pretrained(path, max_shard_size=size)
    shards = list(path.glob("*.safetensors"))
    assert (len(shards) > 1) is (request.param == "shards")
    return path


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "resnet"
    hf_factories.resnet().save_pretrained(path)
    return path


def configured(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    return path


def run(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code


def test_it_is_folded_and_verified_by_the_commands(folder, tmp_path):
    assert detect(folder) is FileKind.HUGGING_FACE
    here = ("--provider", "cpu", "--input-shape", "N,3,32,32")
    report, out = tmp_path / "report.json", folder.with_suffix(".onnx")
    assert run("fold", folder, "--json", report, *here) == 0
    told = json.loads(report.read_text())
    assert told["verdict"] == "PASS"
    assert told["norms"]["folded"] == told["norms"]["found"] > 3
    assert "ResNetForImageClassification of transformers" in told["notes"]
    assert run("verify", folder, out, *here) == 0


def test_a_failure_is_reproduced_from_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "res net; v1.5"
    resnet().save_pretrained(folder, max_shard_size="1KB")
    here = ("--provider", "cpu", "--input-shape", "N,3,32,32")
    assert run("fold", folder, "-o", tmp_path / "right.onnx", *here) == 0
    wrong = onnx.load(tmp_path / "right.onnx")
    wrong.graph.node[-1].output[0] = "before"
    wrong.graph.node.append(onnx.helper.make_node("Neg", ["before"], [wrong.graph.output[0].name]))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    for _ in range(2):
        assert run("verify", folder, tmp_path / "wrong.onnx", "--repro", tmp_path / "repro") == 1
    monkeypatch.chdir(tmp_path / "repro")
    command = (tmp_path / "repro/command.txt").read_text().splitlines()[-1]
    shutil.rmtree(folder)
    (tmp_path / "wrong.onnx").unlink()
    assert run(*shlex.split(command)[1:]) == 1


def test_it_is_the_model_that_was_saved(folder):
    folded = bnfuse.fold(folder, input_shapes="N,3,32,32", providers="cpu")
    assert bnfuse.verify(resnet(), folded, providers="cpu").verdict.name == "PASS"


def test_nothing_is_said_while_it_is_read(whole, capfd):
    capfd.readouterr()
    bars = logging.is_progress_bar_enabled()
    load(whole, input_shapes="N,3,32,32")
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() is bars


def test_code_in_the_folder_is_not_run(whole):
    (whole / "mine.py").write_text("raise SystemExit('ran')\n")
    configured(whole, auto_map={"AutoModel": "mine.Net"})
    with pytest.raises(UnsafeFileError, match="code of its own"):
        load(whole, trust=True)


@pytest.mark.parametrize("names", [None, [], [3], "ResNetModel"])
def test_a_config_without_an_architecture_says_so(whole, names):
    with pytest.raises(LoadError, match="names no architecture"):
        load(configured(whole, architectures=names))


@pytest.mark.parametrize("name", ["Nonsense", "AutoConfig", "ResNetConfig", "os", "pipeline"])
def test_a_name_that_is_no_model_of_transformers_is_refused(whole, name):
    with pytest.raises(LoadError, match=f"names {name}, which transformers"):
        load(configured(whole, architectures=[name]))


def test_weights_that_are_missing_are_not_made_up(whole):
    file = whole / "model.safetensors"
    weights = load_file(file)
    gone = next(iter(weights))
    save_file({n: w for n, w in weights.items() if n != gone}, file, metadata={"format": "pt"})
    with pytest.raises(LoadError, match="1 keys are missing"):
        load(whole)


def test_a_config_that_cannot_be_read_says_so(whole):
    (whole / "config.json").write_text("{")
    with pytest.raises(LoadError, match=r"config\.json cannot be read"):
        load(whole)


def test_a_shard_that_is_missing_says_so(tmp_path):
    path = tmp_path / "resnet"
    hf_factories.resnet().save_pretrained(path, max_shard_size="1KB")
    next(path.glob("*.safetensors")).unlink()
    with pytest.raises(LoadError, match="cannot be loaded by transformers"):
        load(path)


def test_without_transformers_it_says_what_to_install(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LoadError, match="not installed") as error:
        load(whole)
    assert "pip install transformers" in error.value.remedy


def test_a_folder_with_a_pickle_alone_is_a_folder(whole):
    (whole / "model.safetensors").rename(whole / "pytorch_model.bin")
    assert detect(whole) is FileKind.FOLDER
    with pytest.raises(LoadError, match=r"pytorch_model\.bin"):
        load(whole)
