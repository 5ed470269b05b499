"""The laws: what relation an op's result has when the same op is applied to related inputs.

Each law is given the two nodes (same op, same attributes) and answers with the relation of their
results, or raises :class:`NotProved` with the premise that does not hold. An op without a law
here has the law ``identity``: from equal inputs, equal results.
"""

from __future__ import annotations

__all__ = ["LAWS", "UNITS", "VIEWS", "Step", "count", "law_of", "reshaped"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bnfuse.checker.forms import IDENTITY, Relation, compose, units_apart
from bnfuse.checker.graph import FLOOR, Graph, Node, NotProved, Shape, need

UNITS = 16.0
"""Rounding units that a stored constant may differ by: folding in float32 takes about 8."""

VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
"""Ops that keep the elements in row-major order."""


class Known(Protocol):
    """What was shown before."""

    original: Graph
    candidate: Graph

    def relation_of(self, a: str, b: str) -> Relation | None:
        """The relation of two values, if one is known."""

    def equal(self, a: str, b: str) -> bool:
        """Whether two values are known to be equal."""

    def met(self, units: float, where: str) -> None:
        """Remember how far a constant was off."""


@dataclass(frozen=True, eq=False)
class Step:
    """Two nodes of one op, as the laws see them.

    Attributes:
        a: The original's.
        b: The candidate's.
        known: What was shown before.
    """

    a: Node
    b: Node
    known: Known

    @property
    def original(self) -> Graph:
        """The original."""
        return self.known.original

    @property
    def candidate(self) -> Graph:
        """The candidate."""
        return self.known.candidate

    def relation(self, place: int) -> Relation:
        """The relation of the inputs at a place, of equal constants the identity."""
        other = self.b.inputs[place] if place < len(self.b.inputs) else ""
        found = self.known.relation_of(self.a.inputs[place], other)
        if found is None:
            raise NotProved(f"input {place} of {self.a.op} was not matched")
        return found

    def broadcast(self, place: int) -> Relation:
        """Likewise, along the axis of the result that the channels are broadcast to."""
        found = self.relation(place)
        if found.axis is None:
            return found
        return found.along(found.axis + len(self.result()) - len(self.shape(place)))

    def is_constant(self, place: int) -> bool:
        """Whether the original's input at a place is a constant."""
        return self.original.is_constant(self.a.inputs[place])

    def constants(self, place: int) -> tuple[Any, Any]:
        """The two constants at a place; ``None`` where it is left out."""
        sides = (self.original, self.a), (self.candidate, self.b)
        names = [(g, n.inputs[place] if place < len(n.inputs) else "") for g, n in sides]
        x, y = (graph.constant(name) if name else None for graph, name in names)
        return x, y

    def follows(self, place: int, relation: Relation, rank: int) -> None:
        """Demand that the constants at a place are related, ``rank`` axes in the result."""
        x, y = self.constants(place)
        what = f"input {place} of {self.a.op} is another constant"
        need(x is not None and y is not None and x.shape == y.shape and x.dtype == y.dtype, what)
        if relation.is_identity and np.array_equal(x, y):
            return
        need(x.dtype.kind == "f", what)
        axes = [-1 if axis == relation.axis else 1 for axis in range(rank)]
        scale, shift = (part.reshape(axes) for part in (relation.scale, relation.shift))
        want = scale * x + shift
        need(want.shape == y.shape or x.size == 1, what)
        self.close(place, want, y, np.abs(scale * x) + np.abs(shift))

    def close(self, place: int, want: Any, got: Any, size: Any) -> None:
        """Demand that numbers of the candidate's constant at a place are within rounding."""
        unit = self.candidate.unit(self.b.inputs[place])
        units, where = units_apart(want, got, size, unit, FLOOR[unit])
        what = f"input {place} of {self.a.op}"
        if not units <= UNITS:
            raise NotProved(f"{where} of {what} differs by {units:.3g} rounding units", wrong=True)
        self.known.met(units, f"{self.b.outputs[0]}: {where} of {what}")

    def parameter(self, name: str) -> Any:
        """A parameter, which is the same on both sides."""
        value = self.original.parameter(self.a, name)
        need(value == self.candidate.parameter(self.b, name), f"{name} of {self.a.op} differs")
        return value

    def moved(self, name: str, relation: Relation, missing: float | None = None) -> None:
        """Demand that a parameter was moved with the values."""
        sides = (self.original, self.a), (self.candidate, self.b)
        given: list[Any] = [graph.parameter(node, name) for graph, node in sides]
        x, y = (given[0], given[1]) if missing is None else (v or missing for v in given)
        need((x is None) == (y is None), f"{name}: bounds on one side only")
        if x is not None and not (relation.is_identity and x == y):
            unit = self.candidate.unit(self.b.outputs[0])
            want = relation.scale * x + relation.shift
            close = np.allclose(want, y, rtol=2.0 * unit, atol=0.0)
            need(close, f"bounds or padding ({name}) that were not moved with the values")

    def shape(self, place: int) -> Shape:
        """The shape of the original's input."""
        return self.original.shape(self.a.inputs[place])

    def result(self) -> Shape:
        """The shape of the original's first output."""
        return self.original.shape(self.a.outputs[0])

    def axis(self) -> int:
        """The attribute, counted from the front."""
        return int(self.a.attributes["axis"]) % len(self.shape(0))


Law = Callable[[Step], "Relation | list[Relation]"]
Channels = Callable[[Step, Relation], Relation]


@dataclass(frozen=True)
class Row:
    """The law of an op that carries the relation of its first input.

    Attributes:
        scale: Which scales pass: ``any``, ``positive``, or those of which the ``absolute`` passes.
        shift: The premise under which a shift passes, or whether it ever does.
        channels: Where the channels go; it demands that they go there whole.
    """

    scale: str
    shift: bool | Callable[[dict[str, Any]], bool]
    channels: Channels

    def __call__(self, step: Step) -> Relation:
        """The relation of the results."""
        for place in range(1, len(step.a.inputs)):
            need(not step.a.inputs[place] or step.relation(place).is_identity, "another operand")
        r = step.relation(0)
        if r.is_identity:
            return r
        need(self.scale != "positive" or r.is_positive, "a scale that is not positive")
        passes = self.shift if isinstance(self.shift, bool) else self.shift(step.a.attributes)
        need(passes or not r.has_shift, "a shift")
        if self.scale == "absolute":
            r = Relation.of(r.axis, np.abs(r.scale))
        return self.channels(step, r)


def _identity(step: Step) -> Relation:
    """Equal inputs, equal results."""
    for place, name in enumerate(step.a.inputs):
        need(not name or step.relation(place).is_identity, "no law carries an affine through it")
    return IDENTITY


def _here(_: Step, r: Relation) -> Relation:
    """Element by element: the channels stay."""
    return r


def _pooled(step: Step, r: Relation) -> Relation:
    """Windows over the axes behind the channels, which are axis 1."""
    need(r.axis in (None, 1), "the numbers run along another axis than the channels")
    need(sum(map(bool, step.a.outputs)) == 1, "the indices")
    return r


def _windows_hold(a: dict[str, Any]) -> bool:
    """Whether every window of a MaxPool holds an element: padding is minus infinity."""
    short = all(p < k for p, k in zip(a["pads"], a["kernel_shape"] * 2, strict=True))
    plain = set(a["dilations"]) == {1} and not a["ceil_mode"]
    return short and plain and a["auto_pad"] == "NOTSET"


def _nothing_padded(a: dict[str, Any]) -> bool:
    """Whether no window of an AveragePool holds padding, which might count in its mean."""
    return a["auto_pad"] in ("NOTSET", "VALID") and not any(a["pads"]) and not a["ceil_mode"]


def _weights_sum_to_one(a: dict[str, Any]) -> bool:
    """Whether a Resize takes means of elements everywhere: no weights cut off."""
    return not a.get("exclude_outside") and not a.get("antialias")


def _reduced(step: Step, r: Relation) -> Relation:
    """Over axes that hold no channels."""
    if r.axis is None:
        return r
    axes, rank = step.parameter("axes"), len(step.shape(0))
    listed = (axes,) if isinstance(axes, int) else axes
    need(listed, "all axes are reduced, or none")
    gone = {axis % rank for axis in listed}
    need(r.axis not in gone, "the channels themselves are reduced")
    keeps = step.a.attributes["keepdims"]
    return r.along(r.axis - (0 if keeps else sum(axis < r.axis for axis in gone)))


def _resized(step: Step, r: Relation) -> Relation:
    """Along axes that hold no channels: a scale of 1 there, not only the same size."""
    crops = step.a.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    need(not crops, "what it fills in beyond the borders is not moved")
    if r.axis is None:
        return r
    before, after = step.shape(0)[r.axis], step.result()[r.axis]
    need(isinstance(before, int) and before == after, "the channels are resized")
    if step.a.op == "Upsample":
        scales = step.parameter("scales")
    else:
        scales = step.constants(2 if step.a.opset >= 11 else 1)[0]
    if scales is not None and np.size(scales):
        chosen = np.ravel(scales)
        need(chosen.size > r.axis and chosen[r.axis] == 1.0, "the channels are resized")
    return r


def _equal(x: Relation, y: Relation) -> bool:
    return (x.axis == y.axis or None in (x.axis, y.axis)) and all(
        p.shape == q.shape and np.allclose(p, q, rtol=1e-12, atol=0.0)
        for p, q in ((x.scale, y.scale), (x.shift, y.shift))
    )


def _joined(step: Step, first: int = 0) -> Relation:
    """One relation on every operand, constants included."""
    rank, places = len(step.result()), range(first, len(step.a.inputs))
    constant = [place for place in places if step.is_constant(place)]
    relations = [step.broadcast(place) for place in places if place not in constant]
    shared = relations[0] if relations else IDENTITY
    need(all(_equal(shared, r) for r in relations), "the operands have different relations")
    for place in constant:
        step.follows(place, shared, rank)
    return shared


def _extreme(step: Step) -> Relation:
    """Max and Min of operands that share one increasing map."""
    shared = _joined(step)
    need(shared.is_positive, "a scale that is not positive turns the order round")
    return shared


def _where(step: Step) -> Relation:
    """A choice between two operands that share one map."""
    need(step.relation(0).is_identity, "another condition")
    return _joined(step, 1)


def _clip(step: Step) -> Relation:
    """Bounds that are moved by the same increasing map."""
    relation = step.relation(0)
    need(relation.is_positive, "a scale that is not positive turns the order round")
    for name in ("min", "max"):
        step.moved(name, relation)
    return relation


def _sum(step: Step) -> Relation:
    """One scale on all operands; the shifts add up."""
    total = step.broadcast(0)
    for place in range(1, len(step.a.inputs)):
        found = step.broadcast(place)
        if step.a.op == "Sub":
            found = Relation.of(found.axis, found.scale, -found.shift, found.magnitude)
        plain = [Relation.of(r.axis, r.scale) for r in (total, found)]
        need(_equal(*plain), "the operands have different scales")
        total = compose(total, found.only_shift())
    return total


def _product(step: Step) -> Relation:
    """Scales multiply; a shift does not pass."""
    x, y = step.broadcast(0), step.broadcast(1)
    need(not x.has_shift and not y.has_shift, f"a shift does not pass {step.a.op}")
    return compose(x, Relation.of(y.axis, 1.0 / y.scale) if step.a.op == "Div" else y)


def _matmul(step: Step) -> Relation:
    """Of two computed values: rows and columns pass, what is summed over must cancel.

    A shift passes from the right where the rows on the left sum to 1, as those of a Softmax do.
    """
    ranks = len(step.shape(0)), len(step.shape(1))
    need(min(ranks) >= 2, "a product of vectors")
    kept, summed = IDENTITY, np.ones(())
    for place, contracted in ((0, 1), (1, 2)):
        r = step.relation(place)
        need(not r.has_shift or (place and _sums_to_one(step)), "a shift does not pass MatMul")
        need(not r.has_shift or r.axis != ranks[1] - 2, "a shift along what is summed over")
        if r.axis == ranks[place] - contracted:
            summed = summed * r.scale
        else:
            kept = compose(kept, r.along((r.axis or 0) + max(ranks) - ranks[place]))
    first = summed.reshape(-1)[0]
    need(first == 1.0 or not kept.has_shift, "a scale beside a shift")
    need(np.allclose(summed, first, rtol=1e-12, atol=0.0), "what is summed over does not cancel")
    return compose(kept, Relation.of(None, first))


def _sums_to_one(step: Step) -> bool:
    """Whether each row of the left operand sums to 1 on both sides, being the same Softmax."""
    node, _ = step.original.producers.get(step.a.inputs[0], (step.a, 0))
    last = len(step.shape(0)) - 1
    softmax = node.op == "Softmax" and node.attributes["axis"] % (last + 1) == last
    return softmax and step.relation(0).is_identity


def _normalized(step: Step) -> Relation:
    """A normaliser's own scale and shift are a relation of what it computes."""
    relation, op = step.relation(0), step.a.op
    need(np.all(relation.scale == 1.0), f"a scale does not pass {op}")
    if relation.has_shift:
        need(op == "InstanceNormalization" and relation.axis in (None, 1), "a shift")
    for place in range(1, len(step.a.inputs)):
        need(step.is_constant(place), f"a computed scale of {op}")
    (scale, other_scale), (shift, other_shift) = step.constants(1), step.constants(2)
    shift, other_shift = (np.zeros(()) if t is None else t for t in (shift, other_shift))
    if np.array_equal(scale, other_scale) and np.array_equal(shift, other_shift):
        return IDENTITY
    need(np.ndim(scale) == 1 and np.shape(scale) == np.shape(other_scale), "several axes")
    rows = op in ("LayerNormalization", "RMSNormalization")
    axis = len(step.shape(0)) - 1 if rows else 1
    need(not rows or step.axis() == axis, "several axes")
    need(op != "GroupNormalization" or step.a.opset >= 21, "one number per group")
    need(np.all(scale), "a scale of 0")
    ratio = other_scale / scale
    moved = other_shift - ratio * shift
    return Relation.of(axis, ratio, moved, np.abs(other_shift) + np.abs(ratio * shift))


def _gathered(step: Step) -> Relation:
    """Rows of a constant table, or elements along an axis."""
    need(step.relation(1).is_identity, "other indices")
    axis, indices = step.axis(), len(step.original.shape(step.a.inputs[1]))
    relation = _table(step, axis) if step.is_constant(0) else step.relation(0)
    if relation.axis is None:
        return relation
    if relation.axis == axis:
        index = step.constants(1)[0]
        need(index is not None and indices <= 1, "the channels are chosen at run time")
        return relation.take(np.asarray(index))
    return relation.along(relation.axis + (indices - 1 if relation.axis > axis else 0))


def _table(step: Step, axis: int) -> Relation:
    """Two tables of one shape: row by row ``s·x + t`` along the last axis."""
    x, y = step.constants(0)
    need(x is not None and y is not None and np.shape(x) == np.shape(y), "tables that differ")
    if np.array_equal(x, y):
        return IDENTITY
    need(x.ndim == 2 and axis == 0 and x.dtype.kind == "f", "tables that differ")
    low, high, columns = x.argmin(axis=0), x.argmax(axis=0), np.arange(x.shape[1])
    span, rise = (t[high, columns] - t[low, columns] for t in (x, y))
    with np.errstate(all="ignore"):
        scale = np.where(span > 0.0, rise / span, 1.0)
    scale = np.where(np.abs(scale - 1.0) < 1e-6, 1.0, scale)
    shift = y[high, columns] - scale * x[high, columns]
    size = np.abs(y[high, columns]) + np.abs(scale * x[high, columns])
    relation = Relation.of(1, scale, np.where(np.abs(shift) <= 4e-7 * size, 0.0, shift), size)
    step.follows(0, relation, 2)
    return relation


def _concat(step: Step) -> Relation:
    """Side by side along the channels, or parts that share one relation."""
    axis = step.axis()
    relations = [step.relation(place) for place in range(len(step.a.inputs))]
    if all(r.is_identity for r in relations):
        return IDENTITY
    if any(r.axis not in (None, axis) for r in relations):
        return _joined(step)
    sizes: list[Any] = [step.shape(place)[axis] for place in range(len(relations))]
    need(all(isinstance(size, int) for size in sizes), "a part whose size is not known")
    parts = [
        [np.broadcast_to(p, s) for p in r.parts] for r, s in zip(relations, sizes, strict=True)
    ]
    return Relation.of(axis, *map(np.concatenate, zip(*parts, strict=True)))


def _padded(step: Step) -> Relation:
    """What is padded is moved with the values."""
    relation, rank = step.relation(0), len(step.shape(0))
    pads, axes = step.parameter("pads"), step.parameter("axes")
    half = len(pads) // 2
    listed = tuple(a % rank for a in axes) if axes is not None else tuple(range(rank))
    padded = {axis for i, axis in enumerate(listed) if pads[i] or pads[i + half]}
    need(relation.axis not in padded or relation.axis is None, "the channels are padded")
    if step.a.attributes["mode"] == "constant":
        step.moved("value", relation, 0.0)
    return relation


def _of_shape(step: Step) -> Relation:
    """The shape of a value depends on no number in it."""
    step.relation(0)
    return IDENTITY


def _transposed(step: Step, r: Relation) -> Relation:
    """The channels go where the permutation sends them."""
    perm = step.a.attributes["perm"] or tuple(reversed(range(len(step.shape(0)))))
    return r if r.axis is None else r.along(perm.index(r.axis))


def _reshaped(step: Step, r: Relation) -> Relation:
    """Row-major order is kept."""
    return reshaped(r, step.shape(0), step.result())


def reshaped(r: Relation, before: Shape, after: Shape) -> Relation:
    """A relation's channels after a change of shape that keeps the row-major order.

    Raises:
        NotProved: They are spread over several axes, or where they go cannot be told.
    """
    if r.axis is None:
        return r
    for place, size in enumerate(after):
        # The channels whole, and before or behind them as many elements.
        same = count(after[place + 1 :]) == count(before[r.axis + 1 :])
        if size == r.scale.size and (same or count(after[:place]) == count(before[: r.axis])):
            return r.along(place)
    head = tail = 0
    while head < min(r.axis, len(after)) and before[head] == after[head] is not None:
        head += 1
    most = min(len(before) - r.axis - 1, len(after) - head)
    while tail < most and before[-1 - tail] == after[-1 - tail] is not None:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    need(all(isinstance(size, int) for size in (*old, *new)), "sizes that are not known")
    sizes: Any = old, new
    counts = [math.prod(each) for each in sizes]
    need(counts[0] == counts[1] <= 1 << 24, "a block of another or too large a size")
    written = [-1 if i == r.axis - head else 1 for i in range(len(old))]
    parts = [np.broadcast_to(p.reshape(written), sizes[0]).reshape(sizes[1]) for p in r.parts]
    varying = [
        i for i in range(len(new)) if any(np.any(p != np.take(p, [0], axis=i)) for p in parts)
    ]
    need(len(varying) <= 1, "the channels are spread over several axes")
    index = tuple(slice(None) if i in varying else 0 for i in range(len(new)))
    return Relation.of(head + varying[0] if varying else None, *(p[index] for p in parts))


def count(sizes: Shape) -> object:
    """How many elements sizes come to: a number and symbols; equal to nothing if not known."""
    if None in sizes:
        return object()
    numbers = math.prod(size for size in sizes if isinstance(size, int))
    return numbers, sorted(size for size in sizes if isinstance(size, str))


def _repeated(step: Step, r: Relation) -> Relation:
    """Expand and Tile: along axes that hold no channels."""
    if r.axis is None:
        return r
    axis = r.axis + len(step.result()) - len(step.shape(0))
    sizes = step.shape(0)[r.axis], step.result()[axis]
    need(sizes[0] == sizes[1] == r.scale.size, "the channels are repeated")
    return r.along(axis)


def _sliced(step: Step, r: Relation) -> Relation:
    """Elements chosen along axes; the channels' numbers likewise."""
    starts, ends, axes, steps = map(step.parameter, ("starts", "ends", "axes", "steps"))
    axes, steps = axes or range(len(starts)), steps or (1,) * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        if axis % len(step.shape(0)) == r.axis:
            need(stride > 0, "the channels in reverse")
            r = r.take(slice(start, end, stride))
    return r


def _blocks(step: Step, r: Relation) -> Relation:
    """Channels to positions and back, in the order of the specification."""
    if r.axis is None:
        return r
    need(r.axis == 1, "the numbers run along another axis than the channels")
    count = step.a.attributes["blocksize"] ** 2
    if step.a.op == "SpaceToDepth":
        return Relation.of(1, *(np.tile(p, count) for p in r.parts))
    column_first = step.a.attributes.get("mode") == "CRD"
    shape = (-1, count) if column_first else (count, -1)
    tables = [p.reshape(shape).T if column_first else p.reshape(shape) for p in r.parts]
    need(all(np.all(t == t[0]) for t in tables), "the channels are spread over positions")
    return Relation.of(1, *(t[0] for t in tables))


def _dropout(step: Step) -> Relation:
    """The value itself, in inference mode and without the mask."""
    for graph, node in ((step.original, step.a), (step.candidate, step.b)):
        training = graph.parameter(node, "training_mode")
        need(not training and node.opset >= 7, "Dropout in training mode")
        need(sum(map(bool, node.outputs)) == 1, "Dropout with its mask")
    return step.relation(0)


def _split(step: Step) -> list[Relation]:
    """Each part has its channels' numbers."""
    r, parts, sizes = step.relation(0), len(step.a.outputs), step.parameter("split")
    if r.axis is None or r.axis != step.axis():
        return [r] * parts
    need(sizes is not None or r.scale.size % parts == 0, "parts of different sizes")
    sizes = sizes or (r.scale.size // parts,) * parts
    need(sum(sizes) == r.scale.size, "parts that are not the whole")
    ends = np.cumsum(sizes)
    return [r.take(slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _recurrent(step: Step) -> Relation:
    """The gates are linear in X: its weights and their bias may have taken what X lost."""
    if not step.is_constant(1):
        return _identity(step)
    r, (w, v), (b, c) = step.relation(0), step.constants(1), step.constants(3)
    for place, name in enumerate(step.a.inputs):
        if name and place not in (0, 1, 3):
            need(step.relation(place).is_identity, "another recurrence")
    need(r.axis in (None, 2), "the numbers run along another axis than the features")
    need(v is not None and np.shape(w) == np.shape(v), "other weights")
    step.close(1, w, v * r.scale, np.abs(w))
    if b is None or c is None:
        need(b is c and not r.has_shift, "a shift without a bias that takes it")
        return IDENTITY
    need(np.shape(b) == np.shape(c), "another bias")
    half = np.shape(b)[1] // 2
    moved = v * r.shift
    size = np.abs(b[:, :half]) + np.abs(moved).sum(axis=2)
    step.close(3, b[:, :half], c[:, :half] + moved.sum(axis=2), size)
    need(np.array_equal(b[:, half:], c[:, half:]), "another recurrence")
    return IDENTITY


def _softmax(step: Step) -> Relation:
    """A shift that is the same for all that is normalised together vanishes."""
    r, axis = step.relation(0), step.axis()
    need(np.all(r.scale == 1.0), "a scale does not pass Softmax")
    need(r.axis != axis, "shifts that differ where it normalises")
    whole = step.a.opset >= 13 or axis == len(step.shape(0)) - 1
    need(whole or not r.has_shift, "a Softmax over several axes")
    return IDENTITY


def _each(laws: dict[str, Law]) -> dict[str, Law]:
    return {op: law for ops, law in laws.items() for op in ops.split()}


LAWS: dict[str, Law] = _each(
    {
        "Relu LeakyRelu PRelu": Row("positive", False, _here),
        "Abs": Row("absolute", False, _here),
        "MaxPool": Row("positive", _windows_hold, _pooled),
        "GlobalMaxPool": Row("positive", True, _pooled),
        "AveragePool": Row("any", _nothing_padded, _pooled),
        "GlobalAveragePool": Row("any", True, _pooled),
        "LpPool GlobalLpPool": Row("absolute", False, _pooled),
        "ReduceMean": Row("any", True, _reduced),
        "ReduceSum": Row("any", False, _reduced),
        "ReduceL1 ReduceL2": Row("absolute", False, _reduced),
        "ReduceMax ReduceMin": Row("positive", True, _reduced),
        "Resize Upsample": Row("any", _weights_sum_to_one, _resized),
        "Transpose": Row("any", True, _transposed),
        " ".join(VIEWS): Row("any", True, _reshaped),
        "Expand Tile": Row("any", True, _repeated),
        "Slice": Row("any", True, _sliced),
        "DepthToSpace SpaceToDepth": Row("any", True, _blocks),
        "Dropout": _dropout,
        "Split": _split,
        "Concat": _concat,
        "Gather": _gathered,
        "Pad": _padded,
        "Clip": _clip,
        "Add Sub Sum": _sum,
        "Mul Div": _product,
        "Max Min": _extreme,
        "Where": _where,
        "MatMul": _matmul,
        "Softmax": _softmax,
        "RNN GRU LSTM": _recurrent,
        "LayerNormalization RMSNormalization InstanceNormalization GroupNormalization": _normalized,
        "Shape Size": _of_shape,
    }
)
"""The ops through which more than equality passes. Any other takes equals to equals."""


def law_of(op: str) -> Law:
    """The law of an op."""
    return LAWS.get(op, _identity)
