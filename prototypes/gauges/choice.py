"""Which norms vanish: added one by one, each checked against the classes.

A norm ``y = a · x + b`` is gone if ``x`` and ``y`` become one value: ``s_x = a · s_y`` and, in
units of the values, ``a · t_x = b + t_y``. A norm that stays is a linear map of its own: it takes
what is asked of it, along its own axis alone. Where a norm has vanished other axes pass, so the
whole is done again until nothing more vanishes.
"""

from __future__ import annotations

__all__ = ["Chosen", "choose"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.digits import refuse_gain
from bnfuse.lifting.nodes import affine_of
from bnfuse.lifting.readers import readers
from prototypes.gauges.classes import ConflictError, Index
from prototypes.gauges.laws import relate
from prototypes.gauges.relations import Relations
from prototypes.gauges.system import System

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.lifting import Lifted
    from prototypes.gauges.relations import Value
    from prototypes.gauges.system import Equation

_ROUNDING = 1e-12


@dataclass(eq=False)
class Chosen:
    """The choice.

    Attributes:
        relations: The numbers of all gauges.
        scales: The scales' classes.
        shifts: The shifts' classes.
        vanished: The norms that are gone, with the axis that was chosen for one that is uniform.
        reasons: Why the others are not.
        rounds: How often it took.
        unsolved: Norms that were taken back because the rest had no solution.
        asks: The number of each norm among the ops.
    """

    relations: Relations
    scales: System
    shifts: System
    vanished: dict[ir.Node, int | None] = field(default_factory=dict)
    reasons: dict[ir.Node, str] = field(default_factory=dict)
    rounds: int = 0
    unsolved: int = 0
    asks: dict[ir.Node, int] = field(default_factory=dict)

    def gauge(self, value: Value, axis: int | None) -> ChannelAffine:
        """The scale along an axis and the shift, in the value's own units."""
        index = self.relations.blocks.get((value, axis))
        if index is None:
            return ChannelAffine.of(None)
        scale, shift = self.scales.classes.values(index), self.shifts.classes.values(index)
        # Ratios along a cycle of ties cancel but for their rounding.
        scale = np.where(np.abs(scale - 1.0) <= _ROUNDING, 1.0, scale)
        shift = np.where(np.abs(shift) <= _ROUNDING, 0.0, shift)
        if axis is None:
            return ChannelAffine.of(None, scale[0], shift[0])
        return ChannelAffine.of(axis, scale, shift)

    def uniform(self, value: Value) -> ChannelAffine:
        """What all elements of a value have alike: the scale, and the shift in its own units."""
        gauges = [self.gauge(value, a) for a in self.relations.lengths.get(value, ())]
        alike = [g for g in gauges if g.axis is None]
        scale, shift = np.prod([g.scale for g in alike]), np.sum([g.shift for g in alike])
        return ChannelAffine.of(None, float(scale), float(shift))


def choose(lifted: Lifted, *, guarded: bool = True) -> Chosen:
    """Let as many norms of a lifted graph vanish as can, one by one in the graph's order."""
    graph = lifted.model.graph
    norms = [
        node
        for node in graph
        if affine_of(node) is not None
        and not all(lifted.constants.is_constant(v) for v in node.outputs)
    ]
    vanished: dict[ir.Node, int | None] = {}
    taken_back: dict[ir.Node, str] = {}
    narrow: set[ir.Node] = set()
    rounds = 0
    while True:
        rounds += 1
        chosen = _round(lifted, norms, vanished, taken_back, narrow, guarded=guarded)
        chosen.rounds = rounds
        grew = len(chosen.vanished) > len(vanished)
        vanished = dict(chosen.vanished)
        left = [n for n in norms if n not in vanished]
        if grew and left:
            continue
        wrong = _solve(chosen)
        torn = set()
        if wrong is None:
            torn = {n for n in lifted.model.graph if n not in vanished and _is_torn(chosen, n)}
        torn -= narrow
        if torn:
            # Two axes meet in a uniform norm that stays: it takes neither, and all begins anew.
            narrow |= torn
            vanished = {}
            continue
        if wrong is None or not vanished:
            chosen.unsolved = len(taken_back)
            return chosen
        last = list(vanished)[-1]
        taken_back[last] = f"what is left of the freedom has no solution: {wrong}"
        del vanished[last]


def _round(
    lifted: Lifted,
    norms: list[ir.Node],
    before: dict[ir.Node, int | None],
    taken_back: dict[ir.Node, str],
    narrow: set[ir.Node],
    *,
    guarded: bool,
) -> Chosen:
    relations = Relations(lifted.constants)
    relations.narrow = narrow
    relate(lifted.model.graph, relations, set(before))
    asks: dict[ir.Node, int] = {}
    for node in norms:
        relations.op(f"the norm {node.name!r}")
        asks[node] = relations.by
        for value in (node.inputs[0], node.outputs[0]):
            assert value is not None
            for axis in relations.axes(value):
                relations.numbers(value, axis)
    chosen = Chosen(relations, relations.system(scales=True), relations.system(scales=False))
    chosen.asks = asks
    chosen.reasons |= taken_back
    left = [n for n in norms if n not in before and n not in taken_back]
    # A class that a negative scale has turned is closed to all others before an activation.
    left.sort(key=lambda n: bool(np.any(_affine(n).scale < 0.0)))
    for node in [*before, *left]:
        lifted_affine = affine_of(node)
        assert lifted_affine is not None
        affine, x = lifted_affine.affine, node.inputs[0]
        assert x is not None
        if lifted_affine.anchor:
            chosen.reasons[node] = lifted_affine.anchor
            continue
        if not affine.is_finite or np.any(affine.scale == 0.0):
            chosen.reasons[node] = "a scale is 0 or not finite"
            continue
        axes = [affine.axis]
        if affine.axis is None:
            axes = [*(a for a in relations.axes(x) if a), None]
        if node in before:
            axes = [before[node]]
        for axis in axes:
            reason = _add(chosen, node, affine, axis, guarded=guarded and node not in before)
            if reason is None:
                chosen.vanished[node] = axis
                chosen.reasons.pop(node, None)
                break
            earlier = chosen.reasons.get(node)
            chosen.reasons[node] = reason if earlier is None else f"{earlier}; {reason}"
    return chosen


def _is_torn(chosen: Chosen, node: ir.Node) -> bool:
    """Whether an op would need one number for each channel, or along two axes, and has not."""
    own, x, axes = affine_of(node), node.inputs[0] if node.inputs else None, set()
    if x is None or (own is None and node.op_type not in ("Clip", "Pad")):
        return False
    for value in (x, node.outputs[0]):
        for axis in chosen.relations.lengths.get(value, ()):
            if chosen.gauge(value, axis).axis is not None:
                axes.add(axis)
    if own is None:
        return bool(axes) and chosen.uniform(x).has_shift
    return own.affine.axis is None and len(axes) > 1


def _affine(node: ir.Node) -> ChannelAffine:
    lifted = affine_of(node)
    assert lifted is not None
    return lifted.affine


def _add(
    chosen: Chosen, node: ir.Node, affine: ChannelAffine, own: int | None, *, guarded: bool
) -> str | None:
    """Try to let one norm vanish along an axis; why it cannot."""
    r, systems = chosen.relations, (chosen.scales, chosen.shifts)
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    if own not in r.axes(x) or own not in r.axes(y):
        return "the axis of its constants has no known length"
    n = r.axes(x)[own]
    a, b, _ = affine.expanded(n)
    by = chosen.asks[node]
    counts = [len(system.equations) for system in systems]
    for system in systems:
        system.classes.begin()
        system.classes.joined.clear()
    axis = own
    try:
        for axis in set(r.axes(x)) & set(r.axes(y)):
            i, j = r.numbers(x, axis), r.numbers(y, axis)
            chosen.scales.classes.tie(i, j, a if axis == own else 1.0, 0.0, by)
        chosen.scales.settle()
        _add_shifts(chosen.shifts, r, x, y, own, a, b, by)
        chosen.shifts.settle()
        reason = _guard(chosen, node) if guarded else None
        if reason is None:
            return None
    except ConflictError as conflict:
        op = r.ops[conflict.pinned_by] if conflict.pinned_by >= 0 else "other norms"
        reason = f"{conflict.reason} along axis {axis}, entry {conflict.entry}: {op}"
    for system, count in zip(systems, counts, strict=True):
        system.classes.undo()
        system.classes.changed.clear()
        system.classes.joined.clear()
        system.drop(count)
    return reason


def _add_shifts(
    shifts: System,
    r: Relations,
    x: ir.Value,
    y: ir.Value,
    own: int | None,
    a: np.ndarray,
    b: np.ndarray,
    by: int,
) -> None:
    classes = shifts.classes
    common = [axis for axis in r.axes(x) if axis in r.axes(y)]
    if np.all(a == a[0]):
        for axis in common:
            i, j = r.numbers(x, axis), r.numbers(y, axis)
            classes.tie(i, j, 1.0 / a[0], b / a if axis == own else 0.0, by)
        return
    for axis in common:
        if axis != own:
            # Of channels that are scaled one by one no other axis can be shifted, nor all alike:
            # a shift of all alike is one along this axis.
            for value in (x, y):
                classes.fix(r.numbers(value, axis), 0.0, by)
    classes.tie(r.numbers(x, own), r.numbers(y, own), 1.0 / a, b / a, by)


def _guard(chosen: Chosen, node: ir.Node) -> str | None:
    """Whether what others read too would be moved so far from 0 that it loses digits."""
    x = node.inputs[0]
    assert x is not None
    if len(readers(x)) < 2:
        return None
    shift = None
    for axis in chosen.relations.axes(x):
        t = chosen.shifts.classes.values(chosen.relations.numbers(x, axis))
        if np.isnan(t).any() or not t.any():
            continue
        shift = ChannelAffine.of(axis, np.ones_like(t), t) if axis is not None else None
    if shift is None:
        return None
    for use in readers(x):
        refusal = refuse_gain(use.node, shift.inverse())
        if refusal is not None:
            return refusal.reason
    return None


def _solve(chosen: Chosen) -> str | None:
    """Use up what is left of the freedom: the scale 1 and the shift 0 wherever they can be."""
    for system, neutral in ((chosen.scales, 1.0), (chosen.shifts, 0.0)):
        classes = system.classes
        for equation in system.equations:
            reason = _use_up(system, equation, neutral)
            if reason:
                return f"{reason}, {chosen.relations.ops[equation.by]}"
        classes.flatten()
        root = np.flatnonzero(
            (classes.parent == np.arange(classes.parent.size)) & np.isnan(classes.value)
        )
        sign = np.where(classes.sign[root] < 0.0, -1.0, 1.0)
        classes.value[root] = neutral * sign if system is chosen.scales else 0.0
    return None


def _use_up(system: System, equation: Equation, neutral: float) -> str:
    """Fix all but two numbers of an equation that is still waiting."""
    while (entries := system.waiting_entries(equation)).size:
        reason = _fix_one(system, equation, entries, neutral)
        if reason:
            # What one entry can do without another may need.
            reason = _fix_one(system, equation, entries[:1], neutral)
        if reason:
            return reason
    return ""


def _fix_one(system: System, equation: Equation, entries: Index, neutral: float) -> str:
    """Fix one more number of these entries; why none can be."""
    classes, reason = system.classes, "no number is free"
    for index, _ in equation.terms[::-1]:
        part = index[entries]
        part = part[np.isnan(classes.values(part))]
        if not part.size:
            continue
        root, mul, _ = classes.find(part)
        negative = classes.sign[root] * np.sign(mul) < 0.0
        classes.begin()
        classes.joined.clear()
        try:
            classes.fix(part, np.where(negative, -neutral, neutral), equation.by)
            system.settle()
            return ""
        except ConflictError as conflict:
            reason = str(conflict)
            classes.undo()
            classes.changed.clear()
            classes.joined.clear()
    return reason
