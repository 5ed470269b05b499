"""Ask a server of forks.py for a program and be what it is. It imports little: it is run often."""

from __future__ import annotations

import json
import os
import socket
import sys


def ask(
    path: str, folder: str, arguments: list[str], streams: list[int], environment: dict[str, str]
) -> socket.socket:
    """Have a program run in ``folder`` with these three standard streams."""
    request = {"folder": folder, "arguments": arguments, "environment": environment}
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    socket.send_fds(server, [json.dumps(request).encode() + b"\n"], streams)
    return server


def wait(server: socket.socket) -> int:
    """Return the exit code of the program that was asked for, negative for a signal."""
    with server, server.makefile() as answer:
        return int(answer.readline())


if __name__ == "__main__":
    code = wait(ask(sys.argv[1], os.getcwd(), sys.argv[2:], [0, 1, 2], dict(os.environ)))
    # As a shell tells of a signal.
    sys.exit(code if code >= 0 else 128 - code)
