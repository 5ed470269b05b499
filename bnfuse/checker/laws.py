"""The laws: what relation an op's result has when the same op is applied to related inputs.

Each law is given the two nodes (same op, same attributes) and answers with the relation of their
results, or raises :class:`NotProved` with the premise that does not hold. An op without a law
here has the law ``identity``: from equal inputs, equal results.
"""

from __future__ import annotations

__all__ = ["LAWS", "law_of"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnfuse.checker.channels import carried
from bnfuse.checker.nodes import PARAMETERS, VIEWS, need
from bnfuse.checker.relations import IDENTITY, Relation, compose, reshaped
from bnfuse.checker.step import Step
from bnfuse.checker.told import stretches

Law = Callable[[Step], "Relation | list[Relation]"]
Channels = Callable[[Step, Relation], "Relation | list[Relation]"]


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

    def __call__(self, step: Step) -> Relation | list[Relation]:
        """The relation of the results."""
        for place in range(1 + len(PARAMETERS.get(step.a.op, ())), len(step.a.inputs)):
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


def _pooled(_: Step, r: Relation) -> Relation:
    """Windows over the axes behind the channels, which are axis 1."""
    need(r.axis in (None, 1), "the numbers run along another axis than the channels")
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
    axes, rank = step.parameter("axes"), len(step.shape(0))
    listed = (axes,) if isinstance(axes, int) else axes
    need(listed or not step.a.attributes.get("noop_with_empty_axes"), "nothing is reduced")
    if r.axis is None:
        return r
    gone = {axis % rank for axis in listed or range(rank)}
    need(r.axis not in gone, "the channels themselves are reduced")
    keeps = step.a.attributes["keepdims"]
    return r.along(r.axis - (0 if keeps else sum(axis < r.axis for axis in gone)))


def _resized(step: Step, r: Relation) -> Relation:
    """Along axes that hold no channels: a scale of 1 there, not only the same size."""
    a = step.a.attributes
    crops = a.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    need(not crops, "what it fills in beyond the borders is not moved")
    if r.axis is None:
        return r
    need(stretches(a), "a Resize of chosen axes, or that keeps the ratio of sizes")
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
    step.relation(0)
    return _joined(step, 1)


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
    (scale, other_scale), (shift, other_shift) = step.constants(1), step.constants(2)
    shift, other_shift = (np.zeros(()) if t is None else t for t in (shift, other_shift))
    if np.array_equal(scale, other_scale) and np.array_equal(shift, other_shift):
        return IDENTITY
    axis = len(step.shape(0)) - 1 if op in ("LayerNormalization", "RMSNormalization") else 1
    with np.errstate(all="ignore"):
        ratio = other_scale / scale
    moved = other_shift - ratio * shift
    return Relation.of(axis, ratio, moved, np.abs(other_shift) + np.abs(ratio * shift))


def _gathered(step: Step) -> Relation | list[Relation]:
    """Elements along an axis, or rows of a constant table that are related as it is claimed."""
    step.relation(1)
    if not step.is_constant(0):
        return carried(step, step.relation(0))
    need(step.claim.order is None, "a claim that the axes are in another order")
    step.follows(0, step.claim, len(step.shape(0)))
    return carried(step, step.claim)


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
        step.moved("value", relation)
    return relation


def _reshaped(step: Step, r: Relation) -> Relation:
    """Row-major order is kept."""
    return reshaped(r, step.shape(0), step.result())


def _of_shape(step: Step) -> Relation:
    """The shape of a value depends on no number in it."""
    step.relation(0)
    return IDENTITY


def _recurrent(step: Step) -> Relation:
    """The gates are linear in X: its weights and their bias may have taken what X lost."""
    bias = step.a.inputs[3] if len(step.a.inputs) > 3 else ""
    if not step.is_constant(1) or (bias and not step.is_constant(3)):
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
        "Transpose Expand Tile Slice Split DepthToSpace SpaceToDepth": Row("any", True, carried),
        " ".join(VIEWS): Row("any", True, _reshaped),
        "Concat": _concat,
        "Gather": _gathered,
        "Pad": _padded,
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
