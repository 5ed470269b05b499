"""Files that appear whole or not at all."""

from __future__ import annotations

__all__ = ["check_writable", "save_module", "write_whole"]

import os
from typing import IO, TYPE_CHECKING
from uuid import uuid4

import torch

from bnfuse.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


def check_writable(path: Path) -> None:
    """Find out before the work whether ``path`` can be written after it.

    Raises:
        OutputError: If ``path`` is a folder, or its folder does not exist or cannot be written to.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise OutputError(f"{path} is a folder.", "Give the name of a file.")
    if not folder.is_dir():
        raise OutputError(f"The folder {folder} does not exist.", "Make it, or choose another.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder {folder} cannot be written to.", "Choose another.")


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside ``path`` and move into place, so that no half file is ever seen there.

    Args:
        path: Where the file ends up; a file that is there is replaced at the last moment.
        write: Called once with a binary file open for writing.

    Raises:
        OutputError: If the folder or the disk refuses; what was at ``path`` is as it was.
    """
    check_writable(path)
    beside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with beside.open("xb") as file:
            write(file)
        beside.replace(path)
    except OSError as error:
        sentence = f"{path} cannot be written: {error.strerror or error}."
        raise OutputError(sentence, "Choose another place.") from error
    finally:
        beside.unlink(missing_ok=True)


def save_module(net: nn.Module, path: Path) -> None:
    """Pickle the whole module with ``torch.save``, classes by name and tensors by value.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_whole(path, lambda file: torch.save(net, file))
