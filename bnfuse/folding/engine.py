"""The loop over the affines, and how a plan is carried out."""

from __future__ import annotations

__all__ = ["Application", "Fate", "FoldLog", "MergeRecord", "fold"]

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.initializers import Initializers
from bnfuse.folding.merges import Merge, find_parallel, replace_sum
from bnfuse.folding.names import FreshNames
from bnfuse.folding.plan import Absorb, Compose, Edit, Plan, Recompute, Repad
from bnfuse.folding.rules import RULES
from bnfuse.folding.search import Search
from bnfuse.lifting.nodes import LiftedAffine, affine_of, linear_of, set_affine, set_linear
from bnfuse.lifting.rewire import bypass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from bnfuse.lifting import Lifted
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True)
class Fate:
    """What became of a site.

    Attributes:
        folded: Whether nothing is left of it.
        into: The nodes that took it.
        through: The op types it passed through, in order.
        reason: Why it, or a part of it, was left; empty when folded.
    """

    folded: bool
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Application:
    """One plan that was carried out.

    Attributes:
        sites: What it was for.
        into: The nodes that took it.
        through: The op types it passed through, in order.
        rules: What was done to those nodes.
    """

    sites: tuple[Site, ...]
    into: tuple[str, ...]
    through: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class MergeRecord:
    """Parallel branches that became one convolution."""

    branches: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class FoldLog:
    """What the fold did: each site's fate, and the plans in the order they were carried out."""

    fates: Mapping[Site, Fate]
    applications: tuple[Application, ...]
    merges: tuple[MergeRecord, ...] = ()


def fold(lifted: Lifted, limit: int | None = None) -> FoldLog:
    """Fold a lifted model in place, to a fixpoint.

    Args:
        lifted: The model.
        limit: Stop after this many plans, to find the first bad one of a wrong fold.
    """
    return _Folding(lifted, limit).run()


@dataclass
class _Route:
    """Where the parts of a site went."""

    into: dict[str, None] = field(default_factory=dict)
    through: dict[str, None] = field(default_factory=dict)


class _Folding:
    def __init__(self, lifted: Lifted, limit: int | None) -> None:
        self._graph = lifted.model.graph
        self._limit = limit
        self._search = Search(RULES, lifted.constants)
        self._constants = lifted.constants
        self._names = FreshNames(lifted.model.graph)
        self._initializers = Initializers(lifted.model.graph, self._names)
        self._pending: deque[ir.Node] = deque()
        self._reasons: dict[ir.Node, str] = {}
        self._routes = {site: _Route() for site in lifted.sites}
        self._applications: list[Application] = []
        self._merges: list[MergeRecord] = []

    def run(self) -> FoldLog:
        applied = -1
        # What one plan moved away may be what stood in another's way.
        while applied != len(self._applications):
            applied = len(self._applications)
            self._pending.extend(node for node in self._graph if affine_of(node) is not None)
            self._drain()
            self._merge_branches()
        return FoldLog(self._fates(), tuple(self._applications), tuple(self._merges))

    def _drain(self) -> None:
        while self._pending and self._limit != len(self._applications):
            node = self._pending.popleft()
            if node.graph is not None:
                self._try(node)

    def _merge_branches(self) -> None:
        for node in reversed(tuple(self._graph)):
            if node.graph is None or self._limit == len(self._applications):
                continue
            merge = find_parallel(node, self._constants)
            if merge is not None:
                self._carry_out_merge(merge)

    def _carry_out_merge(self, merge: Merge) -> None:
        into = (f"Conv {merge.linear.label}",)
        self._merges.append(MergeRecord(merge.labels, into[0]))
        for site in merge.sites:
            self._routes[site].into.update(dict.fromkeys(into))
        replace_sum(merge, self._names)
        self._applications.append(
            Application(merge.sites, into, rules=("merge parallel branches",))
        )

    def _try(self, node: ir.Node) -> None:
        affine = _lifted(node).affine
        if affine.is_identity:
            self._drop(node)
            return
        if not affine.is_finite:
            self._reasons[node] = "its constants are not finite"
            return
        x, y = _ends(node)
        refusals: list[str] = []
        for pulled, pushed in _ways(affine):
            plan = self._search.plan(x, pulled, y, pushed)
            if isinstance(plan, Plan):
                self._carry_out(node, plan, pushed)
                return
            refusals.append(plan.reason)
        self._reasons[node] = "; ".join(dict.fromkeys(refusals))

    def _carry_out(self, node: ir.Node, plan: Plan, pushed: ChannelAffine) -> None:
        sites = _lifted(node).sites
        for site in sites:
            self._routes[site].into.update(dict.fromkeys(plan.targets))
            self._routes[site].through.update(dict.fromkeys(plan.through))
        survivors = tuple(self._edit(sites, plan.edits))
        self._names.rename(plan.changed)
        if pushed.is_identity:
            bypass(node)
        else:
            _disconnect(node)
        self._applications.append(Application(sites, plan.targets, plan.through, plan.rules))
        # An affine that took another in may now fit where it did not before.
        self._pending.extend(survivors)

    def _drop(self, node: ir.Node) -> None:
        """Take out a node that changes nothing, unless it is what names a graph output."""
        if node.outputs[0].is_graph_output():
            self._reasons[node] = "it changes nothing but names a graph output"
            return
        _disconnect(node)

    def _edit(self, sites: tuple[Site, ...], edits: tuple[Edit, ...]) -> Iterator[ir.Node]:
        for edit in edits:
            if isinstance(edit, Absorb):
                linear = linear_of(edit.node)
                assert linear is not None
                take = linear.after if edit.side == "after" else linear.before
                set_linear(edit.node, take(edit.affine, edit.rule))
            elif isinstance(edit, Repad):
                self._repad(edit)
            elif isinstance(edit, Recompute):
                self._recompute(edit)
            else:
                _compose(edit, sites)
                yield edit.node

    def _recompute(self, edit: Recompute) -> None:
        # Read anew: an edit before this one may have replaced it.
        constant = self._constants.constant(edit.node.inputs[edit.position])
        assert constant is not None
        array = edit.affine(constant.array())
        new = self._initializers.add(array, constant.dtype, after=constant.name)
        self._constants.remember(new, array)
        edit.node.replace_input_with(edit.position, new)

    def _repad(self, edit: Repad) -> None:
        x = edit.node.inputs[0]
        assert x is not None
        assert x.dtype is not None
        value = np.asarray(edit.value)
        new = self._initializers.add(value, x.dtype, after=f"{edit.node.name}.padding")
        self._constants.remember(new, value)
        if len(edit.node.inputs) < 3:
            edit.node.resize_inputs(3)
        edit.node.replace_input_with(2, new)

    def _fates(self) -> dict[Site, Fate]:
        left: dict[Site, str] = {}
        for node in self._graph:
            lifted = affine_of(node)
            for site in lifted.sites if lifted is not None else ():
                left[site] = self._reasons.get(node, "it was not to be folded")
        return {
            site: Fate(
                site not in left, tuple(route.into), tuple(route.through), left.get(site, "")
            )
            for site, route in self._routes.items()
        }


def _ways(affine: ChannelAffine) -> Iterator[tuple[ChannelAffine, ChannelAffine]]:
    """How to part an affine into what goes backward and, after that, what goes forward."""
    nothing = ChannelAffine.of(None)
    yield affine, nothing
    yield nothing, affine
    if affine.has_scale and affine.has_shift:
        yield affine.only_scale(), affine.only_shift()
        if np.all(affine.scale != 0.0):
            yield affine.shift_before_scale(), affine.only_scale()


def _disconnect(node: ir.Node) -> None:
    """Take an Affine out: its consumers take its input, and its output's name disappears."""
    x, y = _ends(node)
    graph = node.graph
    assert graph is not None
    y.replace_all_uses_with(x)
    graph.remove(node, safe=True)


def _compose(edit: Compose, sites: tuple[Site, ...]) -> None:
    lifted = _lifted(edit.node)
    first, second = lifted.affine, edit.affine
    if edit.side == "before":
        first, second = second, first
    joined = LiftedAffine(first.then(second), (*lifted.sites, *sites))
    set_affine(edit.node, joined)


def _lifted(node: ir.Node) -> LiftedAffine:
    lifted = affine_of(node)
    assert lifted is not None
    return lifted


def _ends(node: ir.Node) -> tuple[ir.Value, ir.Value]:
    x = node.inputs[0]
    assert x is not None
    return x, node.outputs[0]
