"""The numbers inside a GELU in elementary ops, which ONNX Runtime makes one op of.

``0.5 · x · (1 + erf(x / √2))``, and ``0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`` as its
approximation (Hendrycks and Gimpel 2016). Each number is a scalar scale or shift like any other,
and moving one saves an op. But the runtime's fusions look for these very numbers, and save more.
"""

from __future__ import annotations

__all__ = ["gelu_numbers"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.readers import readers
from bnfuse.lifting.nodes import affine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

_HALF = 0.5
_CLOSE = 1e-6


def gelu_numbers(nodes: Iterable[ir.Node]) -> frozenset[ir.Node]:
    """The Affine nodes that are a number of some GELU among ``nodes``."""
    found: set[ir.Node] = set()
    for node in nodes:
        if node.op_type in ("Erf", "Tanh"):
            found.update(_numbers_around(node))
    return frozenset(found)


def _numbers_around(curve: ir.Node) -> list[ir.Node]:
    """The numbers of the GELU that an Erf or a Tanh is the curve of; none where it is another."""
    plus_one = _only_reader(curve)
    if plus_one is None or _uniform(plus_one) != (1.0, 1.0):
        return []
    product = _only_reader(plus_one)
    if product is None or product.op_type != "Mul":
        return []
    neighbours = [_only_reader(product), *(v.producer() for v in product.inputs if v is not None)]
    halves = [node for node in neighbours if _is_half(node)]
    inner = _producer(curve)
    arguments = [inner, *(v.producer() for v in _cubic_terms(inner))] if inner else []
    numbers = [plus_one, *halves, *arguments]
    return [node for node in numbers if halves and node is not None and affine_of(node) is not None]


def _cubic_terms(inner: ir.Node | None) -> list[ir.Value]:
    """``0.044715 · x³``, which is added to x inside a Tanh."""
    total = _producer(inner)
    if total is None or total.op_type != "Add":
        return []
    terms = [value for value in total.inputs if value is not None]
    return [value for value in terms if _is_cubic(_producer(value.producer()))]


def _is_cubic(node: ir.Node | None) -> bool:
    """Whether it may be ``x³``, as a power or as products."""
    return node is not None and node.op_type in ("Pow", "Mul")


def _is_half(node: ir.Node | None) -> bool:
    found = _uniform(node)
    return found is not None and abs(found[0] - _HALF) < _CLOSE and found[1] == 0.0


def _uniform(node: ir.Node | None) -> tuple[float, float] | None:
    """A uniform Affine's scale and shift."""
    lifted = affine_of(node)
    if lifted is None or lifted.affine.axis is not None:
        return None
    return float(np.asarray(lifted.affine.scale)), float(np.asarray(lifted.affine.shift))


def _only_reader(node: ir.Node | None) -> ir.Node | None:
    if node is None:
        return None
    uses = readers(node.outputs[0])
    return uses[0].node if len(uses) == 1 else None


def _producer(node: ir.Node | None) -> ir.Node | None:
    value = None if node is None else node.inputs[0]
    return None if value is None else value.producer()
