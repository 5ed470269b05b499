"""Values of which one is the other with its axes in another order, and the ops that keep that.

``b = Transpose(a, perm)``: axis ``i`` of ``b`` is axis ``perm[i]`` of ``a``.
"""

from __future__ import annotations

__all__ = ["TURNED", "Perm", "inverse", "then"]

from collections.abc import Callable
from typing import Any

import numpy as np

from bnfuse.checker.graph import need
from bnfuse.checker.laws import Step

Perm = tuple[int, ...]
Law = Callable[[Step, Perm], Perm]


def then(first: Perm, second: Perm) -> Perm:
    """Both, one after the other."""
    return tuple(first[i] for i in second)


def inverse(perm: Perm) -> Perm:
    """What undoes it."""
    return tuple(int(i) for i in np.argsort(perm))


def _same_attributes(step: Step, *but: str) -> None:
    for name in {*step.a.attributes, *step.b.attributes} - set(but):
        x, y = (node.attributes.get(name) for node in (step.a, step.b))
        need(x == y, f"{name} of {step.a.op} differs")


def _elementwise(step: Step, perm: Perm) -> Perm:
    """Element by element; constants are turned with the values."""
    _same_attributes(step)
    rank = len(perm)
    for place in range(len(step.a.inputs)):
        if not step.is_constant(place):
            need(len(step.shape(place)) == rank, "operands of different ranks")
            continue
        x, y = step.constants(place)
        need(y is not None and max(x.ndim, y.ndim) <= rank, "another constant")
        x, y = (c.reshape((1,) * (rank - c.ndim) + c.shape) for c in (x, y))
        same = np.array_equal(np.transpose(x, perm), y) and x.dtype == y.dtype
        need(same, "a constant that was not turned with the values")
    return perm


def _along(step: Step, perm: Perm) -> Perm:
    """Along one axis, which is turned with the values."""
    _same_attributes(step, "axis")
    need(step.a.opset == step.b.opset >= 13, "another meaning of the axis")
    x, y = (node.attributes["axis"] % len(perm) for node in (step.a, step.b))
    need(perm[y] == x, "another axis")
    ranks = {len(step.shape(place)) for place in range(len(step.a.inputs))}
    need(ranks == {len(perm)}, "operands of different ranks")
    return perm


def _reduced(step: Step, perm: Perm) -> Perm:
    """Over axes, which are turned with the values."""
    _same_attributes(step, "axes")
    sides = (step.original, step.a), (step.candidate, step.b)
    axes: list[Any] = [graph.parameter(node, "axes") for graph, node in sides]
    need(all(isinstance(each, tuple) and each for each in axes), "all axes, or none")
    gone, other = ({axis % len(perm) for axis in each} for each in axes)
    need({perm[axis] for axis in other} == gone, "other axes")
    if step.a.attributes["keepdims"]:
        return perm
    kept = [axis for i, axis in enumerate(perm) if i not in other]
    return tuple(sorted(kept).index(axis) for axis in kept)


def _clipped(step: Step, perm: Perm) -> Perm:
    """Between the same two numbers."""
    for name in ("min", "max"):
        step.parameter(name)
    return perm


TURNED: dict[str, Law] = {
    op: law
    for ops, law in {
        "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Not "
        "Reciprocal Relu Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tanh ThresholdedRelu Cast "
        "Gelu Celu Round Add Sub Mul Div Pow Max Min Sum Where Equal Less Greater And Or "
        "PRelu": _elementwise,
        "Clip": _clipped,
        "Softmax LogSoftmax Concat": _along,
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceProd": _reduced,
    }.items()
    for op in ops.split()
}
"""The ops that make turned results of turned values. All others take values as they are."""
