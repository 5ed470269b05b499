"""What a person sees at 60, 80 and 200 columns, and a program in a pipe, number for number masked.

``BNFUSE_SNAPSHOTS=write`` writes them anew: look at the difference before you keep it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import Net, fold_model
from processes import on_terminal, run

SNAPSHOTS = Path(__file__).parent / "snapshots"
COMMANDS = {
    "fold": ["fold", "my net.onnx", "-v", "--provider", "cpu"],
    "verify": ["verify", "my net.onnx", "other.onnx", "--github", "--provider", "cpu"],
    "bench": ["bench", "my net.onnx", "other.onnx", "--rounds", "6", "--no-memory"],
    "stages": ["fold", "deep.onnx", "--dry-run"],
    "inspect": ["inspect", "my net.onnx"],
    "beside": ["inspect", "my net.onnx", "other net.onnx"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A net with a norm that goes, and one that stays for a long reason."""
    net = Net(dtype=np.float32)
    x = net.norm(net.conv(net.input(["N", 3, 8, 8]), 3, 4), 4, 2)
    x = net.norm(net.op("Sigmoid", x), 4, 2)
    onnx.save(net.model(net.op("Sigmoid", x)), tmp_path / "my net.onnx")
    shutil.copy(tmp_path / "my net.onnx", tmp_path / "other.onnx")
    onnx.save(fold_model(net.model(net.nodes[-1].output[0])).after, tmp_path / "other net.onnx")
    onnx.save(deep(), tmp_path / "deep.onnx")
    return tmp_path


def deep() -> onnx.ModelProto:
    """Two stages of many norms, of which one each goes by another way, and one stays."""
    net = Net(dtype=np.float32)
    x = net.norm(net.op("Sigmoid", net.input(["N", 4, 8, 8])), 4, 2)
    for place in range(24):
        x = net.conv(net.op("Sigmoid", x), 4, 4, (1, 1))
        if place % 12 == 11:
            x = net.op("AveragePool", x, kernel_shape=[1, 1])
        first = len(net.nodes)
        x = net.norm(x, 4, 2)
        for node in net.nodes[first:]:
            node.name = f"/layer{place // 12 + 1}/{place % 12}/norm/{node.op_type}"
    return net.model(net.op("Sigmoid", x))


def masked(text: str) -> str:
    """Digits of measurements become 0, and what they decide becomes one word."""
    text = re.sub(r"\b(faster|slower|within noise)\b", "DIFFERENCE", text)
    text = re.sub(r"note: .*\n", "", text)
    text = re.sub(r"onnxruntime [\d.]+", "onnxruntime 0", text)
    text = re.sub(r"[-+][\d,]+ bytes", "+0 bytes", text)
    text = re.sub(r"\d[\d.,]* ±\d[\d.,]* (ms|µs)", "0.0 ±0.0 µs", text)
    text = re.sub(r"\d\.\d+e[-+]\d+", "0.00e-00", text)
    text = re.sub(r"\d+\.\d+", "0.0", text)
    text = re.sub(r"(positive|negative|zero) [\d,]+", r"\1 0", text)
    # The widths of masked numbers differ by a space or a line of a box.
    text = re.sub(r"─+", "─", re.sub(r" {2,}", "  ", text))
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
@pytest.mark.parametrize("width", [60, 80, 200, 0], ids=["60", "80", "200", "pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_output_is_as_it_was(command: str, width: int, folder: Path) -> None:
    args = COMMANDS[command]
    if width:
        code, shown = on_terminal(folder, width, *args)
    else:
        ended = run(folder, *args, COLUMNS="40", PYTHONIOENCODING="utf-8")
        code, shown = ended.code, ended.out.decode()
    assert code == 0
    assert "…" not in shown, "something was cut"
    if command in ("fold", "verify"):
        for heading_or_number in (r"\de-\d\d\b", r"\boriginal\b", r"\bcandidate\b", r"\bPASS\b"):
            assert re.search(heading_or_number, shown)
    if command == "fold":
        assert "bnfuse verify 'my net.onnx' 'my net.folded.onnx'\n" in shown
    snapshot = SNAPSHOTS / f"{command}-{width or 'pipe'}.txt"
    if os.environ.get("BNFUSE_SNAPSHOTS") == "write":
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(masked(shown), encoding="utf-8")
    assert masked(shown) == snapshot.read_text(encoding="utf-8")


def test_long_names_and_commands_are_whole_in_a_pipe(tmp_path: Path) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    outer = torch.nn.Sequential()
    outer.add_module("a_stage_with_a_long_name_" * 3, net)
    torch.save(outer, tmp_path / "model.pt")
    ran = run(tmp_path, "fold", "model.pt", "--input-shape", "N,3,8,8", "-o", "out put.onnx")
    assert ran.code == 0, ran.err
    text = ran.out.decode()
    assert "a_stage_with_a_long_name_" * 3 + ".1 " in text
    following = "bnfuse verify model.pt 'out put.onnx' --input-shape N,3,8,8\n"
    assert following in text
