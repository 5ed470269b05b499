"""The file of a trained net: it appears whole or not at all."""

from __future__ import annotations

__all__ = ["save_module"]

from typing import TYPE_CHECKING

import torch

from bnfuse.target import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def save_module(net: nn.Module, path: Path) -> None:
    """Pickle the whole module with ``torch.save``, classes by name and tensors by value.

    Args:
        net: The module.
        path: The file, or ``-`` for stdout.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_whole(path, lambda file: torch.save(net, file))
