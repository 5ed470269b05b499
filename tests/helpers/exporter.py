"""PyTorch's exporter, without what it does anew for every export.

Half of the export of a small net goes into reading onnxscript's library of operators, whose source
it parses. The library does not change, so a test process reads it once.
"""

from __future__ import annotations

import copy
import functools
import sys
from typing import Any

_HOME = "torch.onnx._internal.exporter._registration"


def keep_operators() -> None:
    """From now on each export of this process gets a copy of what the first one read."""
    registry = getattr(sys.modules.get(_HOME), "ONNXRegistry", None)
    if registry is None or hasattr(registry, "_read_once"):
        return
    registry._read_once = functools.cache(registry.from_torchlib)

    def from_torchlib(*args: Any, **options: Any) -> Any:
        kept = copy.copy(registry._read_once(*args, **options))
        # An export with translations of its own adds them.
        kept.functions = {target: list(metas) for target, metas in kept.functions.items()}
        return kept

    registry.from_torchlib = staticmethod(from_torchlib)
