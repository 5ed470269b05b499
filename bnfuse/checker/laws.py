"""The laws: what relation an op's result has when the same op is applied to related inputs.

Each law is given the two nodes (same op, same attributes) and answers with the relation of their
results, or raises :class:`NotProved` with the premise that does not hold. An op without a law
here has the law ``identity``: from equal inputs, equal results.
"""

from __future__ import annotations

__all__ = ["LAWS", "Shape", "Step", "identity", "is_view", "reshaped"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from bnfuse.checker.forms import IDENTITY, Relation, compose
from bnfuse.checker.graph import Graph, Node, NotProved

Shape = tuple[int | str | None, ...]

VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
"""Ops that keep the elements in row-major order."""


_ALL = 2**31 - 1
"""An end of a Slice that no axis reaches."""


def is_view(graph: Graph, node: Node) -> bool:
    """Whether a node gives its first input's elements, all of them, in row-major order."""
    if node.op == "Cast":
        return graph.dtype(node.inputs[0]) == graph.dtype(node.outputs[0]) != 0
    if node.op != "Slice":
        return node.op in VIEWS
    starts, ends, steps = (graph.parameter(node, name) for name in ("starts", "ends", "steps"))
    whole = all(start == 0 for start in starts) and all(end >= _ALL for end in ends)
    return whole and all(step == 1 for step in steps or ())


class Step(Protocol):
    """What a law is given: one op of the original and the same op of the candidate."""

    @property
    def a(self) -> Node:
        """The original's node."""

    @property
    def b(self) -> Node:
        """The candidate's."""

    @property
    def original(self) -> Graph:
        """The original."""

    @property
    def candidate(self) -> Graph:
        """The candidate."""

    def relation(self, place: int) -> Relation:
        """The relation of the inputs at a place, of equal constants the identity."""

    def is_constant(self, place: int) -> bool:
        """Whether the original's input at a place is a constant."""

    def constant_follows(self, place: int, relation: Relation, rank: int) -> None:
        """Demand that the constants at a place are related, ``rank`` axes in the result."""

    def close(self, place: int, want: Any, got: Any, size: Any) -> None:
        """Demand that numbers of the candidate's constant at a place are within rounding."""

    def constants(self, place: int) -> tuple[Any, Any]:
        """The two constants at a place; ``None`` where it is left out."""

    def parameter(self, name: str) -> Any:
        """A parameter, which is the same on both sides."""

    def shape(self, place: int) -> tuple[int | str | None, ...]:
        """The shape of the original's input."""

    def result(self) -> tuple[int | str | None, ...]:
        """The shape of the original's first output."""


Law = Callable[[Step], "Relation | list[Relation]"]


def _fail(reason: str) -> NoReturn:
    raise NotProved(reason)


def _need(premise: bool, reason: str) -> None:
    if not premise:
        _fail(reason)


def identity(step: Step) -> Relation:
    """Equal inputs, equal results."""
    for place, name in enumerate(step.a.inputs):
        _need(not name or step.relation(place).is_identity, "no law carries an affine through it")
    return IDENTITY


@dataclass(frozen=True)
class Row:
    """The law of an op that carries the relation of its first input.

    Attributes:
        scale: Which scales pass: ``any``, ``positive``, or those of which the ``absolute`` passes.
        shift: The premise under which a shift passes, or whether it ever does.
        channels: Where the channels go; it demands that they go there whole.
    """

    scale: str
    shift: bool | Callable[[Step], bool]
    channels: Callable[[Step, Relation], Relation]

    def __call__(self, step: Step) -> Relation:
        """The relation of the results."""
        for place in range(1, len(step.a.inputs)):
            _need(not step.a.inputs[place] or step.relation(place).is_identity, "another operand")
        r = step.relation(0)
        if r.is_identity:
            return r
        _need(self.scale != "positive" or r.is_positive, "a scale that is not positive")
        if r.has_shift:
            _need(self.shift if isinstance(self.shift, bool) else self.shift(step), "a shift")
        if self.scale == "absolute":
            r = Relation.of(r.axis, np.abs(r.scale))
        return self.channels(step, r)


def _here(_: Step, r: Relation) -> Relation:
    """Element by element: the channels stay."""
    return r


def _pooled(step: Step, r: Relation) -> Relation:
    """Windows over the axes behind the channels, which are axis 1."""
    _need(r.axis in (None, 1), "the numbers run along another axis than the channels")
    _need(sum(map(bool, step.a.outputs)) == 1, "the indices")
    return r


def _windows_hold(step: Step) -> bool:
    """Whether every window of a MaxPool holds an element: padding is minus infinity."""
    a = step.a.attributes
    short = all(p < k for p, k in zip(a["pads"], a["kernel_shape"] * 2, strict=True))
    plain = set(a["dilations"]) == {1} and not a["ceil_mode"]
    return short and plain and a["auto_pad"] == "NOTSET"


def _nothing_padded(step: Step) -> bool:
    """Whether no window of an AveragePool holds padding, which might count in its mean."""
    a = step.a.attributes
    bare = a["auto_pad"] in ("NOTSET", "VALID")
    return bare and not any(a["pads"]) and not a["ceil_mode"]


def _reduced(step: Step, r: Relation) -> Relation:
    """Over axes that hold no channels."""
    if r.axis is None:
        return r
    axes, rank = step.parameter("axes"), len(step.shape(0))
    listed = (axes,) if isinstance(axes, int) else axes
    _need(bool(listed), "all axes are reduced, or none")
    gone = {axis % rank for axis in listed}
    _need(r.axis not in gone, "the channels themselves are reduced")
    keeps = step.a.attributes["keepdims"]
    return r.along(r.axis - (0 if keeps else sum(axis < r.axis for axis in gone)))


def _weights_sum_to_one(step: Step) -> bool:
    """Whether a Resize takes means of elements everywhere: no weights cut off."""
    a = step.a.attributes
    return not a.get("exclude_outside") and not a.get("antialias")


def _resized(step: Step, r: Relation) -> Relation:
    """Along axes that hold no channels: a scale of 1 there, not only the same size."""
    crops = step.a.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    _need(not crops, "what it fills in beyond the borders is not moved")
    if r.axis is None:
        return r
    before, after = step.shape(0)[r.axis], step.result()[r.axis]
    _need(isinstance(before, int) and before == after, "the channels are resized")
    if step.a.op == "Upsample":
        scales = step.parameter("scales")
    else:
        scales = step.constants(2 if step.a.opset >= 11 else 1)[0]
    chosen = np.size(scales) if scales is not None else 0
    if chosen:
        _need(chosen > r.axis and np.ravel(scales)[r.axis] == 1.0, "the channels are resized")
    return r


def _joined(step: Step, places: range, *, positive: bool) -> Relation:
    """One relation on every operand, constants included, broadcast to the result's rank."""
    rank = len(step.result())
    relations = []
    for place in places:
        if not step.is_constant(place):
            found = step.relation(place)
            offset = rank - len(step.shape(place))
            relations.append(found if found.axis is None else found.along(found.axis + offset))
    first = relations[0] if relations else IDENTITY
    for other in relations[1:]:
        _need(_equal(first, other), "the operands have different relations")
    for place in places:
        if step.is_constant(place):
            step.constant_follows(place, first, rank)
    _need(first.is_positive or not positive, "a scale that is not positive turns the order round")
    return first


def _equal(x: Relation, y: Relation) -> bool:
    return (x.axis == y.axis or None in (x.axis, y.axis)) and all(
        p.shape == q.shape and np.allclose(p, q, rtol=1e-12, atol=0.0)
        for p, q in ((x.scale, y.scale), (x.shift, y.shift))
    )


def _extreme(step: Step) -> Relation:
    """Max and Min of operands that share one increasing map."""
    return _joined(step, range(len(step.a.inputs)), positive=True)


def _where(step: Step) -> Relation:
    """A choice between two operands that share one map."""
    _need(step.relation(0).is_identity, "another condition")
    return _joined(step, range(1, 3), positive=False)


def _clip(step: Step) -> Relation:
    """Bounds that are moved by the same increasing map."""
    relation = step.relation(0)
    _need(relation.is_positive, "a scale that is not positive turns the order round")
    low, high = step.original.parameter(step.a, "min"), step.original.parameter(step.a, "max")
    moved = step.candidate.parameter(step.b, "min"), step.candidate.parameter(step.b, "max")
    for bound, other in zip((low, high), moved, strict=True):
        if bound is None or other is None:
            _need(bound is other, "a bound on one side only")
        else:
            want = relation.scale * bound + relation.shift
            close = np.allclose(
                want, other, rtol=2.0 * step.candidate.unit(step.b.outputs[0]), atol=0.0
            )
            _need(close, "bounds that were not moved with the values")
    return relation


def _sum(step: Step) -> Relation:
    """One scale on all operands; the shifts add up."""
    rank = len(step.result())
    total = None
    for place in range(len(step.a.inputs)):
        found = step.relation(place)
        offset = rank - len(step.shape(place)) if not step.is_constant(place) else 0
        found = found if found.axis is None else found.along(found.axis + offset)
        if step.a.op == "Sub" and place == 1:
            found = Relation.of(found.axis, found.scale, -found.shift, found.magnitude)
        if total is None:
            total = found
            continue
        plain = [Relation.of(r.axis, r.scale) for r in (total, found)]
        _need(_equal(*plain), "the operands have different scales")
        total = compose(total, found.only_shift())
    assert total is not None
    return total


def _product(step: Step) -> Relation:
    """Scales multiply; a shift does not pass."""
    rank = len(step.result())
    scales = []
    for place in range(2):
        found = step.relation(place)
        _need(not found.has_shift, f"a shift does not pass {step.a.op}")
        offset = rank - len(step.shape(place)) if found.axis is not None else 0
        scales.append(found if found.axis is None else found.along(found.axis + offset))
    if step.a.op == "Div":
        scales[1] = Relation.of(scales[1].axis, 1.0 / scales[1].scale)
    return compose(*scales)


def _matmul(step: Step) -> Relation:
    """Of two computed values: rows and columns pass, what is summed over must cancel."""
    left, right = step.relation(0), step.relation(1)
    _need(not left.has_shift and not right.has_shift, "a shift does not pass MatMul")
    ranks = len(step.shape(0)), len(step.shape(1))
    _need(min(ranks) >= 2, "a product of vectors")
    rank = max(ranks)
    kept = Relation.of(None, 1.0)
    summed = np.ones(())
    for relation, own, contracted in ((left, ranks[0], 1), (right, ranks[1], 2)):
        back = None if relation.axis is None else own - relation.axis
        if back == contracted:
            summed = summed * relation.scale
        else:
            kept = compose(kept, relation.along(None if back is None else rank - back))
    first = summed.reshape(-1)[0]
    _need(np.allclose(summed, first, rtol=1e-12, atol=0.0), "what is summed over does not cancel")
    return compose(kept, Relation.of(None, first))


def _normalized(step: Step) -> Relation:
    """A normaliser's own scale and shift are a relation of what it computes."""
    relation, rank = step.relation(0), len(step.shape(0))
    op = step.a.op
    _need(bool(np.all(relation.scale == 1.0)), f"a scale does not pass {op}")
    if relation.has_shift:
        _need(op == "InstanceNormalization" and relation.axis in (None, 1), "a shift")
    for place in range(1, len(step.a.inputs)):
        _need(step.is_constant(place), f"a computed scale of {op}")
    (scale, other_scale), (shift, other_shift) = step.constants(1), step.constants(2)
    shift, other_shift = (np.zeros(()) if t is None else t for t in (shift, other_shift))
    same = np.array_equal(scale, other_scale) and np.array_equal(shift, other_shift)
    if same:
        return IDENTITY
    axis = rank - 1 if op in ("LayerNormalization", "RMSNormalization") else 1
    _need(np.ndim(scale) == 1 and np.shape(scale) == np.shape(other_scale), "several axes")
    if op in ("LayerNormalization", "RMSNormalization"):
        _need(step.a.attributes["axis"] % rank == axis, "several axes")
    _need(op != "GroupNormalization" or step.a.opset >= 21, "one number per group")
    _need(bool(np.all(scale)), "a scale of 0")
    ratio = other_scale / scale
    moved = other_shift - ratio * shift
    return Relation.of(axis, ratio, moved, np.abs(other_shift) + np.abs(ratio * shift))


def _gathered(step: Step) -> Relation:
    """Rows of a constant table, or elements along an axis."""
    _need(step.relation(1).is_identity, "other indices")
    rank = len(step.shape(0))
    axis = step.a.attributes["axis"] % rank
    indices = len(step.original.shape(step.a.inputs[1]))
    relation = _table(step, rank, axis) if step.is_constant(0) else step.relation(0)
    if relation.axis is None:
        return relation
    if relation.axis == axis:
        index = step.constants(1)[0]
        _need(index is not None and indices <= 1, "the channels are chosen at run time")
        return relation.take(np.asarray(index))
    return relation.along(relation.axis + (indices - 1 if relation.axis > axis else 0))


def _table(step: Step, rank: int, axis: int) -> Relation:
    """Two tables of one shape: row by row ``s·x + t`` along the last axis."""
    x, y = step.constants(0)
    _need(x is not None and y is not None and np.shape(x) == np.shape(y), "tables that differ")
    if np.array_equal(x, y):
        return IDENTITY
    _need(rank == 2 and axis == 0 and x.dtype.kind == "f", "tables that differ")
    low, high = x.argmin(axis=0), x.argmax(axis=0)
    columns = np.arange(x.shape[1])
    span = x[high, columns] - x[low, columns]
    rise = y[high, columns] - y[low, columns]
    with np.errstate(all="ignore"):
        scale = np.where(span > 0.0, rise / span, 1.0)
    scale = np.where(np.abs(scale - 1.0) < 1e-6, 1.0, scale)
    shift = y[high, columns] - scale * x[high, columns]
    size = np.abs(y[high, columns]) + np.abs(scale * x[high, columns])
    shift = np.where(np.abs(shift) <= 4e-7 * size, 0.0, shift)
    relation = Relation.of(1, scale, shift, size)
    step.constant_follows(0, relation, 2)
    return relation


def _concat(step: Step) -> Relation:
    """Side by side along the channels, or parts that share one relation."""
    rank = len(step.result())
    axis = step.a.attributes["axis"] % rank
    relations = [step.relation(place) for place in range(len(step.a.inputs))]
    if all(r.is_identity for r in relations):
        return IDENTITY
    if any(r.axis not in (None, axis) for r in relations):
        return _joined(step, range(len(relations)), positive=False)
    parts: list[list[Any]] = [[], [], []]
    for place, relation in enumerate(relations):
        size = step.shape(place)[axis]
        _need(isinstance(size, int), "a part whose size is not known")
        arrays = relation.scale, relation.shift, relation.magnitude
        for part, array in zip(parts, arrays, strict=True):
            part.append(np.broadcast_to(array, (size,)))
    return Relation.of(axis, *(np.concatenate(part) for part in parts))


def _padded(step: Step) -> Relation:
    """What is padded is moved with the values."""
    relation, rank = step.relation(0), len(step.shape(0))
    pads = step.parameter("pads")
    axes = step.parameter("axes")
    if relation.is_identity and axes is None:
        step.parameter("value")
        return relation
    listed = tuple(a % rank for a in axes) if axes is not None else tuple(range(rank))
    half = len(pads) // 2
    padded = {axis for i, axis in enumerate(listed) if pads[i] or pads[i + half]}
    _need(relation.axis not in padded, "the channels are padded")
    if step.a.attributes["mode"] == "constant":
        value = step.original.parameter(step.a, "value") or 0.0
        moved = step.candidate.parameter(step.b, "value") or 0.0
        close = np.allclose(
            relation.scale * value + relation.shift,
            moved,
            rtol=2.0 * step.candidate.unit(step.b.outputs[0]),
            atol=0.0,
        )
        _need(close, "padding that was not moved with the values")
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
    behind = before[r.axis :]
    if None not in behind and after[len(after) - len(behind) :] == behind:
        # The channels whole, and behind them as many elements, whatever the sizes before.
        return r.along(len(after) - len(behind))
    block = _count(before[r.axis + 1 :])
    for place, size in enumerate(after):
        if block is not None and size == r.scale.size and _count(after[place + 1 :]) == block:
            return r.along(place)
    head = 0
    while head < min(r.axis, len(after)) and before[head] == after[head] is not None:
        head += 1
    if head == r.axis and head < len(after) and before[head] == after[head] == r.scale.size:
        # The channels whole, and before them as many elements, whatever the sizes behind.
        return r
    tail = 0
    most = min(len(before) - r.axis - 1, len(after) - head)
    while tail < most and before[-1 - tail] == after[-1 - tail] is not None:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    sizes = [size for size in (*old, *new) if isinstance(size, int)]
    _need(len(sizes) == len(old) + len(new), "sizes that are not known")
    return _read_back(r, r.axis - head, sizes[: len(old)], sizes[len(old) :], head)


def _count(sizes: Shape) -> int | None:
    """How many elements sizes come to; ``None`` where one is not known."""
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _read_back(r: Relation, axis: int, old: list[int], new: list[int], head: int) -> Relation:
    _need(math.prod(old) == math.prod(new) <= 1 << 24, "a block of another or too large a size")
    written = [-1 if i == axis else 1 for i in range(len(old))]
    parts = [np.broadcast_to(p.reshape(written), old).reshape(new) for p in r.parts]
    varying = [
        i for i in range(len(new)) if any(np.any(p != np.take(p, [0], axis=i)) for p in parts)
    ]
    _need(len(varying) <= 1, "the channels are spread over several axes")
    index = tuple(slice(None) if i in varying else 0 for i in range(len(new)))
    return Relation.of(head + varying[0] if varying else None, *(p[index] for p in parts))


def _repeated(step: Step, r: Relation) -> Relation:
    """Expand and Tile: along axes that hold no channels."""
    if r.axis is None:
        return r
    before, after = step.shape(0), step.result()
    axis = r.axis + len(after) - len(before)
    _need(before[r.axis] == after[axis] == r.scale.size, "the channels are repeated")
    return r.along(axis)


def _sliced(step: Step, r: Relation) -> Relation:
    """Elements chosen along axes; the channels' numbers likewise."""
    if r.axis is None:
        return r
    starts, ends = step.parameter("starts"), step.parameter("ends")
    axes = step.parameter("axes") or tuple(range(len(starts)))
    steps = step.parameter("steps") or (1,) * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        if axis % len(step.shape(0)) == r.axis:
            _need(stride > 0, "the channels in reverse")
            r = r.take(slice(start, end, stride))
    return r


def _blocks(step: Step, r: Relation) -> Relation:
    """Channels to positions and back, in the order of the specification."""
    if r.axis is None:
        return r
    _need(r.axis == 1, "the numbers run along another axis than the channels")
    count = step.a.attributes["blocksize"] ** 2
    if step.a.op == "SpaceToDepth":
        return Relation.of(1, *(np.tile(p, count) for p in r.parts))
    column_first = step.a.attributes.get("mode") == "CRD"
    shape = (-1, count) if column_first else (count, -1)
    tables = [p.reshape(shape).T if column_first else p.reshape(shape) for p in r.parts]
    _need(all(np.all(t == t[0]) for t in tables), "the channels are spread over positions")
    return Relation.of(1, *(t[0] for t in tables))


def _dropout(step: Step) -> Relation:
    """The value itself, in inference mode and without the mask."""
    for graph, node in ((step.original, step.a), (step.candidate, step.b)):
        training = graph.parameter(node, "training_mode")
        _need(not training and node.opset >= 7, "Dropout in training mode")
        _need(sum(map(bool, node.outputs)) == 1, "Dropout with its mask")
    return step.relation(0)


def _split(step: Step) -> list[Relation]:
    """Each part has its channels' numbers."""
    r, parts = step.relation(0), len(step.a.outputs)
    sizes = step.parameter("split")
    if r.axis is None or r.axis != step.a.attributes["axis"] % len(step.shape(0)):
        return [r] * parts
    if sizes is None:
        _need(r.scale.size % parts == 0, "parts of different sizes")
        sizes = (r.scale.size // parts,) * parts
    _need(sum(sizes) == r.scale.size, "parts that are not the whole")
    ends = np.cumsum(sizes)
    return [r.take(slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _recurrent(step: Step) -> Relation:
    """The gates are linear in X: its weights and their bias may have taken what X lost."""
    if not step.is_constant(1):
        return identity(step)
    r, (w, v), (b, c) = step.relation(0), step.constants(1), step.constants(3)
    for place, name in enumerate(step.a.inputs):
        if name and place not in (0, 1, 3):
            _need(step.relation(place).is_identity, "another recurrence")
    _need(r.axis in (None, 2), "the numbers run along another axis than the features")
    _need(v is not None and np.shape(w) == np.shape(v), "other weights")
    step.close(1, w, v * r.scale, np.abs(w))
    if b is None or c is None:
        _need(b is c and not r.has_shift, "a shift without a bias that takes it")
        return IDENTITY
    _need(np.shape(b) == np.shape(c), "another bias")
    half = np.shape(b)[1] // 2
    moved = v * r.shift
    size = np.abs(b[:, :half]) + np.abs(moved).sum(axis=2)
    step.close(3, b[:, :half], c[:, :half] + moved.sum(axis=2), size)
    _need(np.array_equal(b[:, half:], c[:, half:]), "another recurrence")
    return IDENTITY


def _softmax(step: Step) -> Relation:
    """A shift that is the same for all that is normalised together vanishes."""
    r, rank = step.relation(0), len(step.shape(0))
    axis = step.a.attributes["axis"] % rank
    _need(bool(np.all(r.scale == 1.0)), "a scale does not pass Softmax")
    _need(r.axis != axis, "shifts that differ where it normalises")
    _need(not r.has_shift or step.a.opset >= 13 or axis == rank - 1, "a Softmax over several axes")
    return IDENTITY


def _each(ops: str, law: Law) -> dict[str, Law]:
    return dict.fromkeys(ops.split(), law)


LAWS: dict[str, Law] = {
    **_each("Relu LeakyRelu PRelu", Row("positive", False, _here)),
    **_each("Abs", Row("absolute", False, _here)),
    **_each("MaxPool", Row("positive", _windows_hold, _pooled)),
    **_each("GlobalMaxPool", Row("positive", True, _pooled)),
    **_each("AveragePool", Row("any", _nothing_padded, _pooled)),
    **_each("GlobalAveragePool", Row("any", True, _pooled)),
    **_each("LpPool GlobalLpPool", Row("absolute", False, _pooled)),
    **_each("ReduceMean", Row("any", True, _reduced)),
    **_each("ReduceSum", Row("any", False, _reduced)),
    **_each("ReduceL1 ReduceL2", Row("absolute", False, _reduced)),
    **_each("ReduceMax ReduceMin", Row("positive", True, _reduced)),
    **_each("Resize Upsample", Row("any", _weights_sum_to_one, _resized)),
    **_each("Transpose", Row("any", True, _transposed)),
    **dict.fromkeys(VIEWS, Row("any", True, _reshaped)),
    **_each("Expand Tile", Row("any", True, _repeated)),
    **_each("Slice", Row("any", True, _sliced)),
    **_each("DepthToSpace SpaceToDepth", Row("any", True, _blocks)),
    **_each("Dropout", _dropout),
    **_each("Split", _split),
    **_each("Concat", _concat),
    **_each("Gather", _gathered),
    **_each("Pad", _padded),
    **_each("Clip", _clip),
    **_each("Add Sub Sum", _sum),
    **_each("Mul Div", _product),
    **_each("Max Min", _extreme),
    **_each("Where", _where),
    **_each("MatMul", _matmul),
    **_each("Softmax", _softmax),
    **_each("RNN GRU LSTM", _recurrent),
    **_each(
        "LayerNormalization RMSNormalization InstanceNormalization GroupNormalization", _normalized
    ),
    **_each("Shape Size", _of_shape),
}
"""The ops through which more than equality passes. Any other has the law ``identity``."""
