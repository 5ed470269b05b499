"""The example inputs of a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["ExampleInputs"]


@dataclass(frozen=True)
class ExampleInputs:
    """Inputs that a module accepts.

    Attributes:
        args: Positional example tensors for ``module.forward``.
        names: Its parameter names, one for each of ``args``.
        dynamic: For each of ``args``, axis to symbol of the dynamic dimensions.
        found: How it was found, in one phrase for a person.
    """

    args: tuple[torch.Tensor, ...]
    names: tuple[str, ...]
    dynamic: tuple[dict[int, str], ...]
    found: str
