"""Small nets in the style of torchvision, timm and the papers, written for this project.

Each keeps what matters to a fold and to an export (where its norms stand, what lies between, what
is computed from a size) and leaves out width and depth. Weights and statistics are random.
"""

from __future__ import annotations

__all__ = ["STYLES"]

import inspect
from typing import TYPE_CHECKING

from torch import nn

from benchmarks.styles import attention, classifiers, dense, mobile, pairs, sequences

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding, nn.BatchNorm1d)
_SIZE = 32


def _small(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Have a net of one image say that its images are small; the others' inputs are searched."""

    def made() -> nn.Module:
        net = make()
        first = next((part for part in net.modules() if isinstance(part, _FIRST)), None)
        alone = len(inspect.signature(net.forward).parameters) == 1
        if isinstance(first, nn.Conv2d) and alone and not hasattr(net, "input_shape"):
            net.input_shape = (first.in_channels, _SIZE, _SIZE)  # type: ignore[assignment]
        return net

    return made


_NETS = (classifiers, mobile, attention, dense, pairs, sequences)
STYLES = {name: _small(make) for part in _NETS for name, make in part.NETS.items()}
"""What makes each net, by its name."""
