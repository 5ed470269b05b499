"""Write a choice of gauges into the graph, by the edits that the engine has."""

from __future__ import annotations

__all__ = ["materialise"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.affine import ChannelAffine
from bnfuse.folding.initializers import Initializers
from bnfuse.folding.names import FreshNames
from bnfuse.folding.rules.clip import _is_relu
from bnfuse.folding.rules.pad import _padding_value
from bnfuse.lifting.nodes import affine_of, linear_of, set_affine, set_linear
from bnfuse.lifting.normalizer import normalizer_of, set_normalizer
from bnfuse.lifting.rewire import bypass
from prototypes.gauges.laws import _LAYOUT
from prototypes.gauges.relations import Slot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnfuse.lifting import Lifted
    from prototypes.gauges.choice import Chosen


def materialise(lifted: Lifted, chosen: Chosen) -> None:
    """Edit a lifted graph in place so that it computes every value in its gauge."""
    _Materialiser(lifted, chosen).run()


class _Materialiser:
    def __init__(self, lifted: Lifted, chosen: Chosen) -> None:
        self.graph, self.constants, self.chosen = lifted.model.graph, lifted.constants, chosen
        self.names = FreshNames(self.graph)
        self.initializers = Initializers(self.graph, self.names)

    def run(self) -> None:
        nodes = [n for n in self.graph if not all(map(self.constants.is_constant, n.outputs))]
        for node in nodes:
            if node not in self.chosen.vanished:
                self._edit(node)
        changed = [y for n in nodes for y in n.outputs if not self._is_identity(y)]
        for node in nodes:
            # Within a chain of rearrangements values have no gauge of their own.
            y = node.outputs[0]
            known = y in self.chosen.relations.lengths
            if node.op_type in _LAYOUT and node.inputs[0] in changed and not known:
                changed.append(y)
        for node in nodes:
            if node in self.chosen.vanished:
                x, y = node.inputs[0], node.outputs[0]
                assert x is not None
                if self._is_identity(y):
                    bypass(node)
                    changed = [v for v in changed if v is not x]
                else:
                    y.replace_all_uses_with(x)
                    self.graph.remove(node, safe=True)
        self.names.rename(v for v in changed if v.producer() is not None and v.graph is self.graph)

    def _is_identity(self, value: ir.Value) -> bool:
        axes = self.chosen.relations.lengths.get(value, {None: 1})
        return all(self.chosen.gauge(value, axis).is_identity for axis in axes)

    def _along(self, value: ir.Value, axis: int | None) -> ChannelAffine:
        """The gauge of a value along one axis, as a map of the value."""
        own = self.chosen.gauge(value, axis) if axis is not None else ChannelAffine.of(None)
        of_all = self.chosen.uniform(value)
        if own.axis is None:
            own = ChannelAffine.of(None)
        scale, shift = of_all.scale * own.scale, of_all.shift + own.shift
        return ChannelAffine.of(own.axis, scale, scale * shift)

    def _taken_along(self, node: ir.Node) -> int | None:
        """The axis of a norm that stays, or for a uniform one that of what it takes."""
        lifted = affine_of(node)
        assert lifted is not None
        if lifted.affine.axis is not None:
            return lifted.affine.axis
        for value in (node.inputs[0], node.outputs[0]):
            assert value is not None
            for axis in self.chosen.relations.axes(value):
                if axis is not None and not self.chosen.gauge(value, axis).is_identity:
                    return axis
        return None

    def _edit(self, node: ir.Node) -> None:
        linear, lifted, own = linear_of(node), affine_of(node), normalizer_of(node)
        x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if linear is not None:
            assert x is not None
            before = self._along(x, linear.input_axis).inverse()
            after = self._along(y, linear.output_axis)
            if not before.is_identity:
                linear = linear.before(before, "absorb")
            if not after.is_identity:
                linear = linear.after(after, "absorb")
            set_linear(node, linear)
        elif lifted is not None:
            assert x is not None
            axis = self._taken_along(node)
            before, after = self._along(x, axis).inverse(), self._along(y, axis)
            if not (before.is_identity and after.is_identity):
                joined = before.then(lifted.affine).then(after)
                set_affine(node, replace(lifted, affine=joined, origins=()))
        elif own is not None:
            after = self._along(y, own.axis)
            if not after.is_identity:
                set_normalizer(node, own.then(after, ()))
        elif node.op_type == "Pad" and x is not None:
            self._bound(node, 2, _padding_value(node, self.constants) or 0.0, x)
        elif node.op_type == "Clip" and x is not None:
            is_relu = _is_relu(node.inputs[1:], ChannelAffine.of(None, 2.0), self.constants)
            for place in (1, 2):
                bound = node.inputs[place] if place < len(node.inputs) else None
                if bound is not None and not (is_relu and not self.chosen.uniform(x).has_shift):
                    value = self.constants.array(bound)
                    assert value is not None
                    self._bound(node, place, float(value.reshape(-1)[0]), x)
        for place in range(len(node.inputs)):
            if Slot(node, place) in self.chosen.relations.lengths:
                self._recompute(node, place)

    def _bound(self, node: ir.Node, place: int, value: float, x: ir.Value) -> None:
        if node.op_type == "Pad" and node.attributes.get_string("mode", "constant") != "constant":
            return
        of_all = self.chosen.uniform(x)
        new = of_all.scale * (value + of_all.shift)
        if new == value:
            return
        if len(node.inputs) <= place:
            node.resize_inputs(place + 1)
        assert x.dtype is not None
        array = np.asarray(new, np.float64).reshape(())
        self._store(node, place, array, x.dtype, f"{node.name}.bound")

    def _recompute(self, node: ir.Node, place: int) -> None:
        slot, relations = Slot(node, place), self.chosen.relations
        constant = self.constants.constant(node.inputs[place])
        assert constant is not None
        array: NDArray[np.float64] = constant.array()
        shift, scale = np.zeros(()), np.ones(())
        for axis in relations.lengths[slot]:
            gauge = self.chosen.gauge(slot, axis)
            shift = shift + gauge.shaped(gauge.shift, array.ndim)
            scale = scale * gauge.shaped(gauge.scale, array.ndim)
        if np.any(scale != 1.0) or np.any(shift != 0.0):
            self._store(node, place, scale * (array + shift), constant.dtype, constant.name)

    def _store(
        self, node: ir.Node, place: int, array: NDArray[np.float64], dtype: ir.DataType, after: str
    ) -> None:
        new = self.initializers.add(array, dtype, after=after)
        self.constants.remember(new, array)
        node.replace_input_with(place, new)
