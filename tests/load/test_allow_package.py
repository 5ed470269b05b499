"""``--allow package.*``: the module classes of one package, and nothing else of it."""

from __future__ import annotations

import importlib
import logging
import sys

import pytest
import torch
from load_samples import Payload

from bnfuse.errors import UnsafeFileError, UsageError
from bnfuse.loading import load
from bnfuse.loading.consent.imports import working_directory_on_path

BLOCKS = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.conv(x)


class Norm(nn.BatchNorm2d):
    pass


class Options:
    pass


def write(name):
    open(name, "w").close()
"""
NETS = """
from torch import nn
from zoo.blocks import Block, Norm, Options


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(Block(), Norm(2))
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    package = tmp_path / "zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blocks.py").write_text(BLOCKS)
    (package / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    with working_directory_on_path():
        yield importlib.import_module("zoo.nets")
    for name in ("zoo", "zoo.nets", "zoo.blocks"):
        sys.modules.pop(name, None)


def test_one_flag_allows_the_classes_of_a_package_after_a_warning(tmp_path, zoo, caplog):
    torch.save(zoo.Net().eval(), tmp_path / "m.pt")
    with pytest.raises(UnsafeFileError) as error:
        load(tmp_path / "m.pt")
    assert "all module classes of that package: --allow 'zoo.*'" in error.value.remedy
    with caplog.at_level(logging.WARNING, "bnfuse"):
        loaded = load(tmp_path / "m.pt", allow="zoo.*")
    assert type(loaded.module).__name__ == "Net"
    assert "--allow zoo.* lets" in caplog.text
    assert any("allowed by their package: zoo.nets.Net" in note for note in loaded.notes)


def test_what_is_no_module_is_not_taken_by_its_package(tmp_path, zoo):
    net = zoo.Net().eval()
    net.options = zoo.Options()
    torch.save(net, tmp_path / "m.pt")
    with pytest.raises(UnsafeFileError, match=r"zoo\.blocks\.Options, which is no nn\.Module"):
        load(tmp_path / "m.pt", allow="zoo.*")
    assert load(tmp_path / "m.pt", allow=["zoo.*", "zoo.blocks.Options"]).module is not None


def test_a_function_of_the_package_is_not_called(tmp_path, zoo):
    net = zoo.Net().eval()
    net.options = Payload(sys.modules["zoo.blocks"].write, str(tmp_path / "touched"))
    torch.save(net, tmp_path / "m.pt")
    with pytest.raises(UnsafeFileError, match=r"zoo\.blocks\.write"):
        load(tmp_path / "m.pt", allow="zoo.*")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("option", ["*", "zoo.blocks.*.*", "a=zoo.*", "zoo.*=zoo.nets.Net"])
def test_other_patterns_are_no_names(tmp_path, zoo, option):
    torch.save(zoo.Net().eval(), tmp_path / "m.pt")
    with pytest.raises(UsageError, match="not the dotted name"):
        load(tmp_path / "m.pt", allow=option)


@pytest.mark.parametrize("option", ["torch.*", "os.*", "builtins.*", "numpy.*"])
def test_packages_that_run_other_code_are_refused(tmp_path, zoo, option):
    torch.save(zoo.Net().eval(), tmp_path / "m.pt")
    with pytest.raises(UnsafeFileError, match="does not take"):
        load(tmp_path / "m.pt", allow=option)
