"""Messages name what a file is, in the number and for the suffix that it has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import bnfuse
from bnfuse.errors import BnfuseError, LoadError, UnsafeFileError


@pytest.mark.parametrize(
    ("name", "text", "says", "not_says"),
    [
        ("net.onnx", "hello", "the binary file that an exporter wrote", "torch.save"),
        ("net.onnx", '<ir_version: 8, opset_import: ["": 17]> g () => () {}', "as text", "torch"),
        ("net.pt", 'ir_version: 8\nproducer_name: "x"', "as text", "torch"),
        ("net.onnx", '{"irVersion": "8"}', "as text", "torch"),
        ("net.py", "import torch", "the program that wrote it", "exporter"),
        ("net.onnx", "version https://git-lfs.github.com/spec/v1", "git lfs pull", "torch.save"),
    ],
)
def test_a_text_file_is_told_for_what_it_is(
    name: str, text: str, says: str, not_says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LoadError) as caught:
        bnfuse.load(tmp_path / name)
    assert says in str(caught.value)
    assert not_says not in str(caught.value).replace(str(tmp_path), "")


def test_one_class_was_saved_and_two_were(tmp_path: Path, monkeypatch) -> None:
    main = sys.modules["__main__"]
    for name in ("Net", "MyBN"):
        kind = type(name, (torch.nn.Module,), {"__module__": "__main__", "__qualname__": name})
        monkeypatch.setattr(main, name, kind, raising=False)
    net = main.Net()  # type: ignore[attr-defined]
    torch.save(net, tmp_path / "one.pt")
    net.norm = main.MyBN()  # type: ignore[attr-defined]
    torch.save(net, tmp_path / "two.pt")
    for file, says in (("one", ".Net was saved"), ("two", " were saved")):
        with pytest.raises(UnsafeFileError, match=says):
            bnfuse.load(tmp_path / f"{file}.pt")


def test_a_torch_file_without_torch_says_that_torch_is_needed(tmp_path: Path, monkeypatch) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BnfuseError, match="needs the package torch") as caught:
        bnfuse.load(tmp_path / "net.pt")
    assert "Save it again" not in str(caught.value)
