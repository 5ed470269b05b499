"""PyTorch's exporter, without what it does anew for every export.

Half of the export of a small net goes into reading onnxscript's library of operators, whose source
it parses, and a sixth into looking through all operators of PyTorch for those that are made of
others. Neither changes between exports, so a test process does both once.
"""

from __future__ import annotations

import copy
import functools
import sys
from typing import Any


def keep_operators() -> None:
    """From now on each export of this process gets a copy of what the first one found."""
    registry = getattr(
        sys.modules.get("torch.onnx._internal.exporter._registration"), "ONNXRegistry", None
    )
    if registry is None or hasattr(registry, "_read_once"):
        return
    registry._read_once = functools.cache(registry.from_torchlib)

    def from_torchlib(*args: Any, **options: Any) -> Any:
        kept = copy.copy(registry._read_once(*args, **options))
        # An export with translations of its own adds them.
        kept.functions = {target: list(metas) for target, metas in kept.functions.items()}
        return kept

    registry.from_torchlib = staticmethod(from_torchlib)
    _keep_composites()


def _keep_composites() -> None:
    import torch

    name = "_collect_all_valid_cia_ops"
    collect = getattr(sys.modules.get("torch._export.utils"), name, None)
    if collect is None:
        return

    @functools.cache
    def of(registered: int) -> Any:
        del registered
        return frozenset(collect())

    def collected() -> Any:
        # A library of operators may have been loaded since.
        return set(of(len(torch._C._dispatch_get_all_op_names())))

    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is collect:
            setattr(module, name, collected)
