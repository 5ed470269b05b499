"""Find a plan: walk from an affine to whatever can take it, asking one rule at each node.

Pulling walks against the data flow: the value's producer is to compute ``affine(value)`` in its
place. Pushing walks with it: the value has lost an ``affine`` that every consumer must make up
for. Both are all or nothing, so a graph is only changed by a whole plan.

A value that others read as well may be pulled into all the same: it has then lost the inverse as
far as they are concerned, which is pushed on to them. So the norms that read a residual stream
through a Relu go: the scale passes the Relu, the shift is added by the branch before, and taken
away again by the branch behind. Where more than that is needed, a plan may span the stream, and is
looked for when there is no other.

Each step maps every value at a node by an affine under which the node's identity holds, and such
steps compose as long as each is whole before another begins at the same node or value. So where two
ways lead to one node, both must ask the same of it; what flows with the data has all arrived there
before the node is asked, since nodes are followed in the graph's order.
"""

from __future__ import annotations

__all__ = ["Reach", "Search"]

import enum
import heapq
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from bnfuse.folding.fitting import check_copy, check_gain, check_growth, check_repeats
from bnfuse.folding.plan import Answer, Plan, Recompute, Refusal, Response
from bnfuse.folding.rule import Crossing, comes_back, is_ours, no_rule, title, two_ways
from bnfuse.folding.ties import Ties
from bnfuse.graph.access import Use, readers
from bnfuse.graph.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnfuse.folding.rule import Rule
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import Constant, ConstantEvaluator


_HALF_FACTOR = 16.0
"""How far a float16 value that others read as well may be scaled."""


class Reach(enum.Enum):
    """How much of the graph a plan may change."""

    NEAR = "no value that others read as well"
    LOCAL = "such values too, if those who read them make up for it close by"
    FAR = "as much as it takes"


class _Blocked(NamedTuple):
    """A demand of an answer that cannot be met."""

    refusal: Refusal
    value: ir.Value
    affine: ChannelAffine

    def blocks(self, answer: Answer) -> bool:
        """Whether another answer asks at least as much: answers differ in who gets the shift."""
        if self.affine.has_shift:
            return False
        return any(value is self.value for value, _ in (*answer.pull, *answer.push))


@dataclass(eq=False)
class _Flow:
    """What follows from values that lost an affine.

    Attributes:
        values: Those values, all of them lost it to all that read them.
        arrived: What each node that is still to be followed has lost, by input.
        order: Those nodes, as a heap in the graph's order.
        asked: What those answered that need no other input to do so.
    """

    values: list[ir.Value] = field(default_factory=list)
    arrived: dict[ir.Node, dict[int, ChannelAffine]] = field(default_factory=dict)
    order: list[tuple[int, int, ir.Node]] = field(default_factory=list)
    asked: dict[ir.Node, Response] = field(default_factory=dict)


class Search:
    """Plans over a graph by a set of rules.

    Args:
        rules: The rule of each op that has one.
        constants: The graph's constants.
        nodes: How many nodes the graph has, which bounds all far-reaching searches together.

    Attributes:
        met_shared: Whether a shared value stood in the way of a near plan; its reader resets it.
        ties: Which values' scales are known to be fixed.
    """

    _BUDGET = 2000
    """Nodes looked at for one affine: far beyond any real path, and an end to any search."""

    _LOCAL = 64
    """Nodes looked at for a plan that makes up for a change close by."""

    _FAR = 20_000, 8
    """Nodes looked at for all plans that span the net: so many, and so many per node."""

    _DEPTH = 10_000
    """Nodes and values that one path may lead through."""

    _FRAMES = 5
    """Python's frames for each of them, at most: they lie on the heap."""

    def __init__(self, rules: Mapping[str, Rule], constants: ConstantEvaluator, nodes: int) -> None:
        self._rules = rules
        self._constants = constants
        self._left_to_look_at = 0
        self._left_for_far = self._FAR[0] + self._FAR[1] * nodes
        self._reach = Reach.NEAR
        self.met_shared = False
        self._leaving: ir.Node | None = None
        self._open: set[ir.Value | ir.Node] = set()
        self._followed: dict[ir.Node, Answer] = {}
        self._order: dict[ir.Node, int] = {}
        self.ties = Ties()

    def plan(
        self,
        x: ir.Value,
        pulled: ChannelAffine,
        y: ir.Value,
        pushed: ChannelAffine,
        reach: Reach = Reach.NEAR,
    ) -> Plan:
        """Let ``x``'s producer apply ``pulled`` and ``y``'s consumers, after it, ``pushed``.

        Raises:
            Refusal: There is no such plan within this reach.
        """
        self._reach = reach
        # Half of what is left, so that a search without an end leaves something to the others.
        far = self._left_for_far // 2
        allowed = {Reach.NEAR: self._BUDGET, Reach.LOCAL: self._LOCAL, Reach.FAR: far}[reach]
        self._left_to_look_at = allowed
        self.ties.begin()
        try:
            with _deep_stack(self._DEPTH * self._FRAMES):
                return self._plan(x, pulled, y, pushed)
        except Refusal as refusal:
            if reach is Reach.FAR:
                self.ties.remember(refusal)
            # What raised a reason that is kept must not be kept alive by it.
            raise refusal.with_traceback(None) from None
        finally:
            if reach is Reach.FAR:
                self._left_for_far -= allowed - max(self._left_to_look_at, 0)

    def forget(self) -> None:
        """The graph is another one: a merge may have taken away what tied its values."""
        self.ties.forget()
        self._order = {}

    def _plan(self, x: ir.Value, pulled: ChannelAffine, y: ir.Value, pushed: ChannelAffine) -> Plan:
        # The node that is to go must not be what takes its own parts.
        self._leaving = y.producer()
        self._open.clear()
        self._followed.clear()
        if len(readers(x)) > 1:
            self._check_own_digits(pulled)
        flow = _Flow()
        self._lose(flow, y, pushed)
        back = self._pull(x, pulled, self._leaving)
        # What stands before a norm that goes in two parts is not tied to what stands behind.
        self.ties.begin()
        plan = back + self._run(flow)
        check_repeats(plan.edits)
        if plan.corrections:
            self._check_own_digits(pulled)
            check_growth(plan)
        return plan

    def _check_own_digits(self, pulled: ChannelAffine) -> None:
        """What the norm that goes reads must not lose digits where others read that too."""
        if self._reach is Reach.NEAR or self._leaving is None or np.any(pulled.scale == 0.0):
            return
        check_gain(self._leaving, pulled.inverse())

    def _pull(
        self,
        value: ir.Value,
        affine: ChannelAffine,
        consumer: ir.Node | None,
        occurrence: int = 0,
    ) -> Plan:
        if affine.is_identity:
            return Plan()
        self._follow_tie(value, affine)
        constant = self._constants.constant(value)
        if constant is not None and consumer is not None and consumer is not self._leaving:
            return _recompute(consumer, constant, affine, occurrence)
        node = value.producer()
        if value.is_graph_input() or node is None:
            what = "the graph's input" if value.is_graph_input() else "the constant"
            raise Refusal(f"it is fed by {what} {value.name!r}", pins=True)
        if value.is_graph_output():
            raise Refusal(f"{title(node)} gives the graph output {value.name!r}", pins=True)
        if node is self._leaving or value in self._open:
            raise comes_back(node)
        rule = self._rules.get(node.op_type)
        if rule is None or not is_ours(node):
            raise no_rule(node, "back")
        others = self._others(value, node, affine, consumer)
        self._open.add(value)
        try:
            # The others are asked first: most often it is one of them that refuses, and at once.
            flow = _Flow()
            if others:
                self._arrive(flow, others, value, affine.inverse())
            at = Crossing(node, self._constants, output=node.outputs.index(value))
            plan, _ = self._resolve(rule.backward(at, affine), node)
            return plan + Plan(changed=(value,)) + self._run(flow).as_correction()
        finally:
            self._open.discard(value)

    def _others(
        self, value: ir.Value, node: ir.Node, affine: ChannelAffine, consumer: ir.Node | None
    ) -> list[Use]:
        """Who else reads a value that is to gain ``affine``, if they can lose it again."""
        uses = readers(value)
        asking = [
            use
            for use in uses
            if (use.node is consumer and consumer is self._leaving)
            or self._asks(use, value, affine)
        ]
        if len(asking) == len(uses):
            return []
        names = ", ".join(sorted(title(use.node) for use in uses)[:3])
        self.met_shared |= self._reach is Reach.NEAR
        if self._reach is Reach.NEAR or not _can_be_undone(affine, value):
            raise Refusal(f"{title(node)} feeds {len(uses)} consumers ({names})")
        return [use for use in uses if use not in asking]

    def _asks(self, use: Use, value: ir.Value, affine: ChannelAffine) -> bool:
        """Whether a node that is being followed asks that a value gain just this, as all inputs."""
        answer = self._followed.get(use.node)
        if answer is None:
            return False
        asked = [part for x, part in answer.pull if x is value]
        uses = sum(x is value for x in use.node.inputs)
        return len(asked) == uses and all(part.agrees(affine) for part in asked)

    def _lose(self, flow: _Flow, value: ir.Value, affine: ChannelAffine) -> None:
        """A value loses an affine, which is lost to its readers too."""
        if affine.is_identity:
            return
        self._follow_tie(value, affine)
        if value in self._open:
            raise Refusal(f"a part of it would come back to {value.name!r}", lasts=False)
        if value.is_graph_output():
            raise Refusal(f"{value.name!r} is an output of the graph", pins=True)
        self._open.add(value)
        flow.values.append(value)
        self._arrive(flow, readers(value), value, affine)

    def _follow_tie(self, value: ir.Value, affine: ChannelAffine) -> None:
        tied = self.ties.follow(value, affine)
        if tied is not None and self._reach is not Reach.NEAR:
            raise tied

    def _arrive(
        self, flow: _Flow, uses: Sequence[Use], value: ir.Value, affine: ChannelAffine
    ) -> None:
        """Ask all of these readers before any is followed: a refusal next door is cheap."""
        for use in uses:
            node = use.node
            rule = self._rules.get(node.op_type)
            if rule is None or not is_ours(node) or node.graph is not value.graph:
                raise no_rule(node, "on")
            if node is self._leaving:
                raise comes_back(node)
            if node in self._open:
                if np.all(affine.scale != 0.0) and self._asks(use, value, affine.inverse()):
                    continue
                raise two_ways(node)
            lost = flow.arrived.setdefault(node, {})
            if not lost:
                heapq.heappush(flow.order, (self._position(node), id(node), node))
            lost[use.idx] = affine
            if not rule.joins:
                if len(lost) > 1:
                    raise two_ways(node)
                flow.asked[node] = self._ask_on(rule, node, lost)

    def _ask_on(self, rule: Rule, node: ir.Node, lost: Mapping[int, ChannelAffine]) -> Response:
        return rule.forward(Crossing(node, self._constants, place=next(iter(lost))), lost)

    def _run(self, flow: _Flow) -> Plan:
        """Follow the nodes in the graph's order, so that all that one loses has arrived."""
        plan = Plan()
        try:
            while flow.order:
                *_, node = heapq.heappop(flow.order)
                response = flow.asked.get(node)
                if response is None:
                    lost = flow.arrived.pop(node)
                    response = self._ask_on(self._rules[node.op_type], node, lost)
                found, answer = self._resolve(response, node)
                plan += found
                for value, affine in answer.push:
                    self._lose(flow, value, affine)
        finally:
            self._open.difference_update(flow.values)
        return plan + Plan(changed=tuple(flow.values))

    def _position(self, node: ir.Node) -> int:
        if node not in self._order and node.graph is not None:
            self._order = {other: place for place, other in enumerate(node.graph)}
        return self._order[node]

    def _resolve(self, response: Response, node: ir.Node) -> tuple[Plan, Answer]:
        """The first answer whose inputs can gain what it asks of them, and how they do."""
        if node in self._open:
            raise two_ways(node)
        self._left_to_look_at -= 1
        if self._left_to_look_at < 0 or len(self._open) > self._DEPTH:
            raise Refusal("the search for a place to put it grew too large", lasts=False)
        blocked: list[_Blocked] = []
        self._open.add(node)
        try:
            for answer in response if isinstance(response, tuple) else (response,):
                if any(demand.blocks(answer) for demand in blocked):
                    continue
                plan = self._follow(answer, node)
                if isinstance(plan, Plan):
                    return plan, answer
                blocked.append(plan)
        finally:
            self._open.discard(node)
        raise blocked[0].refusal

    def _follow(self, answer: Answer, node: ir.Node) -> Plan | _Blocked:
        passes = bool(answer.pull or answer.push)
        through = (node.op_type, *(other.op_type for other in answer.passed)) if passes else ()
        plan = Plan(answer.edits, through, tuple(other.outputs[0] for other in answer.passed))
        reader = answer.passed[-1] if answer.passed else node
        self._followed[reader] = answer
        try:
            for position, (value, affine) in enumerate(answer.pull):
                if value in plan.changed:
                    # Another way led there and asked for the same.
                    continue
                # A rule asks for its inputs in order: the second mention is the second place.
                before = sum(other is value for other, _ in answer.pull[:position])
                try:
                    plan += self._pull(value, affine, reader, before)
                except Refusal as refusal:
                    return _Blocked(refusal, value, affine)
        finally:
            del self._followed[reader]
        return plan


@contextmanager
def _deep_stack(frames: int) -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, frames))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _recompute(node: ir.Node, constant: Constant, affine: ChannelAffine, occurrence: int) -> Plan:
    check_copy(constant)
    array = affine(constant.array())
    limits = Limits.of(constant.dtype)
    if array.shape != constant.shape or limits.overflows(array):
        raise Refusal(f"the constant {constant.name!r} cannot take it")
    places = [i for i, value in enumerate(node.inputs) if value is constant.value]
    return Plan(edits=(Recompute(node, places[min(occurrence, len(places) - 1)], affine),))


def _can_be_undone(affine: ChannelAffine, value: ir.Value) -> bool:
    """Whether a value can hold ``affine`` of itself, so that its readers find it again."""
    if np.any(affine.scale == 0.0):
        return False
    # What the other readers see of it is new to the model, and float16 ends at 65,504.
    sizes = np.abs(affine.scale)
    return value.dtype != ir.DataType.FLOAT16 or bool(
        np.all(sizes <= _HALF_FACTOR) and np.all(sizes >= 1 / _HALF_FACTOR)
    )
