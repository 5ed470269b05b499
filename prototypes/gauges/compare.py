"""One graph through today's search and through the gauges: what stays, and how long it takes."""

from __future__ import annotations

__all__ = ["Row", "compare", "gauged"]

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from bnfuse.folding import fold
from bnfuse.folding.engine import _Folding
from bnfuse.lifting import lift
from bnfuse.lifting.nodes import affine_of
from bnfuse.lifting.prepare import Interface, prepare
from bnfuse.lifting.sites import Kind
from bnfuse.lowering import lower
from prototypes.gauges.choice import choose
from prototypes.gauges.materialise import materialise

if TYPE_CHECKING:
    from bnfuse.lifting import Lifted
    from bnfuse.lifting.sites import Site
    from prototypes.gauges.choice import Chosen


class _SearchAlone(_Folding):
    """Today's choice alone: nothing is merged, tidied or given away."""

    def _merge(self) -> None:
        """Merge nothing."""

    def _tidy(self) -> None:
        """Tidy nothing."""

    def _give_away(self) -> None:
        """Give nothing away."""


@dataclass(frozen=True)
class Row:
    """What became of one graph's norms, scales and shifts.

    Attributes:
        name: The graph.
        norms: How many there are.
        whole: What today's fold leaves, merges and all, with its reasons.
        search: What its search alone leaves.
        gauges: What the gauges leave.
        seconds: What the search and the choice take.
        rounds: How often the gauges began anew.
    """

    name: str
    norms: int
    whole: dict[str, str]
    search: dict[str, str]
    gauges: dict[str, str]
    seconds: tuple[float, float]
    rounds: int

    @property
    def worse(self) -> dict[str, str]:
        """What the search folds and the gauges do not."""
        return {name: why for name, why in self.gauges.items() if name not in self.search}

    @property
    def better(self) -> dict[str, str]:
        """What the gauges fold and the search does not."""
        return {name: why for name, why in self.search.items() if name not in self.gauges}


def compare(name: str, model: onnx.ModelProto) -> tuple[Row, onnx.ModelProto]:
    """Both on copies of a model; the second is what the gauges make of it."""
    whole = fold(_lifted(model)[0]).fates
    lifted, _ = _lifted(model)
    start = time.perf_counter()
    search = _SearchAlone(lifted, None, {}).run().fates
    middle = time.perf_counter()
    made, left, sites, chosen, spent = gauged(model)
    row = Row(
        name,
        len(sites),
        {s.name: f.reason for s, f in whole.items() if not f.folded and _counts(s)},
        {s.name: f.reason for s, f in search.items() if not f.folded and _counts(s)},
        left,
        (middle - start, spent),
        chosen.rounds,
    )
    return row, made


def gauged(
    model: onnx.ModelProto,
) -> tuple[onnx.ModelProto, dict[str, str], set[str], Chosen, float]:
    """Fold a copy by gauges: the result, what is left and why, all sites, the choice, seconds."""
    lifted, restore = _lifted(model)
    start = time.perf_counter()
    chosen = choose(lifted)
    spent = time.perf_counter() - start
    left: dict[str, str] = {}
    sites: set[str] = set()
    for node in lifted.model.graph:
        own = affine_of(node)
        for site in () if own is None else own.all_sites:
            sites.add(site.name)
            assert own is not None
            if node not in chosen.vanished and not own.affine.is_identity:
                left[site.name] = chosen.reasons.get(node, "")
    materialise(lifted, chosen)
    lower(lifted.model)
    restore.restore(lifted.model)
    return ir.serde.serialize_model(lifted.model), left, sites, chosen, spent


def _lifted(model: onnx.ModelProto) -> tuple[Lifted, Interface]:
    graph = ir.serde.deserialize_model(model)
    interface, _ = prepare(graph)
    return lift(graph), interface


def _counts(site: Site) -> bool:
    """A normaliser's own scale and shift are no norm."""
    return site.kind is not Kind.AFFINE
