"""Small nets in the style of torchvision, timm and the papers, written for this project.

Each keeps what matters to a fold and to an export (where its norms stand, what lies between, what
is computed from a size) and leaves out width and depth. Weights and statistics are random.
"""

from __future__ import annotations

__all__ = ["STYLES"]

from typing import TYPE_CHECKING

from benchmarks.styles import attention, classifiers, dense, mobile, pairs, sequences

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

STYLES: dict[str, Callable[[], nn.Module]] = {
    **classifiers.NETS,
    **mobile.NETS,
    **attention.NETS,
    **dense.NETS,
    **pairs.NETS,
    **sequences.NETS,
}
"""What makes each net, by its name."""
