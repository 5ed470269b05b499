"""An interrupt in the middle of the work: exit code 130, one line, no file half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import Net

# A real process gets a real signal, at a place that is hooked and not waited for.
DRIVER = """
import os, signal, sys
from bnfuse.cli.main import main
from bnfuse.onnxfiles import message, write as place

# A process in the background of a shell is started deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

if sys.argv[1] == "between two tensors":
    write, calls = message._Constant.write, []
    def hooked(self, file):
        write(self, file)
        calls.append(file.tell())
        if len(calls) == 2:
            file.flush()
            interrupt()
    message._Constant.write = hooked
elif sys.argv[1] == "in the external data":
    place._INLINE_LIMIT = 0
    tofile = message.ir.LazyTensor.tofile
    def hooked(self, file):
        tofile(self, file)
        interrupt()
    message.ir.LazyTensor.tofile = hooked
else:
    place._INLINE_LIMIT = 0
    replace = os.replace
    def hooked(source, target):
        replace(source, target)
        if ".bnfuse-" not in str(target):
            interrupt()
    place.os.replace = hooked
main(sys.argv[2:])
"""


def saved(folder: Path) -> Path:
    net = Net(dtype=np.float32)
    x = net.input(["N", 3, 8, 8])
    for inputs, outputs in ((3, 4), (4, 4), (4, 4)):
        x = net.op("Relu", net.norm(net.conv(x, inputs, outputs), outputs, 2))
    onnx.save(net.model(x), folder / "net.onnx")
    return folder / "net.onnx"


def interrupted(where: str, source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    arguments = [where, "fold", "--no-verify", "-q", str(source), "-o", str(output)]
    return subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
@pytest.mark.parametrize("where", ["between two tensors", "in the external data"])
def test_an_interrupt_while_writing_leaves_what_was_there(where: str, tmp_path: Path) -> None:
    source, output = saved(tmp_path), tmp_path / "out.onnx"
    output.write_bytes(b"what was there before")
    ran = interrupted(where, source, output)
    assert ran.returncode == 130
    assert ran.stderr.strip() == "interrupted: no file was left half-written."
    assert output.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "out.onnx"]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_an_interrupt_between_a_model_and_its_data_waits_for_both(tmp_path: Path) -> None:
    source, output = saved(tmp_path), tmp_path / "out.onnx"
    ran = interrupted("between the two files", source, output)
    assert ran.returncode == 130
    assert ran.stderr.strip() == "interrupted: no file was left half-written."
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "out.onnx", "out.onnx.data"]
    onnx.checker.check_model(str(output))
    assert [node.op_type for node in onnx.load(output).graph.node] == ["Conv", "Relu"] * 3
