"""Real architectures from transformers, in three kinds of file, through the command line."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import hf_factories
import pytest
import torch
from nightly import NIGHTLY
from safetensors.torch import save_file

from bnfuse.cli.main import main

NETS = ("resnet", "mobilenet", "bert")
KINDS = ("module", "state_dict", "safetensors")
SMALL = ("--input-shape", "N,3,32,32")
"""Verified in a fraction of the time that the 224 pixels take which the nets are found to want."""
# tests/load loads each net in each kind; what is loaded is the same module.
FOLDED = [
    (name, kind)
    for name in NETS
    for kind in KINDS
    if NIGHTLY or name == "resnet" or kind == "module"
]


def save(net: torch.nn.Module, kind: str, path: Path) -> None:
    if kind == "module":
        torch.save(net, path)
    elif kind == "state_dict":
        torch.save(net.state_dict(), path)
    else:
        save_file(net.state_dict(), path)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(args))
    captured = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, captured.out, captured.err


def flags_told(message: str, name: str) -> list[str]:
    """The options of the command that the error says to type."""
    if "--model package.module:factory" in message:
        return ["--model", f"hf_factories:{name}"]
    command = re.search(r"bnfuse fold .*?(?= \(|$)", message.replace("\n", " "))
    assert command is not None, message
    words = pairwise(shlex.split(command.group(0)))
    return [word for pair in words if pair[0] == "--allow" for word in pair]


@pytest.mark.parametrize(("name", "kind"), FOLDED)
def test_fold_with_the_flags_that_the_message_told(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    save(getattr(hf_factories, name)(), kind, path)
    code, out, err = run(capsys, "fold", str(path))
    assert code == 2
    assert not (tmp_path / "model.onnx").exists()
    flags = flags_told(err, name)
    sizes = () if name == "bert" or NIGHTLY else SMALL
    code, out, err = run(capsys, "fold", str(path), *flags, *sizes, "--json", "-")
    assert code == 0, err
    report = json.loads(out)
    assert report["verdict"] == "PASS"
    assert report["norms"]["left"] == 0, [f["reason"] for f in report["folds"] if f["reason"]]
    assert (report["norms"]["found"] > 0) == (name != "bert")
