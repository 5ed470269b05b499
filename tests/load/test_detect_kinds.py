"""Each kind is told by its bytes alone, under any name, and nothing is imported or run for it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from load_samples import KINDS, small_net, write

from bnfuse.errors import LoadError
from bnfuse.loading import FileKind, detect, load


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["model.pt", "model.onnx", "model"])
def test_kind_is_found_under_any_name(tmp_path, kind, name):
    assert detect(write(kind, tmp_path / name)) is FileKind(kind)


@pytest.mark.parametrize("key", ["state_dict", "model", "ema", "model_ema", "params", "net", "odd"])
@pytest.mark.parametrize("whole", [False, True])
def test_checkpoints_hold_weights_or_a_module_under_known_keys_or_the_only_one(
    tmp_path, key, whole
):
    net = small_net()
    path = tmp_path / "model.pt"
    torch.save({key: net if whole else net.state_dict(), "epoch": 2, "lr": [0.1]}, path)
    assert detect(path) is FileKind.CHECKPOINT


def test_two_unknown_keys_with_weights_are_not_guessed(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"student": small_net().state_dict(), "teacher": small_net().state_dict()}, path)
    assert detect(path) is FileKind.DATA


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FileKind.EMPTY),
        (b"import torch\n", FileKind.TEXT),
        (b"<!DOCTYPE html><html>", FileKind.TEXT),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", FileKind.TEXT),
        (b"GGUF\x03\0\0\0", FileKind.UNKNOWN),
        (bytes(range(256)), FileKind.UNKNOWN),
        (b"PK\x03\x04" + b"\0" * 40, FileKind.DAMAGED),
        (b"cos\nsystem\n(S'true'\ntR.", FileKind.PICKLE),
    ],
)
def test_what_is_no_model_is_named(tmp_path, content, kind):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert detect(path) is kind
    with pytest.raises(LoadError) as caught:
        load(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.zeros(3), FileKind.TENSOR),
        ({"epoch": 3, "loss": 0.5}, FileKind.DATA),
        ([1, 2], FileKind.DATA),
        ({}, FileKind.DATA),
    ],
)
def test_saved_data_is_not_a_model(tmp_path, value, kind):
    path = tmp_path / "model.pt"
    torch.save(value, path)
    assert detect(path) is kind
    with pytest.raises(LoadError, match=kind.description.split(",")[0][:12]):
        load(path)


def test_a_folder_names_the_model_files_in_it(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert detect(tmp_path) is FileKind.FOLDER
    with pytest.raises(LoadError, match=r"folder.*model\.safetensors"):
        load(tmp_path)


def test_other_zip_archives_are_archives(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    assert detect(tmp_path / "a.npz") is FileKind.ARCHIVE
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme", "hello")
    assert detect(tmp_path / "b.zip") is FileKind.ARCHIVE


def test_the_tar_format_of_long_ago_is_named_and_not_read(tmp_path):
    path = tmp_path / "model.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))
    assert detect(path) is FileKind.LEGACY_TAR
    with pytest.raises(LoadError, match="tar format"):
        load(path, trust=True)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(LoadError, match="does not exist"):
        detect(tmp_path / "none.pt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_in_half_is_damaged_or_nothing_known(tmp_path, kind):
    path = write(kind, tmp_path / "model.pt")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert detect(path) is FileKind.DAMAGED


@pytest.mark.parametrize("kind", ["onnx", "module", "exported_program"])
def test_detection_and_onnx_loading_import_neither_torch_nor_onnxsim(tmp_path, kind):
    path = write(kind, tmp_path / "model.pt")
    program = f"""
import sys
from bnfuse.loading import detect, load
detect({str(path)!r})
if {kind == "onnx"}:
    load({str(path)!r})
sys.exit(bool({{"torch", "onnxsim"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_kind_has_a_description_of_its_own():
    assert len({kind.description for kind in FileKind}) == len(FileKind)
