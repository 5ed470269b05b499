"""``python -m bnfuse`` in processes that import next to nothing: forks of one that has it all.

A command on a small ONNX file takes a second, and nearly all of it goes into imports. Run as a
script, this imports what every such command imports and forks a process for each line of stdin.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import bnfuse

IMPORTED = ("numpy", "onnx", "onnx_ir", "bnfuse.cli.main", "bnfuse.verifying.verification")
"""Not torch, which few commands need, nor onnxruntime, which does not live through a fork."""


def run(folder: Path, args: list[str], out: Path, err: Path) -> int:
    """Run ``python -m bnfuse`` in ``folder``: its exit code, negative for a signal."""
    request = {"folder": str(folder), "args": args, "out": str(out), "err": str(err)}
    served = _server()
    assert served.stdin
    assert served.stdout
    served.stdin.write(json.dumps({**request, "environment": dict(os.environ)}) + "\n")
    served.stdin.flush()
    code, seconds = json.loads(served.stdout.readline())
    spent.append(seconds)
    return int(code)


spent: list[float] = []
"""The processor seconds of each command so far."""


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, __file__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def serve() -> dict[str, Any] | None:
    """Fork for each request; return it in the fork, and nothing after the last one."""
    with os.fdopen(os.dup(0)) as requests, os.fdopen(os.dup(1), "w") as answers:
        for line in requests:
            fork = os.fork()
            if not fork:
                request: dict[str, Any] = json.loads(line)
                return request
            _, status, used = os.wait4(fork, 0)
            answers.write(
                json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime])
            )
            answers.write("\n")
            answers.flush()
    return None


def become(request: dict[str, Any]) -> None:
    """Be the command: what it says or raises is this process's own."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["args"]
    runpy.run_module("bnfuse", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    for name in bnfuse.__all__:
        getattr(bnfuse, name)
    asked = serve()
    if asked is not None:
        become(asked)
