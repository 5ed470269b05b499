"""The loop: affines to their places, then merges, then what normalisers can give away."""

from __future__ import annotations

__all__ = ["fold"]

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError
from bnfuse.folding.fitting import check_free
from bnfuse.folding.log import Application, Fate, FoldLog, StoppedFoldError
from bnfuse.folding.merges import Merge, MergeRefusal, Rewrite, find_merges
from bnfuse.folding.plan import Editor, Refusal, once
from bnfuse.folding.rules import rules
from bnfuse.folding.search import Reach, Search
from bnfuse.folding.tidy import tidy
from bnfuse.graph.access import input_of
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.initializers import FreshNames, Initializers
from bnfuse.graph.rewire import bypass, disconnect, rename_to
from bnfuse.lifting.nodes import affine_at, affine_of, drop_dead, hold, normalizer_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from bnfuse.folding.plan import Plan
    from bnfuse.lifting import Lifted
    from bnfuse.lifting.sites import Site


def fold(
    lifted: Lifted, limit: int | None = None, barred: Mapping[str, str] | None = None
) -> FoldLog:
    """Fold a lifted model in place, to a fixpoint.

    Args:
        lifted: The model.
        limit: Stop after this many plans, to find the first bad one of a wrong fold.
        barred: What to leave alone, with the reason to give: the :attr:`Application.names` of
            plans that a fold is to do without.
    """
    return _Folding(lifted, limit, barred or {}).run()


class _Folding:
    def __init__(self, lifted: Lifted, limit: int | None, barred: Mapping[str, str]) -> None:
        self._graph = lifted.model.graph
        self._limit = limit
        self._barred = barred
        self._search = Search(rules(), lifted.constants, len(self._graph))
        self._constants = lifted.constants
        self._names = FreshNames(self._graph)
        self._editor = Editor(lifted.constants, Initializers(self._graph, self._names))
        self._pending: deque[ir.Node] = deque()
        self._stuck: dict[ir.Node, None] = {}
        self._reasons: dict[ir.Node, tuple[str, ...]] = {}
        self._fates = {site: Fate() for site in lifted.sites}
        self._applications: list[Application] = []
        self._merges: list[Merge] = []
        self._unmerged: list[MergeRefusal] = []

    def run(self) -> FoldLog:
        applied = -1
        # What one plan moved away may be what stood in another's way.
        while applied != len(self._applications):
            applied = len(self._applications)
            self._place_all()
            self._tidy()
            self._merge()
            self._give_away()
        return FoldLog(
            self._told(),
            tuple(self._applications),
            tuple(self._merges),
            tuple(dict.fromkeys(self._unmerged)),
        )

    def _place_all(self) -> None:
        """Near and local plans first: what spans a stream may stand in the way of many of those."""
        self._search.forget()
        self._pending.extend(node for node in self._graph if affine_of(node) is not None)
        while (self._pending or self._stuck) and self._limit != len(self._applications):
            is_far = not self._pending
            node = next(iter(self._stuck)) if is_far else self._pending.popleft()
            reaches = (Reach.FAR,) if is_far else (Reach.NEAR, Reach.LOCAL)
            self._stuck.pop(node, None)
            if node.graph is not None:
                self._try(node, reaches)

    def _tidy(self) -> None:
        if self._limit == len(self._applications):
            return
        reached = tidy(self._graph, self._constants)
        if reached:
            self._applications.append(Application((), reached, rules=("tidy",)))
            self._place_all()

    def _merge(self) -> None:
        if self._limit == len(self._applications):
            return
        drop_dead(self._graph)
        self._unmerged.clear()
        for found in self._found_merges():
            if isinstance(found, MergeRefusal):
                self._unmerged.append(found)
                continue
            self._carry_out_merge(found)
            if self._limit == len(self._applications):
                return

    def _found_merges(self) -> Iterator[Rewrite | MergeRefusal]:
        try:
            yield from find_merges(self._graph, self._constants, self._barred)
        except FoldError as error:
            it = Application((), ("a linear map",), rules=("merge",))
            raise StoppedFoldError(error, (*self._applications, it)) from error

    def _carry_out_merge(self, rewrite: Rewrite) -> None:
        for merge in rewrite.merges:
            for site in merge.sites:
                fate = self._fates[site]
                self._fates[site] = replace(fate, into=once(*fate.into, merge.into))
        rewrite.apply(self._names)
        self._merges.extend(rewrite.merges)
        sites = tuple(site for merge in rewrite.merges for site in merge.sites)
        into = tuple(merge.into for merge in rewrite.merges)
        rules = tuple(dict.fromkeys(f"merge {merge.kind}" for merge in rewrite.merges))
        merged = tuple(merge.name for merge in rewrite.merges)
        self._applications.append(Application(sites, into, rules=rules, merged=merged))

    def _give_away(self) -> None:
        """Let each normaliser's scale and shift go, whole, where all consumers take them for free.

        They cost nothing where they are, so they only go where they cost nothing either: into
        weights and biases that are there anyway.
        """
        nothing = ChannelAffine.of(None)
        for node in self._graph:
            normalizer, y = normalizer_of(node), node.outputs[0]
            if normalizer is None or normalizer.affine.is_identity:
                continue
            if self._limit == len(self._applications) or self._bars(node, normalizer.sites):
                continue
            try:
                plan = self._search.plan(y, nothing, y, normalizer.affine)
                for edit in plan.edits:
                    check_free(edit)
            except Refusal as refusal:
                self._reasons[node] = (refusal.reason,)
                continue
            for site in normalizer.sites:
                self._fates[site] = self._fates[site].follow(plan, normalizer.title)
            self._editor.carry_out(plan, normalizer.sites)
            hold(node, normalizer.bare())
            self._applications.append(
                Application(normalizer.sites, plan.targets, plan.through, plan.rules)
            )

    def _bars(self, node: ir.Node, sites: tuple[Site, ...]) -> bool:
        """Whether one of a node's sites is to be left alone; then so is the node."""
        reason = next((self._barred[s.name] for s in sites if s.name in self._barred), None)
        if reason is not None:
            self._reasons[node] = (reason,)
        return reason is not None

    def _try(self, node: ir.Node, reaches: tuple[Reach, ...]) -> None:
        lifted = affine_at(node)
        affine = lifted.affine
        if self._bars(node, lifted.all_sites):
            return
        if lifted.anchor:
            self._reasons[node] = (lifted.anchor,)
            return
        if affine.is_identity:
            self._drop(node)
            return
        if not affine.is_finite:
            self._reasons[node] = ("its constants are not finite",)
            return
        x, y = input_of(node), node.outputs[0]
        refusals = list(self._reasons.get(node, ())) if Reach.FAR in reaches else []
        self._search.met_shared = False
        for reach in reaches:
            if reach is Reach.LOCAL and not self._search.met_shared:
                break
            for pulled, pushed in _ways(affine, reach):
                try:
                    plan = self._search.plan(x, pulled, y, pushed, reach)
                except Refusal as refusal:
                    refusals.append(refusal.reason)
                else:
                    self._carry_out(node, plan, pushed)
                    return
        self._reasons[node] = tuple(dict.fromkeys(refusals))
        if self._search.met_shared:
            self._stuck[node] = None

    def _carry_out(self, node: ir.Node, plan: Plan, pushed: ChannelAffine) -> None:
        sites = affine_at(node).all_sites
        targets = plan.targets
        for site in sites:
            self._fates[site] = self._fates[site].follow(plan)
        takers = self._editor.carry_out(plan, sites)
        if pushed.is_identity:
            bypass(node)
        else:
            disconnect(node)
        self._applications.append(Application(sites, targets, plan.through, plan.rules))
        # An affine that took another in may now fit where it did not before.
        self._pending.extend(takers)

    def _drop(self, node: ir.Node) -> None:
        """Take out a node that changes nothing, unless it is what names a graph output."""
        if not node.outputs[0].is_graph_output():
            disconnect(node)
        elif not rename_to(input_of(node), node):
            self._reasons[node] = ("it changes nothing but names a graph output",)

    def _told(self) -> dict[Site, Fate]:
        """The fates, with the reasons of what is left."""
        for node in self._graph:
            held = affine_of(node) or normalizer_of(node)
            reason = "; ".join(self._reasons.get(node, ("it was not to be folded",)))
            for site in () if held is None else held.own_sites:
                self._fates[site] = replace(self._fates[site], folded=False, reason=reason)
        return self._fates


def _ways(affine: ChannelAffine, reach: Reach) -> Iterator[tuple[ChannelAffine, ChannelAffine]]:
    """How to part an affine into what goes backward and, after that, what goes forward."""
    before, after = affine.parted()
    if reach is not Reach.NEAR:
        # A shift can be made up for close by, and a sign, in all channels at once, is made once.
        yield before, after
    if reach is Reach.LOCAL:
        return
    signs = affine.signs()
    if reach is Reach.FAR and signs.has_scale:
        yield before.then(signs), signs.then(after)
    nothing = ChannelAffine.of(None)
    yield affine, nothing
    yield nothing, affine
    if affine.has_scale and affine.has_shift:
        yield affine.only_scale(), affine.only_shift()
        if reach is Reach.NEAR:
            yield before, after
