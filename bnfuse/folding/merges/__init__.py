"""Linear maps that become one: branches of one input, maps in a row, a Pad before its Conv.

Every merge is decided from shapes alone and costs what its parts cost or less; weights are read
when it is certain to happen. One pass over the graph is linear in its size.
"""

from __future__ import annotations

__all__ = ["Cost", "Merge", "MergeRefusal", "Rewrite", "find_merges"]

from typing import TYPE_CHECKING

from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal, Rewrite, Storage
from bnfuse.folding.merges.parallel import find_parallel
from bnfuse.folding.merges.sequence import find_padding, find_sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator


def find_merges(
    graph: ir.Graph, constants: ConstantEvaluator, barred: Mapping[str, str]
) -> Iterator[Rewrite | MergeRefusal]:
    """Every merge of a graph, each to be carried out before the next is asked for.

    Those whose name is ``barred`` are refused with the reason that it has there.

    A Pad comes first, for it may stand before one branch of several. Branches come before
    sequences: a chain that is cheaper as two maps may still be free as a part of a kernel that is
    there anyhow.
    """
    storage = Storage(graph)
    for node in _backwards(graph):
        padding = find_padding(node, constants, storage)
        if padding is not None:
            yield _permitted(padding, barred)
    for node in _backwards(graph):
        yield from (_permitted(found, barred) for found in find_parallel(node, constants, storage))
    for node in _backwards(graph):
        while (next_one := find_sequence(node, constants, storage)) is not None:
            found = _permitted(next_one, barred)
            yield found
            if isinstance(found, MergeRefusal):
                break


def _permitted(found: Rewrite | MergeRefusal, barred: Mapping[str, str]) -> Rewrite | MergeRefusal:
    if not barred or isinstance(found, MergeRefusal):
        return found
    for merge in found.merges:
        if merge.name in barred:
            return MergeRefusal(merge.parts, barred[merge.name])
    return found


def _backwards(graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes from the last to the first, those left out that a merge takes away meanwhile."""
    return (node for node in reversed(tuple(graph)) if node.graph is not None)
