"""Fold: let every affine vanish into a neighbour that can take it exactly, or say why not.

Each affine is tried whole, first backward into what produces it and then forward into what
consumes it; then with its scale and its shift going separate ways. A plan is applied at once or
not at all, and every plan removes an op, so the loop ends.
"""

from __future__ import annotations

__all__ = ["Application", "Fate", "FoldLog", "Merge", "MergeRefusal", "StoppedFoldError", "fold"]

from bnfuse.folding.engine import fold
from bnfuse.folding.log import Application, Fate, FoldLog, StoppedFoldError
from bnfuse.folding.merges import Merge, MergeRefusal
