"""The example inputs of a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def in_order(self, names: Sequence[str]) -> ExampleInputs:
        """The same in the order of ``forward``'s parameters, as an exported graph has them.

        Args:
            names: All parameters of ``forward``; inputs that are none of them come last.
        """
        rank = {name: place for place, name in enumerate(names)}
        order = sorted(range(len(self.names)), key=lambda n: rank.get(self.names[n], len(rank)))
        return ExampleInputs(
            tuple(self.args[n] for n in order),
            tuple(self.names[n] for n in order),
            tuple(self.dynamic[n] for n in order),
            self.found,
        )
