"""Python programs in processes that import next to nothing: forks of one that has it all.

A command on a small file takes seconds, and nearly all of it goes into imports. Run as a script,
this imports what it is told and forks a process for each program that is asked of its socket.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

import fork_client

if TYPE_CHECKING:
    from collections.abc import Callable

ONNX = ("numpy", "onnx", "onnx_ir", "bnfuse.cli.main", "bnfuse.verifying.verification")
"""What commands on ONNX files import: not torch, which few of them need."""

TORCH = (*ONNX, "torch", "onnxscript", "exported_once")
"""What commands on modules import. Never onnxruntime, whose threads do not live through a fork."""

spent: dict[Path, float] = {}
"""The processor seconds of each server and its programs so far."""


def begin(
    folder: Path, args: list[str], streams: list[IO[Any] | int], environment: dict[str, str]
) -> Callable[[], int]:
    """Have ``python -m bnfuse`` run in ``folder``; what waits for its exit code is returned."""
    server = _own()
    numbers = [one if isinstance(one, int) else one.fileno() for one in streams]
    arguments = ["-m", "bnfuse", *args]
    asked = fork_client.ask(str(server.socket), str(folder), arguments, numbers, environment)

    def wait() -> int:
        code = fork_client.wait(asked)
        server.account()
        return code

    return wait


@cache
def _own() -> Server:
    return Server(sys.executable, ONNX)


class Server:
    """A process of ``python`` that has imported ``modules``. It ends with the one that made it."""

    def __init__(self, python: str, modules: tuple[str, ...]) -> None:
        self.python = python
        self.folder = TemporaryDirectory(prefix="forks")
        # A socket's path has to be short.
        self.socket = Path(self.folder.name) / "socket"
        command = [python, __file__, str(self.socket), *modules]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        atexit.register(process.communicate)
        assert process.stdout
        assert process.stdout.readline(), "the server did not start"

    def account(self) -> None:
        """Take down what was spent."""
        spent[self.socket] = sum(map(float, _spent(self.socket).read_text().split()))

    @cached_property
    def commands(self) -> Path:
        """A folder for PATH: ``python`` with a script or ``-c``, and the scripts of bnfuse."""
        folder = self.socket.with_name("bin")
        folder.mkdir()
        ask = f'exec "{self.python}" -IS "{fork_client.__file__}" "{self.socket}"'
        bodies = {"python": f'case $1 in *.py|-c) {ask} "$@";; *) exec "{self.python}" "$@";; esac'}
        for script in Path(self.python).parent.glob("bnfuse*"):
            bodies[script.name] = f'{ask} "{script}" "$@"'
        for name, body in bodies.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)
        return folder


def _spent(path: Path) -> Path:
    return path.with_name("spent")


def serve(path: Path) -> list[str] | None:
    """Fork for each request; return its arguments in the fork, and nothing when stdin ends."""
    # Nobody waits for those that attend to a request.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        _account(path, sum(os.times()[:4]))
        # Collections in the forks leave alone what was there before, and its memory stays shared.
        gc.collect()
        gc.freeze()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([0, listening], [], [])
            if 0 in ready:
                return None
            connection, _ = listening.accept()
            with connection:
                if not os.fork():
                    return attend(path, connection)


def attend(path: Path, connection: socket.socket) -> list[str]:
    """Return in a fork that is ready to be the program; tell how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    request = json.loads(data)
    program = os.fork()
    if not program:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        arguments: list[str] = request["arguments"]
        return arguments
    for stream in streams:
        os.close(stream)
    _, status, used = os.wait4(program, 0)
    _account(path, used.ru_utime + used.ru_stime)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _account(path: Path, seconds: float) -> None:
    with _spent(path).open("a") as file:
        file.write(f"{seconds}\n")


def become(arguments: list[str]) -> None:
    """Be the program: what it says or raises is this process's own."""
    name, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    encoding = name or None
    sys.stdin = os.fdopen(0, encoding=encoding, errors=errors or None, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, errors=errors or None, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace", closefd=False)
    if arguments[0] == "-m":
        sys.path[0] = os.getcwd()
        sys.argv[1:] = arguments[2:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.path[0] = ""
        sys.argv[:] = ["-c", *arguments[2:]]
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        sys.argv[:] = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def leave(code: int) -> None:
    """End without taking apart all that the server had imported."""
    atexit._run_exitfuncs()
    # What cannot be written is told as ever.
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    bnfuse = importlib.import_module("bnfuse")
    for name in bnfuse.__all__:
        getattr(bnfuse, name)
    asked = serve(Path(sys.argv[1]))
    if asked is not None:
        try:
            become(asked)
        except SystemExit as end:
            if isinstance(end.code, int):
                leave(end.code)
            raise
