"""Loading: any model file, safely.

A file is told apart by looking at its bytes (:func:`detect`), read under restriction
(:func:`load`), and given an example input that a forward pass accepted (:func:`example_inputs`).
"""

from __future__ import annotations

from bnfuse.loading.arguments import as_source, as_tensors, several
from bnfuse.loading.inspection import Inspection, detect, inspect_file
from bnfuse.loading.kinds import FileKind
from bnfuse.loading.loader import LoadedModel, load, load_weights
from bnfuse.loading.prepare import on_cpu, prepare, set_eval, unwrap

__all__ = [
    "FileKind",
    "Inspection",
    "LoadedModel",
    "as_source",
    "as_tensors",
    "detect",
    "inspect_file",
    "load",
    "load_weights",
    "on_cpu",
    "prepare",
    "set_eval",
    "several",
    "unwrap",
]
