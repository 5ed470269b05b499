"""Parts of a module that keep a norm's statistics, and in whose ops no norm was recognised.

A norm that is not recognised is in no table of norms. What a module keeps tells where one may be.
"""

from __future__ import annotations

__all__ = ["unrecognised"]

from typing import TYPE_CHECKING, Any

from bnfuse.graph.source import module_path
from bnfuse.lifting.linear import LINEAR_OPS
from bnfuse.lifting.sites import Kind
from bnfuse.loading.running_statistics import statistics_keepers
from bnfuse.wording import few

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.lifting import Lifted


def unrecognised(original: Any, lifted: Lifted, graph: ir.Graph) -> list[str]:
    """A note on the parts that keep statistics, whose ops stay, and of which no norm is known.

    Args:
        original: What was converted; only a module has parts.
        lifted: Its graph with its norms named.
        graph: The graph after the fold.
    """
    if not hasattr(original, "named_modules"):
        return []
    told = (*lifted.sites, *(left.site for left in lifted.unlifted))
    known = [site.module for site in told if site.kind is Kind.NORM]
    ops: dict[str, dict[str, None]] = {}
    for node in graph:
        # A norm that was written as a Conv is the linear map that norms are folded into.
        if node.op_type not in LINEAR_OPS:
            ops.setdefault(module_path(node), {})[node.op_type] = None
    parts = [
        path
        for path in statistics_keepers(original)
        if path in ops and not any(at == path or at.startswith(f"{path}.") for at in known)
    ]
    if not parts:
        return []
    stay = list(dict.fromkeys(op for path in parts for op in ops[path]))
    where = few([path or "the model" for path in parts])
    return [
        f"{where}: no norm was recognised where a mean and a variance are kept; one that is "
        f"computed there by {few(stay)} stays as it is"
    ]
