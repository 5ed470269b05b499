"""What each op asks of the gauges around it: one relation an op, both directions at once.

The conditions are those of today's rules, most of them asked of the very functions, so that only
the choice differs.
"""

from __future__ import annotations

__all__ = ["relate"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.affine import ChannelAffine
from bnfuse.folding.axes import spread_of
from bnfuse.folding.plan import Refusal
from bnfuse.folding.rules import RULES
from bnfuse.folding.rules.clip import _is_relu
from bnfuse.folding.rules.commuting import CommutingRule
from bnfuse.folding.rules.concat import _axis as concat_axis
from bnfuse.folding.rules.layout import MoveThroughLayout, _do, _is_inner
from bnfuse.folding.rules.pad import _padding_value
from bnfuse.folding.rules.pad import _refuse_axis as refuse_padded
from bnfuse.folding.rules.reduce import _count, _kept_axes, _reduced_axes
from bnfuse.folding.rules.select import _output_axis, _selected
from bnfuse.folding.rules.space import _groups
from bnfuse.folding.wording import is_ours, title
from bnfuse.lifting.nodes import affine_of, linear_of
from bnfuse.lifting.normalizer import NORMALIZERS, normalizer_of
from bnfuse.lifting.readers import readers
from prototypes.gauges.relations import Relations, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LAYOUT = (*MoveThroughLayout.op_types, "Identity")
_LARGEST = 1 << 18


def relate(graph: ir.Graph, relations: Relations, vanished: set[ir.Node]) -> None:
    """Ask every op of a lifted graph; norms in ``vanished`` are not asked here."""
    relations.op("the graph")
    for value in (*graph.inputs, *graph.outputs):
        relations.pin_whole(value)
    for node in graph:
        if not all(relations.constants.is_constant(v) for v in node.outputs):
            _relate(graph, node, relations, vanished)


def _relate(graph: ir.Graph, node: ir.Node, r: Relations, vanished: set[ir.Node]) -> None:
    r.op(title(node))
    for y in node.outputs:
        if any(use.node.graph is not graph for use in readers(y)):
            r.pin_whole(y)
    if affine_of(node) is not None:
        if node not in vanished:
            _stay(node, r)
        return
    law = _LAWS.get(node.op_type)
    if law is None or not is_ours(node) or not law(node, r):
        _pin_all(node, r)
    elif node.op_type != "Split":
        for y in node.outputs[1:]:
            r.pin_whole(y)


def _pin_all(node: ir.Node, r: Relations) -> bool:
    if node.op_type in ("Shape", "Size"):
        return True
    for position, x in enumerate(node.inputs):
        value = r.operand(node, position)
        if isinstance(value, ir.Value) and any(use == (node, position) for use in readers(value)):
            r.pin_whole(value)
        del x
    for y in node.outputs:
        r.pin_whole(y)
    return True


def _pin_others(node: ir.Node, r: Relations, *positions: int) -> None:
    """Inputs that steer an op have no gauge."""
    for position in range(len(node.inputs)):
        value = r.operand(node, position)
        if position not in positions and isinstance(value, ir.Value):
            r.pin_whole(value)


def _stay(node: ir.Node, r: Relations) -> None:
    """A norm that stays takes what is asked of it along its own axis."""
    lifted, x, y = affine_of(node), node.inputs[0], node.outputs[0]
    assert lifted is not None
    assert x is not None
    fixed = lifted.is_fixed or not lifted.affine.is_finite
    if lifted.affine.axis is None and not fixed and node not in r.narrow:
        # One number for all channels takes what comes along any axis, if it is one alone.
        return
    for value in (x, y):
        r.pin(value, *(r.axes(value) if fixed else _further(r, value, lifted.affine.axis)))


def _further(r: Relations, value: Value, own: int | None) -> list[int | None]:
    """The axes beside an op's own along which what is asked of it is not the same for all."""
    return [axis for axis, n in r.axes(value).items() if axis != own and n > 1]


def _linear(node: ir.Node, r: Relations) -> bool:
    linear, x, y = linear_of(node), node.inputs[0], node.outputs[0]
    assert linear is not None
    assert x is not None
    r.pin(x, *_further(r, x, linear.input_axis))
    r.pin(y, *_further(r, y, linear.output_axis))
    if linear.pads_with_zeros:
        r.pin_whole(x, scale=False)
    return True


def _normalizer(node: ir.Node, r: Relations) -> bool:
    _pin_others(node, r)
    own, y = normalizer_of(node), node.outputs[0]
    if own is None:
        return False
    r.pin(y, *_further(r, y, own.axis))
    if not own.shifts:
        r.pin_whole(y, scale=False)
    if own.repeats > 1 and own.axis in r.axes(y):
        groups = r.numbers(y, own.axis).reshape(-1, own.repeats)
        for column in groups.T[1:]:
            r.equal(groups[:, 0], column)
    return True


def _commuting(rule: CommutingRule) -> Callable[[ir.Node, Relations], bool]:
    """Ask a rule of today's about a scale, a negative scale and a shift along each axis."""

    def refuses(node: ir.Node, affine: ChannelAffine, r: Relations) -> bool:
        return rule.refusal(node, affine, r.constants) is not None

    def law(node: ir.Node, r: Relations) -> bool:
        _pin_others(node, r, 0)
        x, y = r.operand(node, 0), node.outputs[0]
        if x is None:
            return False
        for axis in set(r.axes(x)) | set(r.axes(y)):
            n = r.axes(x).get(axis)
            half = ChannelAffine.of(None, 0.5)
            shift = ChannelAffine.of(None, 1.0, 0.5)
            if axis is not None and n is not None:
                half = ChannelAffine.of(axis, np.linspace(0.4, 0.6, n))
                shift = ChannelAffine.of(axis, np.ones(n), np.linspace(0.4, 0.6, n))
            negative = ChannelAffine.of(half.axis, -half.scale)
            if n != r.axes(y).get(axis) or n is None or refuses(node, half, r):
                r.pin(x, axis)
                r.pin(y, axis)
                continue
            _equal(r, x, axis, y, axis, shifts=not refuses(node, shift, r))
            if refuses(node, negative, r):
                r.positive(r.numbers(y, axis))
        return True

    return law


def _equal(
    r: Relations, x: Value, a: int | None, y: Value, b: int | None, *, shifts: bool = True
) -> None:
    r.equal(r.numbers(x, a), r.numbers(y, b), shift=1.0 if shifts else None)
    if not shifts:
        r.pin(x, a, scale=False)
        r.pin(y, b, scale=False)


def _clip(node: ir.Node, r: Relations) -> bool:
    bounds, y, x = node.inputs[1:], node.outputs[0], r.operand(node, 0)
    _pin_others(node, r, 0)
    if x is None or any(key in node.attributes for key in ("min", "max")):
        return False
    if any(b is not None and not r.constants.is_constant(b) for b in bounds):
        return False
    is_relu = _is_relu(bounds, ChannelAffine.of(None, 2.0), r.constants)
    for axis in r.axes(x):
        if r.axes(x)[axis] == 1:
            # One number for all channels, with which the bounds go.
            _equal(r, x, axis, y, axis, shifts=node not in r.narrow)
            r.positive(r.numbers(y, axis))
        elif is_relu:
            _equal(r, x, axis, y, axis, shifts=False)
            r.positive(r.numbers(y, axis))
        else:
            r.pin(x, axis)
            r.pin(y, axis)
    return True


def _pad(node: ir.Node, r: Relations) -> bool:
    _pin_others(node, r, 0)
    x, y = r.operand(node, 0), node.outputs[0]
    if x is None:
        return False
    constant = node.attributes.get_string("mode", "constant") == "constant"
    value = _padding_value(node, r.constants) if constant else 0.0
    if value is None:
        return False
    held = constant and len(node.inputs) < 2
    for axis in set(r.axes(x)) | set(r.axes(y)):
        probe = ChannelAffine.of(axis, 2.0 * np.ones(() if axis is None else 2))
        if (
            axis not in r.axes(x)
            or axis not in r.axes(y)
            or refuse_padded(node, probe, r.constants) is not None
            or (constant and value != 0.0 and (r.axes(x)[axis] > 1 or held))
        ):
            r.pin(x, axis)
            r.pin(y, axis)
        else:
            # Where channels are scaled one by one, padding with s · t would not be one number.
            uniform = r.axes(x)[axis] == 1 and not held and node not in r.narrow
            _equal(r, x, axis, y, axis, shifts=not constant or uniform)
    return True


def _reduce(node: ir.Node, r: Relations) -> bool:
    _pin_others(node, r, 0)
    x, y = node.inputs[0], node.outputs[0]
    reduced = _reduced_axes(node, r.constants)
    own = r.operand(node, 0)
    if x is None or own is None or x.shape is None or reduced is None:
        return False
    kept = _kept_axes(node, len(x.shape), reduced)
    name = node.op_type
    count = _count(x, reduced) if name == "ReduceSum" else 1
    shifts = name not in ("ReduceL1", "ReduceL2") and count is not None
    r.pin(own, *(a for a in r.axes(own) if a in reduced))
    r.pin(y, *(a for a in r.axes(y) if a is not None and kept[a] is None))
    for axis in r.axes(own):
        if axis in reduced:
            continue
        out = None if axis is None else kept.index(axis)
        a, b = r.numbers(own, axis), r.numbers(y, out)
        r.equal(a, b, shift=float(count or 1) if shifts else None)
        if not shifts:
            r.pin(own, axis, scale=False)
            r.pin(y, out, scale=False)
        if name not in ("ReduceMean", "ReduceSum"):
            r.positive(b)
    return True


def _concat(node: ir.Node, r: Relations) -> bool:
    y, along = node.outputs[0], concat_axis(node)
    inputs = [r.operand(node, i) for i in range(len(node.inputs))]
    if along is None or any(x is None for x in inputs):
        return False
    parts = [x for x in inputs if x is not None]
    for axis in r.axes(y):
        if axis == along:
            continue
        for x in parts:
            if axis in r.axes(x):
                _equal(r, x, axis, y, axis)
    lengths = [r.axes(x).get(along) for x in parts]
    if None in lengths or sum(n or 0 for n in lengths) != r.axes(y).get(along):
        for x in (*parts, y):
            r.pin(x, along)
        return True
    start, whole = 0, r.numbers(y, along)
    for x, n in zip(parts, lengths, strict=True):
        stop = start + (n or 0)
        r.equal(r.numbers(x, along), whole[start:stop])
        start = stop
    return True


def _select(node: ir.Node, r: Relations) -> bool:
    own = r.operand(node, 0)
    x = node.inputs[0]
    if own is None or x is None or x.shape is None:
        return False
    for axis in tuple(r.axes(own)):
        reached = False
        for position, y in enumerate(node.outputs):
            if axis is None:
                _equal(r, own, None, y, None)
                continue
            selected = _selected(node, position, axis, r.constants)
            out = _output_axis(node, axis)
            if isinstance(selected, Refusal) or out is None:
                r.pin(own, axis)
                continue
            numbers = r.numbers(own, axis)
            if selected is not None:
                numbers = numbers[selected]
            reached = True
            if out in r.axes(y) and r.axes(y)[out] == numbers.size:
                r.equal(numbers, r.numbers(y, out))
            else:
                r.pin(own, axis)
        del reached
    explained = {_output_axis(node, a) for a in r.axes(own) if a is not None} | {None}
    for y in node.outputs:
        r.pin(y, *(a for a in r.axes(y) if a not in explained))
    return _selected_is_known(node, own, r)


def _selected_is_known(node: ir.Node, own: Value, r: Relations) -> bool:
    """Where the selection along an axis is not known, nothing passes along it."""
    for axis in r.axes(own):
        if axis is None or not isinstance(_selected(node, 0, axis, r.constants), Refusal):
            continue
        out = _output_axis(node, axis)
        for y in node.outputs:
            r.pin(y, *([out] if out is not None else []))
    return True


def _space(node: ir.Node, r: Relations) -> bool:
    x, y = r.operand(node, 0), node.outputs[0]
    if x is None:
        return False
    wide, narrow = (x, y) if node.op_type == "DepthToSpace" else (y, x)
    for axis in (None, 0):
        if axis in r.axes(x) and axis in r.axes(y):
            _equal(r, x, axis, y, axis)
    for value in (x, y):
        r.pin(value, *(a for a in r.axes(value) if a is not None and a > 1))
    if 1 not in r.axes(wide) or 1 not in r.axes(narrow):
        for value in (x, y):
            r.pin(value, 1)
        return True
    block = node.attributes.get_int("blocksize", 1) ** 2
    groups = _groups(node, r.axes(narrow)[1], block)
    for column in groups.T:
        r.equal(r.numbers(wide, 1)[column], r.numbers(narrow, 1))
    return True


def _branches(node: ir.Node, r: Relations, first: int = 0) -> list[tuple[int, Value]] | None:
    found = [(i, r.operand(node, i)) for i in range(first, len(node.inputs))]
    known = [(i, x) for i, x in found if x is not None]
    return known if len(known) == len(found) else None


def _under(r: Relations, node: ir.Node, x: Value, axis: int | None) -> int | bool | None:
    """The axis of a broadcast input under one of the output; ``False`` where it has none."""
    if axis is None:
        return None
    y = node.outputs[0]
    rank = 0 if y.shape is None else len(y.shape)
    own = _rank(r, x)
    aligned = axis - (rank - own)
    return aligned if aligned >= 0 and r.axes(x).get(aligned) == r.axes(y)[axis] else False


def _rank(r: Relations, x: Value) -> int:
    if isinstance(x, ir.Value):
        return 0 if x.shape is None else len(x.shape)
    constant = r.constants.constant(x.node.inputs[x.position])
    return 0 if constant is None else len(constant.shape)


def _unreached(r: Relations, node: ir.Node, branches: Iterable[Value]) -> None:
    """Axes of an input that lie under none of the output's: a length not known there."""
    y = node.outputs[0]
    for x in branches:
        under = {_under(r, node, x, axis) for axis in r.axes(y) if axis is not None}
        r.pin(x, *(a for a in r.axes(x) if a is not None and a not in under))


def _add(node: ir.Node, r: Relations) -> bool:
    branches, y = _branches(node, r), node.outputs[0]
    if branches is None or y.shape is None:
        return False
    weight = 1.0 / len(branches) if node.op_type == "Mean" else 1.0
    _unreached(r, node, [x for _, x in branches])
    for axis in r.axes(y):
        parts = []
        for place, x in branches:
            under = _under(r, node, x, axis)
            if under is False:
                r.pin(y, axis, shift=False)
                continue
            sign = -1.0 if node.op_type == "Sub" and place == 1 else 1.0
            numbers = r.numbers(x, under)
            r.equal(numbers, r.numbers(y, axis), shift=None)
            parts.append((numbers, sign * weight))
        if parts:
            r.total(r.numbers(y, axis), parts)
        else:
            r.pin(y, axis)
    return True


def _choose(node: ir.Node, r: Relations) -> bool:
    branches = _branches(node, r, 1 if node.op_type == "Where" else 0)
    y = node.outputs[0]
    if branches is None or y.shape is None:
        return False
    _pin_others(node, r, *(place for place, _ in branches))
    _unreached(r, node, [x for _, x in branches])
    for axis in r.axes(y):
        for _, x in branches:
            under = _under(r, node, x, axis)
            if under is False:
                r.pin(y, axis)
            else:
                _equal(r, x, under, y, axis)
        if node.op_type != "Where":
            r.positive(r.numbers(y, axis))
    return True


def _product(node: ir.Node, r: Relations) -> bool:
    branches, y = _branches(node, r), node.outputs[0]
    if branches is None or y.shape is None:
        return False
    values = [x for _, x in branches]
    _unreached(r, node, values)
    r.pin_whole(y, scale=False)
    for x in values:
        if isinstance(x, ir.Value):
            r.pin_whole(x, scale=False)
    if node.op_type == "Div":
        r.pin_whole(values[1])
        values = values[:1]
    for axis in r.axes(y):
        under = [(x, _under(r, node, x, axis)) for x in values]
        factors = [r.numbers(x, a) for x, a in under if a is not False]
        if factors:
            r.product(r.numbers(y, axis), factors)
        else:
            r.pin(y, axis)
    return True


def _expand(node: ir.Node, r: Relations) -> bool:
    x, y = r.operand(node, 0), node.outputs[0]
    if x is None or y.shape is None:
        return False
    _unreached(r, node, [x])
    for axis in r.axes(y):
        under = _under(r, node, x, axis)
        if under is False:
            r.pin(y, axis)
        else:
            _equal(r, x, under, y, axis)
    return True


def _layout(node: ir.Node, r: Relations) -> bool:
    """A chain of rearrangements in one go: a channel shuffle is a relation of its two ends."""
    x = node.inputs[0]
    assert x is not None
    producer = x.producer()
    if producer is not None and producer.op_type in _LAYOUT and _is_inner(x) and is_ours(producer):
        return True
    _pin_others(node, r, 0)
    chain = [node]
    while _is_inner(y := chain[-1].outputs[0]):
        use = readers(y)[0]
        if use.node.op_type not in _LAYOUT or use.idx != 0 or not is_ours(use.node):
            break
        if use.node.graph is not node.graph:
            break
        chain.append(use.node)
    own = r.operand(node, 0)
    if own is None or x.shape is None or y.shape is None:
        if own is not None:
            r.pin_whole(own)
        r.pin_whole(y)
        return True
    _equal(r, own, None, y, None)
    _rearranged(chain, own, len(x.shape), y, r)
    return True


def _rearranged(chain: Sequence[ir.Node], x: Value, rank: int, y: ir.Value, r: Relations) -> None:
    labels: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = {}
    reached: dict[int, set[int]] = {}
    for axis, n in r.axes(x).items():
        if axis is None:
            continue
        if n == 1:
            r.pin(x, axis)
            continue
        spread = spread_of(ChannelAffine.of(axis, np.arange(1.0, n + 1.0)), rank)
        for node in chain:
            found = _do(node, spread)
            if found is None:
                break
            spread = found
        else:
            if all(a in r.axes(y) for a in spread.axes):
                labels[axis], reached[axis] = spread.scale, set(spread.axes)
                continue
        r.pin(x, axis)
    r.pin(y, *(a for a in r.axes(y) if a is not None and not any(a in s for s in reached.values())))
    while reached:
        sources, targets = _component(reached)
        lengths = [r.axes(y)[a] for a in targets]
        if any(a not in r.axes(y) for a in targets) or np.prod(lengths) > _LARGEST:
            r.pin(x, *sources)
            r.pin(y, *targets)
            continue
        shape = tuple(r.axes(y)[i] if i in targets else 1 for i in range(labels[sources[0]].ndim))
        origin = [
            r.numbers(x, a)[np.broadcast_to(labels[a], shape).astype(np.intp).ravel() - 1]
            for a in sources
        ]
        places = np.indices([r.axes(y)[a] for a in targets]).reshape(len(targets), -1)
        goal = [r.numbers(y, a)[place] for a, place in zip(targets, places, strict=True)]
        if len(origin) == 1 and len(goal) == 1:
            r.equal(origin[0], goal[0])
        else:
            _joint(r, origin, goal)


def _component(reached: dict[int, set[int]]) -> tuple[list[int], list[int]]:
    """Input axes that share output axes, and those; taken out of ``reached``."""
    first = next(iter(reached))
    sources, targets = {first}, set(reached[first])
    while more := {a for a, s in reached.items() if a not in sources and s & targets}:
        sources |= more
        targets.update(*(reached[a] for a in more))
    for axis in sources:
        del reached[axis]
    return sorted(sources), sorted(targets)


def _joint(r: Relations, origin: Sequence[np.ndarray], goal: Sequence[np.ndarray]) -> None:
    """What several axes have together: scales multiply, shifts add."""
    from prototypes.gauges.system import Equation

    for scales in (True, False):
        terms = [(a.astype(np.intp), np.array(1.0)) for a in origin]
        terms += [(a.astype(np.intp), np.array(-1.0)) for a in goal]
        neutral = np.array(1.0 if scales else 0.0)
        r._equations[scales].append(Equation(tuple(terms), neutral, r.by))


_LAWS: dict[str, Callable[[ir.Node, Relations], bool]] = {
    **{
        op: _commuting(rule)
        for rule in RULES
        if isinstance(rule, CommutingRule)
        for op in rule.op_types
    },
    "Linear": _linear,
    "Clip": _clip,
    "Pad": _pad,
    "Concat": _concat,
    "Expand": _expand,
    **dict.fromkeys(NORMALIZERS, _normalizer),
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean"), _add),
    **dict.fromkeys(("Max", "Min", "Where"), _choose),
    **dict.fromkeys(("Mul", "Div"), _product),
    **dict.fromkeys(("Split", "Slice", "Gather"), _select),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _space),
    **dict.fromkeys(_LAYOUT, _layout),
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"), _reduce
    ),
}
