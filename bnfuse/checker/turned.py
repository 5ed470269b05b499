"""Values of which one is the other with its axes in another order, and the ops that keep that.

``b = Transpose(a, perm)``: axis ``i`` of ``b`` is axis ``perm[i]`` of ``a``.
"""

from __future__ import annotations

__all__ = ["TURNED", "Perm", "inverse", "then"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.checker.graph import NotProved

if TYPE_CHECKING:
    from bnfuse.checker.laws import Step

Perm = tuple[int, ...]
Law = Callable[["Step", Perm], Perm]


def then(first: Perm, second: Perm) -> Perm:
    """Both, one after the other."""
    return tuple(first[i] for i in second)


def inverse(perm: Perm) -> Perm:
    """What undoes it."""
    return tuple(int(i) for i in np.argsort(perm))


def _need(premise: bool, reason: str) -> None:
    if not premise:
        raise NotProved(reason)


def _constants_turn(step: Step, perm: Perm) -> None:
    """Demand that constant operands are turned with the values."""
    for place in range(len(step.a.inputs)):
        if not step.is_constant(place):
            _need(len(step.shape(place)) == len(perm), "operands of different ranks")
            continue
        x, y = step.constants(place)
        _need(y is not None and max(x.ndim, y.ndim) <= len(perm), "another constant")
        whole = [c.reshape((1,) * (len(perm) - c.ndim) + c.shape) for c in (x, y)]
        same = np.array_equal(np.transpose(whole[0], perm), whole[1])
        _need(same and x.dtype == y.dtype, "a constant that was not turned with the values")


def _elementwise(step: Step, perm: Perm) -> Perm:
    """Element by element."""
    _same_attributes(step)
    _constants_turn(step, perm)
    return perm


def _same_attributes(step: Step, *but: str) -> None:
    names = {*step.a.attributes, *step.b.attributes} - set(but)
    for name in names:
        x, y = (node.attributes.get(name) for node in (step.a, step.b))
        _need(x == y, f"{name} of {step.a.op} differs")


def _along(step: Step, perm: Perm) -> Perm:
    """Along one axis, which is turned with the values."""
    _same_attributes(step, "axis")
    _need(step.a.opset == step.b.opset >= 13, "another meaning of the axis")
    rank = len(perm)
    x, y = (node.attributes["axis"] for node in (step.a, step.b))
    _need(perm[y % rank] == x % rank, "another axis")
    for place in range(len(step.a.inputs)):
        _need(len(step.shape(place)) == rank, "operands of different ranks")
    return perm


def _reduced(step: Step, perm: Perm) -> Perm:
    """Over axes, which are turned with the values."""
    _same_attributes(step, "axes")
    axes: list[Any] = [
        step.original.parameter(step.a, "axes"),
        step.candidate.parameter(step.b, "axes"),
    ]
    _need(all(isinstance(each, tuple) and each for each in axes), "all axes, or none")
    rank = len(perm)
    gone, other = ({axis % rank for axis in each} for each in axes)
    _need({perm[axis] for axis in other} == gone, "other axes")
    if step.a.attributes["keepdims"]:
        return perm
    kept = [axis for i, axis in enumerate(perm) if i not in other]
    return tuple(sorted(kept).index(axis) for axis in kept)


def _clipped(step: Step, perm: Perm) -> Perm:
    """Between the same two numbers."""
    for name in ("min", "max"):
        step.parameter(name)
    return perm


def _each(ops: str, law: Law) -> dict[str, Law]:
    return dict.fromkeys(ops.split(), law)


TURNED: dict[str, Law] = {
    **_each("Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity", _elementwise),
    **_each("LeakyRelu Log Mish Neg Not Reciprocal Relu Selu Sigmoid Sign Sin", _elementwise),
    **_each("Softplus Softsign Sqrt Tanh ThresholdedRelu Cast Gelu Celu Round", _elementwise),
    **_each("Add Sub Mul Div Pow Max Min Sum Where Equal Less Greater And Or PRelu", _elementwise),
    **_each("Clip", _clipped),
    **_each("Softmax LogSoftmax Concat", _along),
    **_each("ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceProd", _reduced),
}
"""The ops that make turned results of turned values. All others take values as they are."""
