"""From nodes to linear forms: which ops are linear in their one computed input, and how.

Formulas are those of the ONNX operator specification.
"""

from __future__ import annotations

__all__ = ["LINEAR", "Expanded", "expand"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.checker.forms import IDENTITY, Form, Map, NotLinear, Relation, apply
from bnfuse.checker.graph import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_DEPTH = 200
"""Nodes that one form may be composed of."""


@dataclass(eq=False)
class Expanded:
    """A value written as a linear form.

    Attributes:
        form: The form.
        unit: The largest rounding unit of the types of the constants in it.
        reach: Of each value that the form is of, the smallest and the largest factor that it has
            anywhere on the way.
        top: The largest constant anywhere on the way.
        constants: The names of the constants in it.
    """

    form: Form
    unit: float
    reach: dict[str, tuple[float, float]]
    top: float
    constants: tuple[str, ...]


def expand(graph: Graph, value: str, stops: Collection[str]) -> Expanded:
    """Write a value as a linear form of the values in ``stops``.

    Raises:
        NotLinear: An op on the way is not linear in what it computes from.
        NotProved: What the op is, cannot be told.
    """
    return _Expansion(graph, stops).run(value)


class _Expansion:
    def __init__(self, graph: Graph, stops: Collection[str]) -> None:
        self.graph = graph
        self._stops = stops
        self._forms: dict[str, Form] = {}
        self._unit = 2.0**-53
        self._reach: dict[str, tuple[float, float]] = {}
        self._top = 0.0
        self._constants: dict[str, None] = {}

    def run(self, value: str) -> Expanded:
        stack = [value]
        while stack:
            name = stack.pop()
            if name in self._forms:
                continue
            if name in self._stops:
                self._forms[name] = form = Form.value(name)
                self._measure(form)
                continue
            node = self._node(name)
            needed = [i for i in self._computed(node) if i not in self._forms]
            if needed:
                if len(self._forms) + len(stack) > _DEPTH:
                    raise NotLinear("the form is composed of too many nodes")
                stack += [name, *needed]
            else:
                self._forms[name] = form = LINEAR[node.op](self, node)
                self._measure(form)
        constants = tuple(self._constants)
        return Expanded(self._forms[value], self._unit, self._reach, self._top, constants)

    def _measure(self, form: Form) -> None:
        self._top = max(self._top, float(np.max(form.constant.magnitude, initial=0.0)))
        for name, m in form.maps.items():
            rows = np.abs(m.coefficients)
            if rows.ndim > 1:
                # Of a matrix or a kernel, what each channel gets.
                out = rows.ndim - 1 if m.kind == "matrix" else int(m.kind == "deconv")
                rows = rows.max(axis=tuple(i for i in range(rows.ndim) if i != out), initial=0.0)
            rows = rows[rows > 0.0]
            if rows.size:
                low, high = self._reach.get(name, (np.inf, 0.0))
                self._reach[name] = min(low, float(rows.min())), max(high, float(rows.max()))

    def _node(self, name: str) -> Node:
        if name not in self.graph.producers:
            raise NotLinear(f"{name!r} is fed from outside")
        node, place = self.graph.producers[name]
        if node.op not in LINEAR or place != 0:
            raise NotLinear(f"{node.op} is not linear")
        return node

    def _computed(self, node: Node) -> list[str]:
        """The inputs that are no constants; those of data first in every linear op."""
        places = range(1 if node.op in _BY_PARAMETERS else len(node.inputs))
        return [node.inputs[i] for i in places if node.inputs[i] and self.operand(node, i) is None]

    def number(self, name: str) -> np.ndarray | None:
        """A constant's numbers."""
        return None if name in self._stops else self.graph.constant(name)

    def operand(self, node: Node, place: int) -> str | None:
        """The constant that an operand broadcasts; ``None`` where it is computed.

        A constant that is first expanded to the shape of the other operand is that constant.
        """
        name = node.inputs[place]
        if self.number(name) is not None:
            return name
        made, _ = self.graph.producers.get(name, (None, 0))
        if made is None or made.op != "Expand" or len(node.inputs) != 2 or name in self._stops:
            return None
        sizes, _ = self.graph.producers.get(made.inputs[1], (None, 0))
        if sizes is None or sizes.op != "Shape":
            return None
        shapes = [self.graph.shape(i) for i in (sizes.inputs[0], node.inputs[1 - place])]
        if sizes.inputs[0] != node.inputs[1 - place] and (
            None in shapes[0] or shapes[0] != shapes[1]
        ):
            return None
        whole = not sizes.attributes.get("start") and sizes.attributes.get("end") is None
        return made.inputs[0] if whole and self.number(made.inputs[0]) is not None else None

    def form(self, name: str) -> Form:
        """The form of an input that was expanded before."""
        return self._forms[name]

    def total(self, names: Sequence[str], signs: Sequence[float]) -> Form:
        """A sum of computed operands.

        Operands that broadcast against each other are no matter to a sum, and they are to a
        linear map behind it. Branches of one value have the same size if they have a common form.
        """
        shapes = [self.graph.shape(name) for name in names]
        if len({len(shape) for shape in shapes}) > 1:
            raise NotLinear("a sum of values of different rank")
        total = self._forms[names[0]].after(Relation.of(None, signs[0]))
        for name, sign in zip(names[1:], signs[1:], strict=True):
            total = total + self._forms[name].after(Relation.of(None, sign))
        same = None not in shapes[0] and all(shape == shapes[0] for shape in shapes)
        return replace(total, spread=total.spread or (len(total.maps) > 1 and not same))

    def weight(self, node: Node, place: int) -> np.ndarray | None:
        """A constant float input, its rounding unit counted; ``None`` where it is left out."""
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        return self._counted(node.inputs[place], f"input {place} of {node.op}")

    def _counted(self, name: str, what: str) -> np.ndarray:
        numbers = self.number(name)
        if numbers is None:
            raise NotLinear(f"{what} is computed at run time")
        self._unit = max(self._unit, self.graph.unit(name))
        self._constants[name] = None
        return numbers

    def relation(self, node: Node, place: int, other: int) -> Relation:
        """A constant operand as one number per channel of the other operand.

        Raises:
            NotLinear: It varies over several axes, or makes the other operand larger.
        """
        numbers = self._counted(self.operand(node, place) or "", "an operand")
        shape = self.graph.shape(node.inputs[other])
        if numbers.ndim > len(shape):
            raise NotLinear("a constant of more axes than the value")
        along = [axis for axis, size in enumerate(numbers.shape) if size != 1]
        if len(along) > 1:
            raise NotLinear("a constant that varies along several axes")
        if not along:
            return Relation.of(None, numbers.reshape(()))
        axis = along[0] + len(shape) - numbers.ndim
        if shape[axis] != numbers.size:
            raise NotLinear("a constant that is not one number per channel")
        return Relation.of(axis, numbers.reshape(-1)) if numbers.size else IDENTITY


def _operands(e: _Expansion, node: Node) -> tuple[int, int] | None:
    """The places of a constant and of a computed operand; ``None`` if both are computed."""
    x, y = (e.operand(node, place) is not None for place in range(2))
    if x and y:
        raise NotLinear("a constant")
    return None if not (x or y) else ((0, 1) if x else (1, 0))


def _sum(e: _Expansion, node: Node) -> Form:
    sign = -1.0 if node.op == "Sub" else 1.0
    places = _operands(e, node)
    if places is None:
        return e.total(node.inputs, (1.0, sign))
    constant, computed = places
    c = e.relation(node, constant, computed)
    factor = sign if computed == 1 else 1.0
    shift = c.scale if constant == 0 else sign * c.scale
    return e.form(node.inputs[computed]).after(
        Relation.of(c.axis, np.full_like(shift, factor), shift)
    )


def _total(e: _Expansion, node: Node) -> Form:
    if any(e.number(i) is not None for i in node.inputs):
        raise NotLinear("Sum with a constant")
    return e.total(node.inputs, (1.0,) * len(node.inputs))


def _product(e: _Expansion, node: Node) -> Form:
    places = _operands(e, node)
    if places is None:
        raise NotLinear("a product of two computed values")
    constant, computed = places
    c = e.relation(node, constant, computed)
    if node.op == "Div":
        if computed == 1:
            raise NotLinear("a constant over a computed value")
        if not np.all(c.scale):
            raise NotLinear("a division by zero")
        c = Relation.of(c.axis, 1.0 / c.scale)
    return e.form(node.inputs[computed]).after(c)


def _negative(e: _Expansion, node: Node) -> Form:
    return e.form(node.inputs[0]).after(Relation.of(None, -1.0))


def _same(e: _Expansion, node: Node) -> Form:
    if node.op == "Dropout":
        if e.graph.parameter(node, "training_mode") or len(node.outputs) > 1:
            raise NotLinear("Dropout in training mode, or with its mask")
        if node.opset < 7 and not node.attributes.get("is_test"):
            raise NotLinear("Dropout in training mode")
    return e.form(node.inputs[0])


def _batch_norm(e: _Expansion, node: Node) -> Form:
    if node.attributes.get("training_mode") or len(node.outputs) > 1 or node.opset < 7:
        raise NotLinear("BatchNormalization in training mode")
    if len(e.graph.shape(node.inputs[0])) < 2:
        raise NotLinear("BatchNormalization of a value of one axis")
    gamma, beta, mean, variance = (e.weight(node, place) for place in range(1, 5))
    if gamma is None or beta is None or mean is None or variance is None:
        raise NotLinear("a BatchNormalization without its statistics")
    scale = gamma / np.sqrt(variance + node.attributes["epsilon"])
    shift, size = beta - mean * scale, np.abs(beta) + np.abs(mean * scale)
    return e.form(node.inputs[0]).after(Relation.of(1, scale, shift, size))


def _conv(e: _Expansion, node: Node) -> Form:
    weight = e.weight(node, 1)
    assert weight is not None
    rank = weight.ndim - 2
    a = node.attributes
    pads = a["pads"] or (0,) * 2 * rank
    if a["auto_pad"] not in ("NOTSET", "VALID"):
        raise NotLinear("a Conv whose padding depends on its input's size")
    if a["auto_pad"] == "VALID":
        pads = (0,) * 2 * rank
    ones = (1,) * rank
    common = (a["group"], tuple(a["strides"] or ones), tuple(a["dilations"] or ones))
    geometry: tuple[Any, ...] = (*common, tuple(pads[:rank]), tuple(pads[rank:]))
    kind = "conv"
    if node.op == "ConvTranspose":
        if a["output_shape"]:
            raise NotLinear("a ConvTranspose with a given output shape")
        kind, geometry = "deconv", (*geometry, tuple(a["output_padding"] or (0,) * rank))
    bias = e.weight(node, 2)
    second = Map(kind, 1, weight, weight, geometry)
    return apply(second, _bias(1, bias), e.form(node.inputs[0]))


def _bias(axis: int, bias: np.ndarray | None) -> Relation:
    return IDENTITY if bias is None else Relation.of(axis, 1.0, bias)


def _gemm(e: _Expansion, node: Node) -> Form:
    weight, bias = e.weight(node, 1), e.weight(node, 2)
    assert weight is not None
    a = node.attributes
    if a["transA"]:
        raise NotLinear("a Gemm of a transposed value")
    weight = a["alpha"] * (weight.T if a["transB"] else weight)
    if bias is not None:
        if bias.size not in (1, weight.shape[1]) or (bias.ndim and bias.shape[-1] != bias.size):
            raise NotLinear("a Gemm whose C is no bias")
        bias = a["beta"] * np.broadcast_to(bias.reshape(-1), weight.shape[1:])
    return apply(Map("matrix", 1, weight, weight), _bias(1, bias), e.form(node.inputs[0]))


def _matmul(e: _Expansion, node: Node) -> Form:
    places = _operands(e, node)
    if places is None:
        raise NotLinear("a product of two computed values")
    constant, computed = places
    weight = e.weight(node, constant)
    rank = len(e.graph.shape(node.inputs[computed]))
    if weight is None or weight.ndim != 2 or rank < 2:
        raise NotLinear("a MatMul whose constant is no matrix")
    axis = rank - 1 if constant == 1 else rank - 2
    weight = weight if constant == 1 else weight.T
    return apply(Map("matrix", axis, weight, weight), IDENTITY, e.form(node.inputs[computed]))


def _average(e: _Expansion, node: Node) -> Form:
    """An AveragePool whose windows all hold the same number of elements, as a depthwise Conv."""
    a = node.attributes
    kernel = tuple(a["kernel_shape"])
    rank = len(kernel)
    pads = tuple(a["pads"] or (0,) * 2 * rank)
    channels = e.graph.shape(node.inputs[0])[1]
    if a["auto_pad"] != "NOTSET" or a["ceil_mode"] or set(a["dilations"]) != {1}:
        raise NotLinear("an AveragePool whose windows depend on its input's size")
    if (any(pads) and not a["count_include_pad"]) or not isinstance(channels, int):
        raise NotLinear("an AveragePool whose windows differ at the border")
    ones = (1,) * rank
    geometry = (channels, tuple(a["strides"] or ones), ones, pads[:rank], pads[rank:])
    weight = np.full((channels, 1, *kernel), 1.0 / np.prod(kernel))
    return apply(Map("conv", 1, weight, weight, geometry), IDENTITY, e.form(node.inputs[0]))


def _pad(e: _Expansion, node: Node) -> Form:
    """A Pad of the spatial axes with zeros, as a depthwise Conv of one tap."""
    pads, value = e.graph.parameter(node, "pads"), e.graph.parameter(node, "value")
    shape = e.graph.shape(node.inputs[0])
    rank = len(shape)
    if node.attributes["mode"] != "constant" or value:
        raise NotLinear("a Pad with more than zeros")
    if e.graph.parameter(node, "axes") is not None or rank < 3 or len(pads) != 2 * rank:
        raise NotLinear("a Pad of chosen axes")
    begins, ends = tuple(pads[:rank]), tuple(pads[rank:])
    channels = shape[1]
    if any((*begins[:2], *ends[:2])) or min(pads) < 0 or not isinstance(channels, int):
        raise NotLinear("a Pad of the channels")
    ones = (1,) * (rank - 2)
    weight = np.ones((channels, 1, *ones))
    geometry = (channels, ones, ones, begins[2:], ends[2:])
    return apply(Map("conv", 1, weight, weight, geometry), IDENTITY, e.form(node.inputs[0]))


_BY_PARAMETERS = {"Dropout", "Pad"}

LINEAR: dict[str, Callable[[_Expansion, Node], Form]] = {
    "Add": _sum,
    "AveragePool": _average,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Div": _product,
    "Dropout": _same,
    "Gemm": _gemm,
    "Identity": _same,
    "MatMul": _matmul,
    "Mul": _product,
    "Neg": _negative,
    "Pad": _pad,
    "Sub": _sum,
    "Sum": _total,
}
"""The ops that are linear in what they compute from, their weights being constants."""
