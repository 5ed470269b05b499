"""Find a plan: walk from an affine to whatever can take it, asking one rule at each node.

Pulling walks against the data flow: the value's producer is to compute ``affine(value)`` in its
place. Pushing walks with it: the value has lost an ``affine`` that every consumer must make up
for. Both are all or nothing, so a graph is only changed by a whole plan.

A value that others read as well may be pulled into all the same: it has then lost the inverse as
far as they are concerned, which is pushed on to them. So the norms that read a residual stream
through a Relu go into the branches that add to it, and the stream carries them on. Such plans
reach far, and are looked for when there is no other.

Each step maps every value at a node by an affine under which the node's identity holds, and such
steps compose as long as each is whole before another begins at the same node or value.
"""

from __future__ import annotations

__all__ = ["Rule", "Search", "title"]

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnx_ir as ir

from bnfuse.folding.fitting import refuse_copy, refuse_repeats
from bnfuse.folding.plan import Answer, Plan, Recompute, Refusal, Response
from bnfuse.lifting.limits import Limits
from bnfuse.lifting.nodes import DOMAIN, affine_of, linear_of
from bnfuse.lifting.readers import Use, readers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import Constant, ConstantEvaluator


_LINEAR = ("Conv", "ConvTranspose", "Gemm")

_HALF_FACTOR = 16.0
"""How far a float16 value that others read as well may be scaled."""


class Rule(Protocol):
    """One exact identity, for the ops it is about."""

    @property
    def op_types(self) -> Sequence[str]:
        """The ops it is about, internal ones included."""

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``affine`` stands after output ``index``: what must happen for it to go."""

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``affine`` stood before input ``index`` and is gone: what makes up for it."""


class Search:
    """Plans over a graph by a set of rules.

    Args:
        rules: The rules.
        constants: The graph's constants.
        nodes: How many nodes the graph has, which bounds all far-reaching searches together.
    """

    _BUDGET = 2000
    """Nodes looked at for one affine: far beyond any real path, and an end to any search."""

    _DEPTH = 320
    """Nodes and values that one path may lead through: well within Python's own stack."""

    _FAR = 20_000, 2
    """Nodes looked at for all plans that change shared values: so many, and so many per node."""

    def __init__(self, rules: Sequence[Rule], constants: ConstantEvaluator, nodes: int) -> None:
        self._rules: Mapping[str, Rule] = {op: rule for rule in rules for op in rule.op_types}
        self._constants = constants
        self._left_to_look_at = 0
        self._left_for_far = self._FAR[0] + self._FAR[1] * nodes
        self._shares = False
        self._met_shared = False
        self._grew = False
        self._leaving: ir.Node | None = None
        self._open: set[ir.Value | ir.Node] = set()

    def plan(
        self, x: ir.Value, pulled: ChannelAffine, y: ir.Value, pushed: ChannelAffine
    ) -> Plan | Refusal:
        """Let ``x``'s producer apply ``pulled`` and ``y``'s consumers, after it, ``pushed``."""
        self._shares = False
        self._left_to_look_at = self._BUDGET
        return self._plan(x, pulled, y, pushed)

    def met_shared(self) -> bool:
        """Whether a shared value stood in the way since this was last asked."""
        met, self._met_shared = self._met_shared, False
        return met

    def far_plan(
        self, x: ir.Value, pulled: ChannelAffine, y: ir.Value, pushed: ChannelAffine
    ) -> Plan | Refusal:
        """The same, and further consumers of a value on the way make up for what it gains."""
        self._shares = True
        allowed = self._left_to_look_at = min(self._BUDGET, self._left_for_far)
        plan = self._plan(x, pulled, y, pushed)
        self._left_for_far -= allowed - max(self._left_to_look_at, 0)
        if self._grew:
            # One search without an end is seldom alone.
            self._left_for_far //= 2
        return plan

    def _plan(
        self, x: ir.Value, pulled: ChannelAffine, y: ir.Value, pushed: ChannelAffine
    ) -> Plan | Refusal:
        # The node that is to go must not be what takes its own parts.
        self._leaving = y.producer()
        self._grew = False
        self._open.clear()
        back = self._pull(x, pulled, self._leaving)
        if isinstance(back, Refusal):
            return back
        ahead = self._push(y, pushed)
        if isinstance(ahead, Refusal):
            return ahead
        plan = back + ahead
        return refuse_repeats(plan.edits) or plan

    def _pull(
        self,
        value: ir.Value,
        affine: ChannelAffine,
        consumer: ir.Node | None,
        occurrence: int = 0,
    ) -> Plan | Refusal:
        if affine.is_identity:
            return Plan()
        constant = self._constants.constant(value)
        if constant is not None and consumer is not None and consumer is not self._leaving:
            return _recompute(consumer, constant, affine, occurrence)
        node, index = value.producer(), value.index()
        if value.is_graph_input() or node is None or index is None:
            what = "the graph's input" if value.is_graph_input() else "the constant"
            return Refusal(f"it is fed by {what} {value.name!r}", value.name or "")
        if value.is_graph_output():
            return Refusal(f"{title(node)} gives the graph output {value.name!r}", _name(node))
        if node is self._leaving or value in self._open:
            return Refusal(f"a part of {title(node)} would come back to it", _name(node))
        rule = self._rules.get(node.op_type)
        if rule is None or not _is_ours(node):
            return Refusal(_no_rule(node, "back"), _name(node))
        others = self._others(value, node, affine, consumer)
        if isinstance(others, Refusal):
            return others
        with self._opened(value):
            # The others first: most often it is one of them that refuses, and at once.
            made_up = self._push_to(others, value, affine.inverse()) if others else Plan()
            if isinstance(made_up, Refusal):
                return made_up
            response = rule.backward(node, index, affine, self._constants)
            plan = self._resolve(response, node, changed=(value,))
        return plan if isinstance(plan, Refusal) else plan + made_up.as_correction()

    def _others(
        self, value: ir.Value, node: ir.Node, affine: ChannelAffine, consumer: ir.Node | None
    ) -> list[Use] | Refusal:
        """Who else reads a value that is to gain ``affine``, if they can lose it again."""
        uses = readers(value)
        others = [use for use in uses if use.node is not consumer]
        if len(uses) < 2:
            return []
        names = ", ".join(sorted(title(use.node) for use in uses)[:3])
        shared = Refusal(f"{title(node)} feeds {len(uses)} consumers ({names})", _name(node))
        if len(others) + 1 < len(uses):
            return shared
        if not self._shares:
            self._met_shared = True
            return shared
        return others if _can_be_undone(affine, value) else shared

    def _push(self, value: ir.Value, affine: ChannelAffine) -> Plan | Refusal:
        if affine.is_identity:
            return Plan()
        if value in self._open:
            return Refusal(f"a part of it would come back to {value.name!r}", value.name or "")
        if value.is_graph_output():
            return Refusal(f"{value.name!r} is an output of the graph", value.name or "")
        with self._opened(value):
            return self._push_to(readers(value), value, affine)

    def _push_to(
        self, uses: Sequence[Use], value: ir.Value, affine: ChannelAffine
    ) -> Plan | Refusal:
        responses: list[tuple[ir.Node, Response]] = []
        for use in uses:
            node = use.node
            rule = self._rules.get(node.op_type)
            if rule is None or not _is_ours(node) or node.graph is not value.graph:
                return Refusal(_no_rule(node, "on"), _name(node))
            if sum(other.node is node for other in uses) > 1:
                return Refusal(f"{title(node)} takes it more than once", _name(node))
            if node is self._leaving:
                return Refusal(f"a part of {title(node)} would come back to it", _name(node))
            response = rule.forward(node, use.idx, affine, self._constants)
            if isinstance(response, Refusal):
                return response
            responses.append((node, response))
        # Each consumer has been asked before any is followed: a refusal next door is cheap.
        plan = Plan()
        for node, response in responses:
            resolved = self._resolve(response, node, changed=())
            if isinstance(resolved, Refusal):
                return resolved
            plan += resolved
        return plan

    @contextmanager
    def _opened(self, place: ir.Value | ir.Node) -> Iterator[None]:
        """No other step may begin here before this one is whole."""
        self._open.add(place)
        try:
            yield
        finally:
            self._open.discard(place)

    def _resolve(
        self, response: Response, node: ir.Node, changed: tuple[ir.Value, ...]
    ) -> Plan | Refusal:
        """Follow what an answer asks of the neighbours; the first answer that works is taken."""
        if isinstance(response, Refusal):
            return response
        if node in self._open:
            return Refusal(f"two ways lead to {title(node)}", _name(node))
        self._left_to_look_at -= 1
        if self._left_to_look_at < 0 or len(self._open) > self._DEPTH:
            self._grew = True
            return Refusal("the search for a place to put it grew too large", _name(node))
        answers = response if isinstance(response, tuple) else (response,)
        refusals: list[Refusal] = []
        with self._opened(node):
            for answer in answers:
                plan = self._follow(answer, node)
                if isinstance(plan, Plan):
                    return plan + Plan(changed=changed)
                refusals.append(plan)
        return refusals[0]

    def _follow(self, answer: Answer, node: ir.Node) -> Plan | Refusal:
        passes = bool(answer.pull or answer.push)
        through = (node.op_type, *(other.op_type for other in answer.passed)) if passes else ()
        plan = Plan(answer.edits, through, tuple(other.outputs[0] for other in answer.passed))
        for position, (value, affine) in enumerate(answer.pull):
            # A rule asks for its inputs in order: the second mention is the second place.
            before = sum(other is value for other, _ in answer.pull[:position])
            found = self._pull(value, affine, node, before)
            if isinstance(found, Refusal):
                return found
            plan += found
        for value, affine in answer.push:
            found = self._push(value, affine)
            if isinstance(found, Refusal):
                return found
            plan += found if affine.is_identity else found + Plan(changed=(value,))
        return plan


def _recompute(
    node: ir.Node, constant: Constant, affine: ChannelAffine, occurrence: int
) -> Plan | Refusal:
    refusal = refuse_copy(constant)
    if refusal is not None:
        return refusal
    array = affine(constant.array())
    limits = Limits.of(constant.dtype)
    if array.shape != constant.shape or limits.overflows(array):
        return Refusal(f"the constant {constant.name!r} cannot take it", constant.name)
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


def title(node: ir.Node) -> str:
    """A node in a sentence, as in ``Conv 'features.0'``, internal ops by what they stand for."""
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        return f"{linear.op_type} {linear.label!r}"
    if lifted is not None:
        return f"the norm {lifted.sites[0].label!r}"
    return f"{node.op_type} {_name(node)!r}"


def _no_rule(node: ir.Node, way: str) -> str:
    if node.op_type in _LINEAR and _is_ours(node):
        return f"the weight of {title(node)} is no stored float constant"
    return f"no exact rule moves it {way} through {title(node)}"


def _name(node: ir.Node) -> str:
    return node.name or ""


def _is_ours(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx", DOMAIN)
