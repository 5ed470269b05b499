"""From nodes to linear forms: which ops are linear in their one computed input, and how.

Formulas are those of the ONNX operator specification.
"""

from __future__ import annotations

__all__ = ["LINEAR", "Expanded", "expand"]

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.checker.forms import Form
from bnfuse.checker.graph import Graph
from bnfuse.checker.maps import Map
from bnfuse.checker.moving import MOVES, moved, operands
from bnfuse.checker.nodes import PARAMETERS, VIEWS, Node, NotProved, need, words
from bnfuse.checker.relations import IDENTITY, Relation
from bnfuse.checker.sizes import Shape, product

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_DEPTH = 1 << 13
"""Nodes that one form may be composed of."""

_BINARY = words("Add Sub Mul Div MatMul")

_MOVED = 1 << 24
"""Coefficients of all that is moved on the way: of loops over 2,048 channels, a few for each."""


@dataclass(eq=False)
class Expanded:
    """A value written as a linear form.

    Attributes:
        graph: Where the value is.
        value: Its name.
        stops: The values that the form is of.
        is_candidate: Whether it must take what the other model takes.
        forms: Of every value on the way.
        unit: The largest rounding unit of the types of the constants in it.
        reach: Of each value that the form is of, the smallest and the largest factor that it has
            anywhere on the way.
        top: The largest constant anywhere on the way.
        constants: The names of the constants in it.
        moved: The coefficients of all values whose elements were moved.
    """

    graph: Graph
    value: str
    stops: Collection[str]
    is_candidate: bool = False
    forms: dict[str, Form] = field(default_factory=dict)
    unit: float = 2.0**-53
    reach: dict[str, tuple[float, float]] = field(default_factory=dict)
    top: float = 0.0
    constants: dict[str, None] = field(default_factory=dict)
    moved: int = 0

    @property
    def form(self) -> Form:
        """Of the value."""
        return self.forms[self.value]

    def run(self) -> None:
        """Write the value, and what it is computed from."""
        stack = [self.value]
        while stack:
            name = stack.pop()
            if name in self.forms:
                continue
            if name in self.stops:
                self._reached(name, Form.value(name))
                continue
            node, place = self.graph.made(name)
            need(node.op in LINEAR, f"{node.op} is not linear")
            needed = [i for i in self.sources(node) if i not in self.forms]
            if needed:
                need(len(self.forms) + len(stack) <= _DEPTH, "a form of too many nodes")
                stack += [name, *needed]
            else:
                found = LINEAR[node.op](self, node)
                made = found if isinstance(found, list) else [found]
                need(place < len(made), f"{node.op} is not linear")
                for output, form in zip(node.outputs, made, strict=False):
                    if output and output not in self.stops:
                        self._reached(output, form)

    def _reached(self, value: str, form: Form) -> None:
        self.forms[value] = form
        self.top = max(self.top, float(np.max(form.constant.magnitude, initial=0.0)))
        for name, m in form.maps.items():
            low, high = self.reach.get(name, (np.inf, 0.0))
            low = min(low, float(m.peaks.min(initial=np.inf, where=m.peaks > 0.0)))
            self.reach[name] = low, max(high, float(m.peaks.max(initial=0.0)))

    def sources(self, node: Node) -> list[str]:
        """The inputs that are no constants."""
        data = 1 if node.op in PARAMETERS else len(node.inputs)
        places = operands(node) if node.op in MOVES else range(data)
        return [i for p in places if (i := node.inputs[p]) and self.operand(node, p) is None]

    def is_constant(self, name: str) -> bool:
        """Whether a value is a constant, and none of what the form is of."""
        return name not in self.stops and self.graph.is_constant(name)

    def operand(self, node: Node, place: int) -> str | None:
        """The constant that an operand broadcasts; ``None`` where it is computed.

        A constant that is first expanded to the shape of the other operand is that constant, and so
        is a matrix that is repeated for each of the other operand's.
        """
        name = node.inputs[place]
        if self.is_constant(name):
            return name
        made, _ = self.graph.producers.get(name, (None, 0))
        expanded = made is not None and made.op == "Expand" and node.op in _BINARY
        if made is None or not expanded or name in self.stops:
            return None
        whole, shape, other = map(self.graph.shape, (name, made.inputs[0], node.inputs[1 - place]))
        ends = -2 if node.op == "MatMul" else None
        same = whole[:ends] == other[:ends] and None not in whole
        same = same and (ends is None or shape == whole[ends:])
        return made.inputs[0] if same and self.is_constant(made.inputs[0]) else None

    def computed(self, node: Node) -> Form:
        """The form of the first input, which was expanded before."""
        need(node.inputs[0] in self.forms, "a constant")
        return self.forms[node.inputs[0]]

    def weight(self, node: Node, place: int) -> Any:
        """A constant float input, its rounding unit counted; ``None`` where it is left out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        return self.counted(name) if name else None

    def counted(self, name: str | None) -> np.ndarray:
        """The numbers of a constant float value, its rounding unit counted."""
        numbers = self.graph.constant(name) if name and name not in self.stops else None
        if numbers is None or name is None:
            raise NotProved("what should be a constant is computed at run time")
        self.unit = max(self.unit, self.graph.unit(name))
        self.constants[name] = None
        return numbers

    def split(self, node: Node) -> tuple[int, Relation, Form] | None:
        """Two operands, of which one is a constant; ``None`` if both are computed.

        Returns:
            The constant's place, its number per channel of the other, and the other.

        A constant that varies over several axes, or makes the other operand larger, is refused.
        """
        names = [self.operand(node, place) for place in range(2)]
        if names == [None, None]:
            return None
        need(None in names, "a constant")
        place = names.index(None) ^ 1
        other = node.inputs[1 - place]
        return place, self.per_channel(names[place], self.graph.shape(other)), self.forms[other]

    def per_channel(self, name: str | None, shape: Shape) -> Relation:
        """The scales that a constant is to a value of such a shape, along one of its axes."""
        numbers = self.counted(name)
        whole = numbers.shape == shape[len(shape) - numbers.ndim :]
        if whole and numbers.size and np.ptp(numbers) == 0.0:
            numbers = numbers.reshape(-1)[:1]
        along = [axis for axis, size in enumerate(numbers.shape) if size != 1]
        need(numbers.ndim <= len(shape) and len(along) <= 1, "a constant along several axes")
        axis = along[0] + len(shape) - numbers.ndim if along else None
        need(axis is None or shape[axis] == numbers.size, "not one number per channel")
        return Relation.of(axis, numbers.reshape(-1 if along else ()))


def expand(
    graph: Graph, value: str, stops: Collection[str], is_candidate: bool = False
) -> Expanded:
    """Write a value as a linear form of the values in ``stops``, or tell why it is none."""
    made = Expanded(graph, value, stops, is_candidate)
    made.run()
    return made


def _sum(e: Expanded, node: Node) -> Form:
    sign = -1.0 if node.op == "Sub" else 1.0
    parts = e.split(node) if node.op != "Sum" else None
    if parts is not None:
        place, c, form = parts
        factor, shift = (sign, c.scale) if place == 0 else (1.0, sign * c.scale)
        return form.after(Relation.of(c.axis, np.full_like(shift, factor), shift))
    # Operands that broadcast against each other are no matter to a sum, and they are to a linear
    # map behind it. Branches of one value have the same size if they have a common form.
    need(all(name in e.forms for name in node.inputs), "Sum with a constant")
    shapes = [e.graph.shape(name) for name in node.inputs]
    need(len({len(shape) for shape in shapes}) == 1, "a sum of values of different rank")
    total = e.computed(node)
    for name in node.inputs[1:]:
        total = total + e.forms[name].after(Relation.of(None, sign))
    same = None not in shapes[0] and all(shape == shapes[0] for shape in shapes)
    need(same or all(e.forms[name].maps for name in node.inputs), "a constant that may be larger")
    return replace(total, spread=total.spread or (len(total.maps) > 1 and not same))


def _product(e: Expanded, node: Node) -> Form:
    parts = e.split(node)
    need(parts is not None, "a product of two computed values")
    assert parts is not None
    place, c, form = parts
    if node.op == "Div":
        need(place == 1 and bool(np.all(c.scale)), "a constant over a value, or a division by 0")
        c = Relation.of(c.axis, 1.0 / c.scale)
    return form.after(c)


def _negative(e: Expanded, node: Node) -> Form:
    return e.computed(node).after(Relation.of(None, -1.0))


def _batch_norm(e: Expanded, node: Node) -> Form:
    trains = node.attributes.get("training_mode") or len(node.outputs) > 1 or node.opset < 7
    need(not trains, "BatchNormalization in training mode")
    need(node.attributes.get("spatial") != 0, "BatchNormalization of each place of its own")
    need(len(e.graph.shape(node.inputs[0])) >= 2, "BatchNormalization of a value of one axis")
    gamma, beta, mean, variance = parts = [e.weight(node, place) for place in range(1, 5)]
    channels = (e.graph.shape(node.inputs[0])[1],)
    need(all(part.shape == channels for part in parts), "not one number per channel")
    scale = gamma / np.sqrt(variance + node.attributes["epsilon"])
    size = np.abs(beta) + np.abs(mean * scale)
    return e.computed(node).after(Relation.of(1, scale, beta - mean * scale, size))


def _bias(axis: int, bias: np.ndarray | None) -> Relation:
    return IDENTITY if bias is None else Relation.of(axis, 1.0, bias)


def _transpose(e: Expanded, node: Node) -> Form:
    rank = len(e.graph.shape(node.inputs[0]))
    perm = tuple(node.attributes["perm"] or reversed(range(rank)))
    need(sorted(perm) == list(range(rank)), "a Transpose of another rank")
    return e.computed(node).turned(perm)


def _view(e: Expanded, node: Node) -> Form:
    shapes = [e.graph.shape(name) for name in (node.inputs[0], node.outputs[0])]
    same = product(shapes[0]) == product(shapes[1])
    need(same or not e.is_candidate, "a shape of another number of elements")
    return e.computed(node).viewed(*shapes)


def _conv(e: Expanded, node: Node) -> Form:
    a, c, bias = node.attributes, e.weight(node, 1), e.weight(node, 2)
    groups, rank = a["group"], c.ndim - 2
    need(len(e.graph.shape(node.inputs[0])) == c.ndim, "weights of another rank")
    need(a["auto_pad"] in ("NOTSET", "VALID"), "padding that depends on its input's size")
    grid = _grid(a, rank, a["pads"] if a["auto_pad"] == "NOTSET" else None)
    if node.op == "ConvTranspose":
        need(not a["output_shape"], "a ConvTranspose with a given output shape")
        c = c.reshape(groups, -1, *c.shape[1:]).swapaxes(1, 2)
        c = c.reshape(-1, *c.shape[2:])
        grid = (*grid, tuple(a["output_padding"] or (0,) * rank))
    need(bias is None or bias.shape == (len(c),), "not one number per channel")
    return e.computed(node).then(Map(1, c, c, groups, grid), _bias(1, bias))


def _grid(a: dict[str, Any], rank: int, pads: Any) -> tuple[tuple[int, ...], ...]:
    ones, pads = (1,) * rank, tuple(pads or (0,) * 2 * rank)
    return tuple(a["strides"] or ones), tuple(a["dilations"] or ones), pads[:rank], pads[rank:]


def _gemm(e: Expanded, node: Node) -> Form:
    a, c, bias = node.attributes, e.weight(node, 1), e.weight(node, 2)
    need(not a["transA"], "a Gemm of a transposed value")
    c = c if a["transB"] else c.T
    c = c if a["alpha"] == 1.0 else a["alpha"] * c
    if bias is not None:
        row = bias.size in (1, len(c)) and bias.shape in ((), (bias.size,), (1, bias.size))
        need(row, "a Gemm whose C is no bias")
        bias = a["beta"] * np.broadcast_to(bias.reshape(-1), len(c))
    return e.computed(node).then(Map(1, c, c), _bias(1, bias))


def _matmul(e: Expanded, node: Node) -> Form:
    names = [e.operand(node, place) for place in range(2)]
    need(None in names and names != [None, None], "a product of two computed values")
    place = names.index(None) ^ 1
    c, rank = e.counted(names[place]), len(e.graph.shape(node.inputs[1 - place]))
    # A matrix that is repeated as often as there are others.
    batch = e.graph.shape(node.inputs[1 - place])[rank - c.ndim : -2]
    fits = 2 <= c.ndim <= rank and all(m in (1, n) for m, n in zip(c.shape, batch, strict=False))
    need(fits and np.all(c == c[(0,) * (c.ndim - 2)]), "a MatMul whose constant is no matrix")
    c = c[(0,) * (c.ndim - 2)]
    c = c.T if place else c
    return e.forms[node.inputs[1 - place]].then(Map(rank - 1 - (1 - place), c, c))


def _average(e: Expanded, node: Node) -> Form:
    """An AveragePool whose windows all hold the same number of elements, as a depthwise Conv."""
    a, channels = node.attributes, e.graph.shape(node.inputs[0])[1]
    plain = a["auto_pad"] == "NOTSET" and not a["ceil_mode"] and set(a["dilations"]) == {1}
    need(plain, "an AveragePool whose windows depend on its input's size")
    need(not any(a["pads"]) or bool(a["count_include_pad"]), "windows that differ at the border")
    return _depthwise(
        e, node, channels, a["kernel_shape"], _grid(a, len(a["kernel_shape"]), a["pads"])
    )


def _depthwise(e: Expanded, node: Node, channels: Any, kernel: Any, grid: Any) -> Form:
    need(isinstance(channels, int), "channels that are not known")
    c = np.full((channels, 1, *kernel), 1.0 / math.prod(kernel))
    return e.computed(node).then(Map(1, c, c, channels, grid))


def _pad(e: Expanded, node: Node) -> Form:
    """A Pad of the spatial axes with zeros, as a depthwise Conv of one tap."""
    pads, value = e.graph.parameter(node, "pads"), e.graph.parameter(node, "value")
    shape = e.graph.shape(node.inputs[0])
    rank = len(shape)
    need(node.attributes["mode"] == "constant" and not value, "a Pad with more than zeros")
    chosen = e.graph.parameter(node, "axes") is not None or rank < 3 or len(pads) != 2 * rank
    need(not chosen and min(pads) >= 0, "a Pad of chosen axes, or less than nothing")
    need(not any((*pads[:2], *pads[rank : rank + 2])), "a Pad of the channels")
    ones = (1,) * (rank - 2)
    return _depthwise(e, node, shape[1], ones, (ones, ones, pads[2:rank], pads[rank + 2 :]))


def _einsum(e: Expanded, node: Node) -> Form:
    """A product with a matrix: of the value's letters, one becomes the matrix's other one."""
    given, _, result = node.attributes["equation"].replace(" ", "").partition("->")
    terms = given.split(",")
    need(len(terms) == len(node.inputs) == 2, "an Einsum of other than two operands")
    names = [e.operand(node, place) for place in range(2)]
    need(None in names and names != [None, None], "a product of two computed values")
    place = names.index(None) ^ 1
    x, letters, c = terms[1 - place], terms[place], e.counted(names[place])
    need(c.ndim == len(letters) == 2 and "." not in x, "no product with a matrix")
    gone, made = sorted(letters, key=lambda letter: letter not in x)
    need(len({*x, made}) == len(x) + 1 and gone in x, "no product with a matrix")
    need(result == x.replace(gone, made), "a product with a matrix, and its axes moved")
    c, axis = c if letters[0] == made else c.T, x.index(gone)
    need(e.graph.shape(node.inputs[1 - place])[axis] == c.shape[1], "channels that do not fit")
    return e.forms[node.inputs[1 - place]].then(Map(axis, c, c))


def _filled(e: Expanded, node: Node) -> Form:
    """One number, repeated."""
    need(e.is_constant(node.inputs[0]), "Expand of what is computed")
    number = e.weight(node, 0)
    need(number.size == 1, "Expand of several numbers")
    return Form({}, Relation.of(None, 1.0, number.reshape(())))


def _moves(e: Expanded, node: Node) -> list[Form]:
    constants = [name for p in operands(node) if e.is_constant(name := node.inputs[p])]
    own = {name: e.per_channel(name, e.graph.shape(name)) for name in constants}
    given = {
        name: Form({}, Relation.of(c.axis, np.ones_like(c.scale), c.scale))
        for name, c in own.items()
    }
    made = moved(e.graph, node, e.forms | given)
    e.moved += sum(m.c.size for form in made for m in form.maps.values())
    need(e.moved <= _MOVED, "too many forms of what was moved")
    return made


LINEAR: dict[str, Callable[[Expanded, Node], Form | list[Form]]] = {
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("Mul", "Div"), _product),
    **dict.fromkeys(("Conv", "ConvTranspose"), _conv),
    "AveragePool": _average,
    "BatchNormalization": _batch_norm,
    "Einsum": _einsum,
    "Expand": _filled,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Neg": _negative,
    "Pad": _pad,
    "Transpose": _transpose,
    **dict.fromkeys(VIEWS, _view),
    **dict.fromkeys(MOVES, _moves),
}
"""The ops that are linear in what they compute from, their weights being constants."""
