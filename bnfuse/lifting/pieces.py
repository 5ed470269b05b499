"""Maps put together from pieces: ops none of which is a norm, and that are one together.

A loop over channels takes each channel out, scales and shifts it and joins them again;
``torch.lerp`` with a weight per channel chooses between two affines; a norm may be written as the
product with a diagonal matrix. What such ops compute is found by following each value's form
(:mod:`bnfuse.lifting.form`). A value that has all entries of another one in their order, each with
a scale and a shift, is one affine of it, and is lifted as such.
"""

from __future__ import annotations

__all__ = ["Piece", "pieces_of"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.graph.access import given, input_of, is_op
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import ChannelConstant, channel_constant, static_dim
from bnfuse.graph.limits import fits
from bnfuse.graph.sizes import same_shape
from bnfuse.graph.slices import is_whole, slices_of
from bnfuse.lifting.elementwise import AffineRead, read_elementwise
from bnfuse.lifting.form import Form
from bnfuse.lifting.picks import read_pick

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator


@dataclass(frozen=True, eq=False)
class Piece:
    """An op that ends a map put together from pieces.

    Attributes:
        x: What the map is of.
        affine: The map.
        spelling: The operators that make the map of ``x``, each once, in the order of the graph.
    """

    x: ir.Value
    affine: ChannelAffine
    spelling: tuple[str, ...]


def pieces_of(graph: ir.Graph, constants: ConstantEvaluator) -> dict[ir.Node, Piece]:
    """The ops of a graph that end a map put together from pieces, in order.

    Where one such map is part of another, both are told.
    """
    reader = _Reader(constants)
    return {
        node: piece
        for node in graph
        if (piece := reader.piece(node, reader.read(node))) is not None
    }


class _Reader:
    """Follows the forms of one graph's values."""

    def __init__(self, constants: ConstantEvaluator) -> None:
        self._constants = constants
        self._forms: dict[ir.Value, Form] = {}
        self._first: dict[Hashable, ir.Value] = {}
        self._sums: set[ir.Node] = set()
        self._places: dict[ir.Node, int] = {}
        self._ops: dict[str, Callable[[ir.Node], Form | None]] = {
            "Concat": self._concat,
            "Einsum": self._picks,
            "Gather": self._gather,
            "Gemm": self._picks,
            "MatMul": self._picks,
            "ScatterElements": self._scatter,
            "Slice": self._slice,
            "Squeeze": self._squeeze,
            "Transpose": self._transpose,
            "Unsqueeze": self._unsqueeze,
            "Where": self._where,
        }

    def read(self, node: ir.Node) -> Form | None:
        """Find and keep the form of what a node computes; the nodes are read in order."""
        self._places[node] = len(self._places)
        if not is_op(node) or self._constants.is_constant(node.outputs[0]):
            return None
        if node.op_type == "Split":
            self._split(node)
            return None
        form = self._ops.get(node.op_type, self._elementwise)(node)
        if form is not None:
            self._keep(node.outputs[0], form)
        return form

    def piece(self, node: ir.Node, form: Form | None) -> Piece | None:
        """The map that a node ends, if no op alone is that map."""
        if form is None or form.axis is None or not self._joins(node):
            return None
        x, y = self._first.get(form.entries), node.outputs[0]
        affine = None if x is None or x is y else form.of(self._forms[x])
        if x is None or affine is None or x.dtype != y.dtype:
            return None
        if not affine.is_finite or not fits(affine, x.dtype):
            return None
        return Piece(x, affine, self._spelling(node, x))

    def _spelling(self, node: ir.Node, x: ir.Value) -> tuple[str, ...]:
        """The operators between ``x`` and what ``node`` computes."""
        found, pending = {node: None}, [node]
        while pending:
            for value in pending.pop().inputs:
                before = None if value is None or value is x else value.producer()
                if value in self._forms and before is not None and before not in found:
                    found[before] = None
                    pending.append(before)
        in_order = sorted(found, key=self._places.__getitem__)
        return tuple(dict.fromkeys(part.op_type for part in in_order))

    def _joins(self, node: ir.Node) -> bool:
        """Whether it is an op that puts pieces together, not one that is an affine by itself."""
        if node.op_type == "Concat":
            # Wider parts keep the names and the fates of their own norms.
            return any(form.is_one_entry for form in map(self._form, node.inputs) if form)
        return node in self._sums or node.op_type in (
            "Einsum",
            "Gemm",
            "MatMul",
            "ScatterElements",
            "Where",
        )

    def _keep(self, value: ir.Value, form: Form) -> None:
        self._forms[value] = form
        told = [form] if form.axis is not None else map(form.telling, range(len(form.layout)))
        for one in told:
            if one is not None:
                self._first.setdefault(one.entries, value)

    def _form(self, value: ir.Value | None) -> Form | None:
        """The form of a value; that of a source where it is nothing of another value."""
        if value is None or value.shape is None or self._constants.is_constant(value):
            return None
        if value not in self._forms:
            self._keep(value, Form(value, tuple(range(len(value.shape)))))
        return self._forms[value]

    def _array(self, node: ir.Node, position: int) -> NDArray[Any] | None:
        return self._constants.array(given(node, position))

    def _elementwise(self, node: ir.Node) -> Form | None:
        if node.op_type not in ("Add", "Div", "Identity", "Mul", "Neg", "Sub"):
            return None
        if node.op_type == "Identity":
            return self._form(node.inputs[0])
        read = read_elementwise(node, self._constants)
        if isinstance(read, AffineRead):
            form = self._form(input_of(node, read.step.position))
            return form and form.then(read.affine)
        if read is not None or node.op_type not in ("Add", "Sub"):
            return None
        one, two = (self._form(value) for value in node.inputs)
        alike = one.beside(two) if one and two else None
        if alike is None:
            return None
        one, two = alike
        (scale, shift, size), (scale_2, shift_2, size_2) = one.parts(), two.parts()
        self._sums.add(node)
        sign = 1.0 if node.op_type == "Add" else -1.0
        return one.having(scale + sign * scale_2, shift + sign * shift_2, size + size_2)

    def _where(self, node: ir.Node) -> Form | None:
        """A choice between two maps that is made per channel."""
        chosen, x = self._array(node, 0), input_of(node, 1)
        one, two = self._form(x), self._form(node.inputs[2])
        if chosen is None or one is None or two is None:
            return None
        mask = channel_constant(chosen.astype(np.float64), x.shape)
        if not isinstance(mask, ChannelConstant) or mask.axis is None:
            return None
        one, two = one.telling(mask.axis), two.telling(mask.axis)
        if one is None or two is None or not one.lies_like(two):
            return None
        takes = mask.vector != 0.0
        parts = [np.where(takes, a, b) for a, b in zip(one.parts(), two.parts(), strict=True)]
        return replace(one, index=np.where(takes, one.index, two.index)).having(*parts)

    def _slice(self, node: ir.Node) -> Form | None:
        x, form = node.inputs[0], self._form(node.inputs[0])
        slices = slices_of(node, self._constants)
        if x is None or slices is None:
            return None
        for position, taken in slices.items():
            length = static_dim(x.shape, position)
            if is_whole(taken, length):
                continue
            entries = np.arange(length or 0)[taken]
            form = form.taking(position, entries) if form and entries.size else None
        return form

    def _gather(self, node: ir.Node) -> Form | None:
        form, indices = self._form(node.inputs[0]), self._array(node, 1)
        if form is None or indices is None or indices.ndim > 1 or not indices.size:
            return None
        position = node.attributes.get_int("axis", 0) % len(form.layout)
        told = form.telling(position)
        if told is None:
            return None
        entries = np.atleast_1d(indices) % len(told.index)
        return told.taking(position, entries, keeps_axis=indices.ndim == 1)

    def _split(self, node: ir.Node) -> None:
        form = self._form(node.inputs[0])
        if form is None:
            return
        position = node.attributes.get_int("axis", 0) % len(form.layout)
        told = form.telling(position)
        lengths = [static_dim(value.shape, position) for value in node.outputs]
        known = [length for length in lengths if length is not None]
        if told is None or len(known) < len(lengths) or sum(known) != len(told.index):
            return
        ends = np.cumsum(known)
        for value, length, end in zip(node.outputs, known, ends, strict=True):
            part = told.taking(position, np.arange(end - length, end)) if length else None
            if part is not None:
                self._keep(value, part)

    def _concat(self, node: ir.Node) -> Form | None:
        forms = [self._form(value) for value in node.inputs]
        first = forms[0]
        if first is None:
            return None
        position = node.attributes.get_int("axis", 0) % len(first.layout)
        told: list[Form] = []
        for form in forms:
            here = None if form is None else form.joined_along(position)
            if here is None or (told and not here.lies_like(told[0])):
                return None
            told.append(here)
        if len(told) == 1:
            return first
        parts = (np.concatenate(part) for part in zip(*(f.parts() for f in told), strict=True))
        return replace(told[0], index=np.concatenate([f.index for f in told])).having(*parts)

    def _squeeze(self, node: ir.Node) -> Form | None:
        form, axes = self._form(node.inputs[0]), self._axes(node)
        if form is None or axes is None:
            return None
        gone = {axis % len(form.layout) for axis in axes}
        if any(form.layout[axis] is not None for axis in gone):
            return None
        kept = (axis for at, axis in enumerate(form.layout) if at not in gone)
        return replace(form, layout=tuple(kept))

    def _unsqueeze(self, node: ir.Node) -> Form | None:
        form, axes = self._form(node.inputs[0]), self._axes(node)
        if form is None or axes is None:
            return None
        rank = len(form.layout) + len(axes)
        new, old = {axis % rank for axis in axes}, iter(form.layout)
        return replace(form, layout=tuple(None if at in new else next(old) for at in range(rank)))

    def _axes(self, node: ir.Node) -> list[int] | None:
        if len(node.inputs) > 1:
            array = self._array(node, 1)
            return None if array is None else [int(axis) for axis in array.ravel()]
        return list(node.attributes.get_ints("axes", [])) or None

    def _transpose(self, node: ir.Node) -> Form | None:
        form = self._form(node.inputs[0])
        if form is None:
            return None
        order = node.attributes.get_ints("perm", range(len(form.layout))[::-1])
        return replace(form, layout=tuple(form.layout[axis] for axis in order))

    def _picks(self, node: ir.Node) -> Form | None:
        """A product with a matrix that takes each output from one input."""
        pick = read_pick(node, self._constants)
        form = None if pick is None else self._form(pick.x)
        if pick is None or form is None:
            return None
        taken = form.taking(pick.axis, pick.entries)
        return taken and taken.then(pick.affine)

    def _scatter(self, node: ir.Node) -> Form | None:
        """A channel that is written over: ``y[:, c] = …``."""
        data, indices, updates = node.inputs
        new = self._form(updates)
        if node.attributes.get_string("reduction", "none") != "none" or new is None:
            return None
        at = None if indices is None else self._constants.pattern(indices)
        position = node.attributes.get_int("axis", 0) % len(new.layout)
        if at is None or len(np.unique(at)) != 1 or new.layout[position] is not None:
            return None
        whole = new.joined_along(position)
        old = whole and (self._filled(data, whole) or self._form(data))
        old = old and old.telling(position)
        if whole is None or old is None or not old.lies_like(whole):
            return None
        entry = int(np.ravel(at)[0]) % len(old.index)
        here = np.arange(len(old.index)) == entry
        parts = (np.where(here, n, o) for n, o in zip(new.parts(), old.parts(), strict=True))
        return replace(old, index=np.where(here, new.index, old.index)).having(*parts)

    def _filled(self, value: ir.Value | None, like: Form) -> Form | None:
        """A number repeated to the source's shape, as ``torch.zeros_like`` makes it."""
        number = None if value is None else self._constants.pattern(value)
        source, axis = like.source, like.axis
        if number is None or value is None or axis is None or len(np.unique(number)) != 1:
            return None
        whole = Form(source, tuple(range(len(source.shape or ())))).telling(axis)
        if whole is None or not same_shape(value.shape, source.shape):
            return None
        fill = np.full(len(whole.index), float(np.ravel(number)[0]))
        return whole.having(np.zeros(len(fill)), fill, np.abs(fill))
