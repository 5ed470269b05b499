"""Values of which one is the other with its axes in another order, and the ops that keep that.

``b = Transpose(a, perm)``: axis ``i`` of ``b`` is axis ``perm[i]`` of ``a``.
"""

from __future__ import annotations

__all__ = ["TURNED", "turned"]

import numpy as np

from bnfuse.checker.nodes import PARAMETERS, need, words
from bnfuse.checker.step import Step

_ALONG = words("Concat LogSoftmax Softmax")

TURNED = {
    *_ALONG,
    *words(
        "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Log Mish Neg Not "
        "Reciprocal Relu Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tanh ThresholdedRelu Cast "
        "Gelu Celu Round Add Sub Mul Div Pow Max Min Sum Where Equal Less Greater And Or PRelu "
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceProd"
    ),
}
"""The ops that make turned results of turned values: element by element, along one axis, or over
axes. All others take values as they are."""


def turned(step: Step, perm: tuple[int, ...]) -> tuple[int, ...]:
    """How the results are turned, where all that is computed is turned in one way.

    Axes and constants are turned with the values; all other attributes are the same.
    """
    a, b, rank = step.a, step.b, len(perm)
    need(a.op in TURNED, f"no law turns {a.op}")
    for name in {*a.attributes, *b.attributes} - {"axis", "axes"}:
        need(a.attributes.get(name) == b.attributes.get(name), f"{name} of {a.op} differs")
    for place in range(1 if a.op in PARAMETERS else len(a.inputs)):
        if not step.is_constant(place):
            need(len(step.shape(place)) == rank, "operands of different ranks")
            continue
        x, y = step.constants(place)
        need(y is not None and max(x.ndim, y.ndim) <= rank, "another constant")
        x, y = (c.reshape((1,) * (rank - c.ndim) + c.shape) for c in (x, y))
        same = np.array_equal(np.transpose(x, perm), y) and x.dtype == y.dtype
        need(same, "a constant that was not turned with the values")
    if a.op not in (*_ALONG, *PARAMETERS):
        return perm
    alone = a.op in _ALONG
    need(not alone or a.opset == b.opset >= 13, "another meaning of the axis")
    sides = (step.original, a), (step.candidate, b)
    axes = [graph.parameter(node, "axis" if alone else "axes") for graph, node in sides]
    need(alone or all(isinstance(each, tuple) and each for each in axes), "all axes, or none")
    gone, other = ({int(axis) % rank for axis in np.ravel(each)} for each in axes)
    need({perm[axis] for axis in other} == gone, "another axis")
    if alone or a.attributes["keepdims"]:
        return perm
    kept = [axis for i, axis in enumerate(perm) if i not in other]
    return tuple(sorted(kept).index(axis) for axis in kept)
