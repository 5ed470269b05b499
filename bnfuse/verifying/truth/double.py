"""An ONNX model run in float64 by ``onnx.reference``, one value at a time.

Everything that is a float in the model (initialisers, constants, casts, attributes, the bodies
of functions, branches and loops) becomes float64 as it is reached, so the model itself is not
rewritten and its weights exist twice only once.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from bnfuse.verifying.ops import Fact, has, rounds
from bnfuse.verifying.runtime.calibration import SINGLE, lanes_of
from bnfuse.verifying.runtime.floats import is_float, unit_roundoff
from bnfuse.verifying.runtime.onnx_models import node_uses
from bnfuse.verifying.truth.double_ops import DOUBLE_OPS, as_stored, promoted
from bnfuse.verifying.truth.jitter import (
    Jitter,
    by_channel,
    lane_norm,
    reach,
    running_norm,
    summed,
)
from bnfuse.verifying.truth.partial_sums import chain_of, walk
from bnfuse.verifying.truth.resizing import coordinate_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "BudgetSpentError",
    "DoubleEvaluator",
    "NoTruthError",
    "narrow_ops",
    "op_types",
    "random_ops",
]

Array = np.ndarray[Any, Any]


class NoTruthError(Exception):
    """Truth cannot be computed; the message is the reason."""


class BudgetSpentError(NoTruthError):
    """The time granted for truth is over."""


class DoubleEvaluator(ReferenceEvaluator):
    """``onnx.reference`` with every float promoted and every value freed after its last use.

    Attributes:
        deadline: ``time.monotonic()`` after which a run raises :class:`BudgetSpentError`.
        visitor: Called after each node of the main graph with its inputs and outputs.
        running: What runs the node of the main graph that is on turn.
        substitutes: Values of the main graph to go on with in place of what nodes return.
        jitter: Makes each node of the main graph err as a narrower float would.
    """

    def __init__(self, proto: Any, *args: Any, **kwargs: Any) -> None:
        self.deadline: float | None = None
        self.visitor: Callable[[onnx.NodeProto, Sequence[Any], Sequence[Any]], None] | None = None
        self.running: Any = None
        self.jitter: Jitter | None = None
        self.substitutes: dict[str, Any] = {}
        kwargs["new_ops"] = list(DOUBLE_OPS)
        super().__init__(proto, *args, **kwargs)
        self._units = {
            name: unit_roundoff(value.dtype)
            for name, value in self.rt_inits_.items()
            if is_float(value.dtype)
        }
        self.rt_inits_ = {name: promoted(value) for name, value in self.rt_inits_.items()}
        self._last_use = _last_uses(self.nodes_)
        self._rounding = _constant_casts(self.nodes_, self.rt_inits_)

    def run(  # type: ignore[override]
        self,
        output_names: Sequence[str] | None,
        feed_inputs: Mapping[str, Any],
        attributes: Mapping[str, Any] | None = None,
        intermediate: bool = False,
        **_: Any,
    ) -> Any:
        """Return the outputs in order, as float64 where they are floats.

        Raises:
            BudgetSpentError: ``deadline`` has passed.
        """
        wanted = list(output_names or self.output_names)
        kept = set(wanted)
        results: dict[str, Any] = {"": None, **self.rt_inits_}
        results.update((name, promoted(value)) for name, value in feed_inputs.items())
        for position, node in enumerate(self.rt_nodes_):
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise BudgetSpentError
            inputs = [results[name] for name in node.input]
            linked = (
                {"linked_attributes": attributes}
                if node.has_linked_attribute and attributes
                else {}
            )
            context = {"context": results} if node.need_context() else {}
            if self.jitter is not None:
                self._roughen(node.onnx_node, inputs)
            outputs = [promoted(value) for value in node.run(*inputs, **context, **linked)]
            if position in self._rounding:
                outputs = [as_stored(outputs[0], self._rounding[position])]
            if self.jitter is not None:
                outputs = self._rough(node, inputs, outputs)
            results.update(zip(node.output, outputs, strict=False))
            if self.visitor is not None:
                self.running = node
                self.visitor(node.onnx_node, inputs, outputs)
            if self.substitutes:
                self._substitute(node.onnx_node, inputs, results)
            del inputs, outputs
            if not intermediate:
                for name in self._last_use.get(position, ()):
                    if name not in kept and name not in self.rt_inits_:
                        results.pop(name, None)
        return results if intermediate else [results[name] for name in wanted]

    def _substitute(
        self, node: onnx.NodeProto, inputs: Sequence[Any], results: dict[str, Any]
    ) -> None:
        results.update((n, self.substitutes[n]) for n in node.output if n in self.substitutes)
        if node.op_type == "TopK" and node.output[1] in self.substitutes:
            axis = next((item.i for item in node.attribute if item.name == "axis"), -1)
            taken = np.take_along_axis(inputs[0], self.substitutes[node.output[1]], axis)
            results[node.output[0]] = taken

    def _roughen(self, node: onnx.NodeProto, inputs: list[Any]) -> None:
        """Replace the float constants among a node's inputs by rounded ones.

        Their errors are the same for all rows, as those of folded weights are.
        """
        assert self.jitter is not None
        if has(node.op_type, Fact.CONSTANTS):
            for position, name in enumerate(node.input):
                if name in self._units:
                    inputs[position] = self.jitter.weight(inputs[position], self._units[name])

    def _rough(self, kernel: Any, inputs: Sequence[Any], outputs: list[Any]) -> list[Any]:
        node: onnx.NodeProto = kernel.onnx_node
        if not rounds(node):
            return outputs
        jitter = self.jitter
        assert jitter is not None
        total = _summed(kernel, inputs, jitter.pooled) if jitter.unit >= SINGLE else None
        if total is not None:
            return [jitter.rounded(total), *outputs[1:]]
        terms = reach(node.op_type, inputs)
        axis = 1 if node.op_type.startswith("Conv") else -1

        def rough(value: Array) -> Array:
            if not terms:
                first = inputs[0] if inputs else None
                return jitter.rounded(value, node.op_type, first, _beside(node, inputs, value))
            walked = jitter.walks.of(value, lambda: _walk(kernel, inputs, value, terms))
            return jitter.accumulated(value, walked, axis)

        return [
            rough(value) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value
            for value in outputs
        ]


def _beside(node: onnx.NodeProto, inputs: Sequence[Any], value: Array) -> Array | None:
    """Return what an interpolation errs by through its coordinates; None for any other node."""
    if node.op_type not in {"Resize", "Upsample"} or not isinstance(inputs[0], np.ndarray):
        return None
    nearest = all(item.s == b"nearest" for item in node.attribute if item.name == "mode")
    return None if nearest else coordinate_error(inputs[0], value)


def _walk(kernel: Any, inputs: Sequence[Any], value: Array, terms: int) -> Array:
    """Return how far the errors of a node's dot products walk."""
    node: onnx.NodeProto = kernel.onnx_node
    one, two = inputs[:2]
    attributes = {item.name: item.i for item in node.attribute}
    axes: tuple[int, int] | None = None
    if node.op_type in {"MatMul", "Gemm"}:
        turned = attributes.get("transA", 0), attributes.get("transB", 0)
        axes = (0 if turned[0] else -1), (-1 if turned[1] or two.ndim == 1 else -2)
    elif node.op_type == "Conv" and attributes.get("group", 1) == 1:
        axes = 1, 1
    spatial = node.op_type.startswith("Conv")
    chain = chain_of(math.prod(value.shape[2:] if spatial else value.shape[-1:]))
    return walk(lambda a, b: kernel.run(a, b)[0], one, two, terms, chain, axes)


def _summed(kernel: Any, inputs: Sequence[Any], pooled: bool) -> Any:
    """Return a sum, a mean, or a norm by it, added up in float32; None for any other node."""
    node: onnx.NodeProto = kernel.onnx_node
    op = node.op_type
    lanes = lanes_of(op)
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    x = inputs[0] if inputs else None
    if not isinstance(x, np.ndarray) or x.dtype != np.float64 or not x.size:
        return None
    if op == "LayerNormalization":
        axis, epsilon = attributes.get("axis", -1), attributes.get("epsilon", 1e-5)
        return running_norm(x, axis, inputs[1:3], epsilon)
    if not lanes:
        return None
    if "Normalization" in op:
        groups = attributes.get("num_groups", x.shape[1])
        normed = lane_norm(x, groups, attributes.get("epsilon", 1e-5), lanes)
        return by_channel(normed, *inputs[1:3])
    if op == "AveragePool":
        # One by one, as the runtime does and this reference too.
        return kernel.run(x.astype(np.float32))[0].astype(np.float64)
    if op == "GlobalAveragePool":
        axes = list(range(2, x.ndim))
    else:
        given = inputs[1] if len(inputs) > 1 else attributes.get("axes")
        if given is None and attributes.get("noop_with_empty_axes"):
            return None
        axes = (
            list(range(x.ndim)) if given is None else sorted(int(axis) % x.ndim for axis in given)
        )
        if pooled and x.ndim > 2 and axes == list(range(2, x.ndim)):
            lanes = lanes_of("GlobalAveragePool")
    keepdims = op == "GlobalAveragePool" or bool(attributes.get("keepdims", 1))
    total = summed(x, axes, keepdims, lanes)
    count = 1 if op == "ReduceSum" else int(np.prod([x.shape[axis] for axis in axes]))
    return total / count


def _constant_casts(nodes: Sequence[onnx.NodeProto], constants: Iterable[str]) -> dict[int, int]:
    """The positions of casts of constants to a float type, and the type.

    Such a cast says which numbers the constant has. A cast of what is computed is a choice of
    precision, and truth keeps every digit of it.
    """
    known = {"", *constants}
    casts: dict[int, int] = {}
    for position, node in enumerate(nodes):
        if not known.issuperset(node_uses(node)) or has(node.op_type, Fact.RANDOM):
            continue
        known.update(node.output)
        if node.op_type == "Cast":
            casts[position] = next(item.i for item in node.attribute if item.name == "to")
    return casts


def _last_uses(nodes: Iterable[onnx.NodeProto]) -> dict[int, list[str]]:
    last: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in (*node_uses(node), *node.output):
            last[name] = position
    ends: dict[int, list[str]] = {}
    for name, position in last.items():
        ends.setdefault(position, []).append(name)
    return ends


def random_ops(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Return the kinds of random ops in a model, ``Dropout`` in training mode among them."""
    true = {
        item.name
        for item in proto.graph.initializer
        if item.data_type == onnx.TensorProto.BOOL and onnx.numpy_helper.to_array(item).all()
    }
    found = set()
    for node in _all_nodes(proto):
        if has(node.op_type, Fact.RANDOM) and node.domain in {"", "ai.onnx"}:
            found.add(node.op_type)
        training = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]
        if training and training in true:
            found.add("Dropout in training mode")
    return tuple(sorted(found))


def narrow_ops(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Return the kinds of ops in a model that ``onnx.reference`` computes in float32."""
    found = {node.op_type for node in _all_nodes(proto) if has(node.op_type, Fact.NARROW)}
    for node in _all_nodes(proto):
        # The attribute names the type that the softmax inside is computed in.
        if any(attribute.name == "softmax_precision" for attribute in node.attribute):
            found.add(node.op_type)
    return tuple(sorted(found))


def op_types(proto: onnx.ModelProto) -> frozenset[str]:
    """Return the kinds of ops in a model, subgraphs included."""
    return frozenset(node.op_type for node in _all_nodes(proto))


def _all_nodes(proto: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    stack: list[Any] = [proto.graph, *proto.functions]
    while stack:
        for node in stack.pop().node:
            yield node
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    stack.append(attribute.g)
                stack.extend(attribute.graphs)
