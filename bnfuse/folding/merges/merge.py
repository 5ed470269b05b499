"""What a merge says of itself, what it costs, and what the fold asks of it."""

from __future__ import annotations

__all__ = ["Cost", "Merge", "MergeRefusal", "Rewrite", "Storage", "bytes_of"]

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import onnx_ir as ir

    from bnfuse.graph.initializers import FreshNames
    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True)
class Cost:
    """What linear maps cost.

    Attributes:
        flops: Additions and multiplications for each position of the result.
        bytes: The size of their constants.
    """

    flops: int
    bytes: int


@dataclass(frozen=True)
class Merge:
    """Linear maps that became one.

    Attributes:
        kind: ``parallel`` for branches that met in an Add, ``sequence`` for maps that followed one
            another, ``padding`` for a Pad that went into its Conv.
        parts: What became one, as a person calls it.
        into: What it became.
        before: What the parts cost.
        after: What it costs.
        sites: The norms that stood between or beside the parts and disappeared with them.
    """

    kind: Literal["parallel", "sequence", "padding"]
    parts: tuple[str, ...]
    into: str
    before: Cost
    after: Cost
    sites: tuple[Site, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, alike in each fold of a model."""
        return f"{self.kind} merge of {' and '.join(self.parts)}"


@dataclass(frozen=True)
class MergeRefusal:
    """Linear maps that could have become one and stay, with the reason."""

    parts: tuple[str, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class Rewrite:
    """One change of the graph, decided and not yet made.

    Attributes:
        merges: What becomes one by it.
        apply: Makes the change.
    """

    merges: tuple[Merge, ...]
    apply: Callable[[FreshNames], None]


class Storage:
    """How many linear maps of a graph use each weight that is to be stored."""

    def __init__(self, graph: ir.Graph) -> None:
        maps = (linear for node in graph if (linear := linear_of(node)) is not None)
        self._users = Counter(map(_stored_as, maps))

    def freed(self, linears: Sequence[LinearMap]) -> int:
        """The bytes that are no longer stored once these maps are gone.

        A weight that another map still uses stays.
        """
        users = Counter(map(_stored_as, linears))
        last = {
            key: linear
            for linear in linears
            if users[key := _stored_as(linear)] >= self._users[key]
        }
        weights = sum(map(_freed, last.values()))
        biases = sum(bytes_of(m.layout.outputs, m) for m in linears if m.has_bias)
        return weights + biases


def bytes_of(numbers: int, like: LinearMap) -> int:
    """The size of so many numbers of the map's type."""
    return round(numbers * like.weight.constant.dtype.itemsize)


def _stored_as(linear: LinearMap) -> Hashable:
    """What tells the weight that is to be stored apart: uses that change apart no longer share."""
    return linear.weight_key if linear.weight_changed else linear.weight.constant.root


def _freed(linear: LinearMap) -> int:
    constant = linear.weight.constant
    if linear.weight_changed:
        return constant.nbytes
    return 0 if constant.is_tied else min(constant.nbytes, constant.stored_bytes)
