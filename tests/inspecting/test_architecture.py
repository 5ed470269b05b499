"""The modules in a file, told without importing or running anything of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from bnfuse.inspecting.tree import tree_lines  # noqa: E402
from bnfuse.loading import inspect_file  # noqa: E402
from bnfuse.loading.architecture import Part, architecture_of  # noqa: E402


@pytest.fixture
def net() -> nn.Module:
    block = [nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)) for _ in range(3)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), *block, nn.LayerNorm(4))


def of(path: Path) -> Part:
    found = architecture_of(inspect_file(path))
    assert found is not None
    return found


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_module(net: nn.Module, tmp_path: Path, legacy: bool) -> None:
    torch.save(net, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    assert tree_lines(of(tmp_path / "m.pt")) == [
        "Sequential",
        "  0  Conv2d 112",
        "  1–3  3 × Sequential",
        "    0  Conv2d 148",
        "    1  BatchNorm2d 17 (norm)",
        "  4  LayerNorm 8 (normaliser)",
    ]


def test_weights_alone_have_names_and_no_classes(net: nn.Module, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pt")
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        found = dict(of(tmp_path / name).walk())
        assert [path for path, part in found.items() if part.is_norm] == ["1.1", "2.1", "3.1"]
        assert found["0"].tensors == {"weight": (4, 3, 3, 3), "bias": (4,)}
    assert "1–3  3 ×" in tree_lines(of(tmp_path / "w.pt"))[1]


def test_a_module_that_stands_in_two_places_is_told_once(tmp_path: Path) -> None:
    shared = nn.Sequential(nn.Linear(2, 2))
    torch.save(nn.Sequential(shared, nn.ReLU(), shared), tmp_path / "m.pt")
    (told,) = [line for line in tree_lines(of(tmp_path / "m.pt")) if "same module" in line]
    assert told == "  2  Sequential (the same module as elsewhere)"


def test_a_file_made_to_have_no_end_is_told_in_a_few_lines(tmp_path: Path) -> None:
    inner: nn.Module = nn.ReLU()
    for _ in range(40):
        inner = nn.Sequential(inner, inner)
    torch.save(inner, tmp_path / "m.pt")
    assert len(list(of(tmp_path / "m.pt").walk())) == 81
    loop = nn.Sequential(nn.ReLU())
    loop._modules["1"] = loop
    torch.save(loop, tmp_path / "loop.pt")
    assert len(list(of(tmp_path / "loop.pt").walk())) == 3


def test_statistics_that_are_plain_attributes_make_a_norm(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "written_norm.py").write_text(
        "import torch\n"
        "class Norm(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.mean, self.std = torch.zeros(3), torch.ones(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import written_norm

    torch.save(written_norm.Norm(), tmp_path / "m.pt")
    del sys.modules["written_norm"]
    (tmp_path / "written_norm.py").unlink()
    assert of(tmp_path / "m.pt").is_norm
    assert "written_norm" not in sys.modules


def test_names_cannot_move_a_terminals_cursor(tmp_path: Path) -> None:
    torch.save({"a\x1b[2J.weight": torch.zeros(2)}, tmp_path / "w.pt")
    assert "\x1b" not in "".join(tree_lines(of(tmp_path / "w.pt")))
