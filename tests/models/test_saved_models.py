from __future__ import annotations

import importlib
import os

import pytest
import torch

from bnfuse.models import MODULE_CLASSES, build, names, save_module


def after_a_step(name: str, norm: str | None = None) -> torch.nn.Module:
    net = build(name, norm).train()
    net(torch.randn(256, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    return net.eval()


@pytest.mark.parametrize("norm", [None, "scratch", "none"])
@pytest.mark.parametrize("name", names())
def test_file_names_only_classes_of_pytorch_and_of_this_package(name, norm, tmp_path):
    net = after_a_step(name, norm)
    path = tmp_path / "model.pt"
    save_module(net, path)
    found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    assert found
    ours = {f"{kind.__module__}.{kind.__qualname__}" for kind in MODULE_CLASSES}
    stock = {title for title in found if title.startswith("torch.nn.modules.")}
    assert set(found) <= ours | stock
    classes = [
        getattr(importlib.import_module(home), kind)
        for home, _, kind in (title.rpartition(".") for title in stock)
    ]
    with torch.serialization.safe_globals([*MODULE_CLASSES, *classes]):
        loaded = torch.load(path, weights_only=True)
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(loaded(x), net(x))


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"before")
    save_module(build("conv-pool-bn"), path)
    assert path.read_bytes() != b"before"
    assert os.listdir(tmp_path) == ["model.pt"]


def test_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    save_module(build("conv-pool-bn"), tmp_path / "model.pt")
    assert (tmp_path / "model.pt").stat().st_mode == (tmp_path / "plain").stat().st_mode
