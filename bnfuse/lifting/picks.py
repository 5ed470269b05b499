"""Products with a matrix that takes each output from one input: a diagonal one is a scale."""

from __future__ import annotations

__all__ = ["Pick", "read_pick"]

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.linear import read_linear

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import Constant, ConstantEvaluator

_LARGEST = 1 << 20
"""Elements of a matrix that is looked at: those of a thousand channels."""


@dataclass(frozen=True, eq=False)
class Pick:
    """``y[…, j, …] = affine(x[…, entries[j], …])``.

    Attributes:
        x: The run-time factor.
        axis: The axis that the entries lie along, of ``x`` and of ``y``.
        entries: intp (C,), the entry of ``x`` that each of ``y`` is taken from.
        affine: What is made of them, along ``axis``.
    """

    x: ir.Value
    axis: int
    entries: NDArray[np.intp]
    affine: ChannelAffine

    @classmethod
    def of(
        cls, x: ir.Value, axis: int, weight: NDArray[np.float64], offset: NDArray[np.float64]
    ) -> Pick | None:
        """From a matrix (outputs, inputs) and a vector (outputs,); ``None`` if it mixes entries."""
        taken = weight != 0.0
        if taken.sum(axis=1).max() > 1:
            return None
        entries = np.argmax(taken, axis=1)
        scale = weight[np.arange(len(entries)), entries]
        return cls(x, axis, entries, ChannelAffine.of(axis, scale, offset))


def read_pick(node: ir.Node, constants: ConstantEvaluator) -> Pick | None:
    """The product that ``node`` is with such a matrix; ``None`` for any other node."""
    if node.op_type == "Einsum":
        return _read_einsum(node, constants)
    linear = read_linear(node, constants) if node.op_type in ("Gemm", "MatMul") else None
    if linear is None or linear.input_axis != linear.output_axis:
        return None
    x = node.inputs[1 if linear.constant_on_left else 0]
    if x is None or not _may_be_sparse(linear.weight.constant):
        return None
    return Pick.of(x, linear.input_axis, linear.exact_weight()[0, :, :, 0], linear.offset)


def _read_einsum(node: ir.Node, constants: ConstantEvaluator) -> Pick | None:
    """``einsum('nchw,cd->ndhw', x, matrix)``: along any axis."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    operands, arrow, result = equation.partition("->")
    terms = operands.split(",")
    if not arrow or len(terms) != 2 or "." in equation:
        return None
    values = list(node.inputs)
    for (x, names), (factor, letters) in (
        zip(values, terms, strict=True),
        zip(values[::-1], terms[::-1], strict=True),
    ):
        matrix = constants.constant(factor)
        taken = [letter for letter in letters if letter in names]
        if x is None or matrix is None or constants.is_constant(x) or len(letters) != 2:
            continue
        if len(taken) != 1 or len(set(names)) != len(names):
            continue
        made = letters.replace(taken[0], "")
        if result != names.replace(taken[0], made) or not _may_be_sparse(matrix):
            continue
        weight = matrix.array() if letters[0] == made else matrix.array().T
        return Pick.of(x, names.index(taken[0]), weight, np.zeros(len(weight)))
    return None


def _may_be_sparse(matrix: Constant) -> bool:
    """Whether a matrix is square and has one number beside zeros in its first row, as few have."""
    shape = matrix.shape[-2:]
    if len(shape) < 2 or shape[0] != shape[1] or math.prod(matrix.shape) != math.prod(shape):
        return False
    if math.prod(shape) > _LARGEST:
        return False
    return bool(np.count_nonzero(matrix.stored().reshape(shape)[0]) <= 1)
