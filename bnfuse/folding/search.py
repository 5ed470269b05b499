"""Find a plan: walk from an affine to whatever can take it, asking one rule at each node.

Pulling walks against the data flow: the value's producer is to compute ``affine(value)`` in its
place. pushing walks with it: the value has lost an ``affine`` that every consumer must make up
for. Both are all or nothing, so a graph is only changed by a whole plan.
"""

from __future__ import annotations

__all__ = ["Rule", "Search", "title"]

from typing import TYPE_CHECKING, Protocol

from bnfuse.folding.plan import Answer, Plan, Recompute, Refusal, Repad, Response
from bnfuse.lifting.limits import Limits
from bnfuse.lifting.nodes import DOMAIN, affine_of, linear_of
from bnfuse.lifting.readers import readers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import Constant, ConstantEvaluator


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
    """Plans over a graph by a set of rules."""

    _BUDGET = 2000
    """Nodes looked at for one affine: far beyond any real path, and an end to any search."""

    def __init__(self, rules: Sequence[Rule], constants: ConstantEvaluator) -> None:
        self._rules: Mapping[str, Rule] = {op: rule for rule in rules for op in rule.op_types}
        self._constants = constants
        self._looked_at = 0
        self._leaving: ir.Node | None = None

    def plan(
        self, x: ir.Value, pulled: ChannelAffine, y: ir.Value, pushed: ChannelAffine
    ) -> Plan | Refusal:
        """Let ``x``'s producer apply ``pulled`` and ``y``'s consumers, after it, ``pushed``."""
        self._looked_at = 0
        # The node that is to go must not be what takes its own parts.
        self._leaving = y.producer()
        back = self._pull(x, pulled, None)
        if isinstance(back, Refusal):
            return back
        ahead = self._push(y, pushed)
        if isinstance(ahead, Refusal):
            return ahead
        if not back.is_apart_from(ahead):
            return Refusal("its two halves would meet in one node", x.name or "")
        plan = back + ahead
        repadded = [edit.node for edit in plan.edits if isinstance(edit, Repad)]
        if len(set(repadded)) < len(repadded):
            return Refusal(f"two ways lead to {title(repadded[0])}", _name(repadded[0]))
        return plan

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
        if constant is not None and consumer is not None:
            return _recompute(consumer, constant, affine, occurrence)
        node, index = value.producer(), value.index()
        if value.is_graph_input() or node is None or index is None:
            what = "the graph's input" if value.is_graph_input() else "the constant"
            return Refusal(f"it is fed by {what} {value.name!r}", value.name or "")
        if value.is_graph_output():
            return Refusal(f"{title(node)} gives the graph output {value.name!r}", _name(node))
        uses = readers(value)
        if len(uses) > 1:
            others = sorted(title(use.node) for use in uses)
            return Refusal(
                f"{title(node)} feeds {len(uses)} consumers ({', '.join(others[:3])})", _name(node)
            )
        if node is self._leaving:
            return Refusal(f"a part of {title(node)} would come back to it", _name(node))
        rule = self._rules.get(node.op_type)
        if rule is None or not _is_ours(node):
            return Refusal(f"no exact rule moves it back through {title(node)}", _name(node))
        response = rule.backward(node, index, affine, self._constants)
        return self._resolve(response, node, changed=(value,))

    def _push(self, value: ir.Value, affine: ChannelAffine) -> Plan | Refusal:
        if affine.is_identity:
            return Plan()
        if value.is_graph_output():
            return Refusal(f"{value.name!r} is an output of the graph", value.name or "")
        plan = Plan()
        uses = readers(value)
        for use in uses:
            node = use.node
            rule = self._rules.get(node.op_type)
            if rule is None or not _is_ours(node) or node.graph is not value.graph:
                return Refusal(f"no exact rule moves it on through {title(node)}", _name(node))
            if sum(other.node is node for other in uses) > 1:
                return Refusal(f"{title(node)} takes it more than once", _name(node))
            response = rule.forward(node, use.idx, affine, self._constants)
            resolved = self._resolve(response, node, changed=())
            if isinstance(resolved, Refusal):
                return resolved
            plan += resolved
        return plan

    def _resolve(
        self, response: Response, node: ir.Node, changed: tuple[ir.Value, ...]
    ) -> Plan | Refusal:
        """Follow what an answer asks of the neighbours; the first answer that works is taken."""
        if isinstance(response, Refusal):
            return response
        self._looked_at += 1
        if self._looked_at > self._BUDGET:
            return Refusal("the search for a place to put it grew too large", _name(node))
        answers = response if isinstance(response, tuple) else (response,)
        refusals: list[Refusal] = []
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
    array = affine(constant.array())
    limits = Limits.of(constant.dtype)
    if array.shape != constant.shape or limits.overflows(array):
        return Refusal(f"the constant {constant.name!r} cannot take it", constant.name)
    places = [i for i, value in enumerate(node.inputs) if value is constant.value]
    return Plan(edits=(Recompute(node, places[min(occurrence, len(places) - 1)], affine),))


def title(node: ir.Node) -> str:
    """A node in a sentence, as in ``Conv 'features.0'``, internal ops by what they stand for."""
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        return f"{linear.op_type} {linear.label!r}"
    if lifted is not None:
        return f"the norm {lifted.sites[0].label!r}"
    return f"{node.op_type} {_name(node)!r}"


def _name(node: ir.Node) -> str:
    return node.name or ""


def _is_ours(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx", DOMAIN)
