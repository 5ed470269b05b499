"""One ONNX file as the checker sees it: nodes in order, attributes written out, constants.

Nothing here comes from the rest of bnfuse: numpy and onnx only.
"""

from __future__ import annotations

__all__ = ["PARAMETERS", "RANDOM", "Graph", "Node", "NotProved", "digest_of"]

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import external_data_helper, helper, inliner, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from bnfuse.checker.definitions import DEFINITIONS, SWAPPED, Writing, name_of

Array = NDArray[Any]

_FLOATS: dict[int, float] = {
    onnx.TensorProto.FLOAT: 2.0**-24,
    onnx.TensorProto.DOUBLE: 2.0**-53,
    onnx.TensorProto.FLOAT16: 2.0**-11,
    onnx.TensorProto.BFLOAT16: 2.0**-8,
}
"""The float types that the laws speak of, and the relative error of rounding to each."""

_STANDARD = ("", "ai.onnx")
_SMALL, _KEPT = 1 << 16, 1 << 25
"""Bytes of a constant from which on it is large, and of all large ones that are kept."""

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
"""Ops that draw: two draws are never the same."""

PARAMETERS = {
    # What newer opsets take as an input, older ones took as an attribute.
    "Squeeze": ("axes",),
    "Unsqueeze": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceMax": ("axes",),
    "ReduceMin": ("axes",),
    "ReduceSum": ("axes",),
    "ReduceL1": ("axes",),
    "ReduceL2": ("axes",),
    "ReduceProd": ("axes",),
    "ReduceLogSumExp": ("axes",),
    "ReduceSumSquare": ("axes",),
    "Pad": ("pads", "value", "axes"),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Clip": ("min", "max"),
    "Dropout": ("ratio", "training_mode"),
    "TopK": ("k",),
    "Tile": ("repeats",),
    "Expand": ("shape",),
    "Reshape": ("shape",),
    "Upsample": ("scales",),
}


class NotProved(Exception):  # noqa: N818 - a verdict, not a failure
    """A value for which no law gives what is claimed.

    Attributes:
        value: The value of the candidate (or of the original) that was looked at.
        wrong: Whether both sides match in form and a constant differs beyond any rounding.
    """

    def __init__(self, reason: str, value: str = "", wrong: bool = False) -> None:
        super().__init__(reason)
        self.value = value
        self.wrong = wrong


@dataclass(frozen=True, eq=False)
class Node:
    """A node with its attributes written out in full.

    Attributes:
        op: The op type, with its domain before it where that is not ONNX's own.
        inputs: The names of its inputs, trailing empty ones dropped.
        outputs: The names of its outputs.
        attributes: Every attribute of the schema, defaults filled in.
        opset: The version of its operator set.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    proto: onnx.NodeProto

    @property
    def has_body(self) -> bool:
        """Whether it holds a graph, as If and Loop do."""
        return any(a.type == onnx.AttributeProto.GRAPH for a in self.proto.attribute)


@dataclass(eq=False)
class Graph:
    """A model's main graph.

    Attributes:
        nodes: In topological order.
        inputs: What is fed, by name: the proto.
        outputs: Likewise what comes out.
        producers: The node of each value and the place of the value among its outputs.
    """

    proto: onnx.ModelProto
    folder: Path
    nodes: tuple[Node, ...] = ()
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    outputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    producers: dict[str, tuple[Node, int]] = field(default_factory=dict)
    _tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _types: dict[str, tuple[int, tuple[int | str | None, ...] | None]] = field(default_factory=dict)
    _constants: dict[str, Array | None] = field(default_factory=dict)
    _large: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> Graph:
        """Read a file.

        Raises:
            NotProved: The file holds what the checker does not speak of.
        """
        path = Path(path)
        return cls.of(onnx.load(str(path), load_external_data=False), path.parent)

    @classmethod
    def pair(
        cls, original: str | Path | onnx.ModelProto, candidate: str | Path | onnx.ModelProto
    ) -> tuple[Graph, Graph]:
        """Read both, ops written out by their definitions where the two have them otherwise.

        Raises:
            NotProved: One holds what the checker does not speak of.
        """
        sides: list[tuple[onnx.ModelProto, Path | None]] = [
            (given, None)
            if isinstance(given, onnx.ModelProto)
            else (onnx.load(str(given), load_external_data=False), Path(given).parent)
            for given in (original, candidate)
        ]
        x, y = (Counter(name_of(node) for node in proto.graph.node) for proto, _ in sides)
        kinds = {kind for kind in DEFINITIONS if x[kind] != y[kind]}
        first, second = (cls.of(proto, folder, kinds) for proto, folder in sides)
        return first, second

    @classmethod
    def of(
        cls, proto: onnx.ModelProto, folder: Path | None = None, kinds: Collection[str] = ()
    ) -> Graph:
        """Take a model in memory.

        Args:
            proto: The model; it is not changed.
            folder: Where its external data lies.
            kinds: Ops to write out by their definitions.

        Raises:
            NotProved: It holds what the checker does not speak of.
        """
        if proto.functions:
            proto = inliner.inline_local_functions(proto, True)
        self = cls(proto, folder or Path())
        graph = proto.graph
        opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in proto.opset_import}
        fed_names = {i.name for i in graph.input}
        stored = {t.name: t for t in graph.initializer if t.name not in fed_names}
        written = Writing(_float_type(graph), opsets.get("", 1), kinds, stored)
        nodes = [made for node in graph.node for made in written.out(node)]
        if graph.sparse_initializer or proto.training_info:
            raise NotProved("sparse initializers and training information are not spoken of")
        self._tensors = {t.name: t for t in (*graph.initializer, *written.tensors)}
        if len(self._tensors) != len(graph.initializer) + len(written.tensors):
            raise NotProved("two constants have one name")
        names = set(self._tensors)
        # An initializer that is also an input can be fed another value (IR version 4 and later).
        fed = [i for i in graph.input if i.name not in names or proto.ir_version >= 4]
        self.inputs = {i.name: i for i in fed}
        for name in self.inputs:
            self._tensors.pop(name, None)
        self.outputs = {o.name: o for o in graph.output}
        self.nodes = tuple(_node(node, opsets) for node in nodes)
        self._infer()
        while any(node.op == SWAPPED for node in self.nodes):
            # Which axes are the last two is known when the rank is.
            nodes = [self._unswapped(node.proto) for node in self.nodes]
            if nodes == [node.proto for node in self.nodes]:
                break
            self.nodes = tuple(_node(node, opsets) for node in nodes)
            self._infer()
        seen = {"", *self.inputs, *self._tensors}
        for node in self.nodes:
            if not seen.issuperset(node.inputs):
                raise NotProved(f"{node.op} reads a value that no node before it gives")
            for place, name in enumerate(node.outputs):
                if name and name in seen:
                    raise NotProved(f"two nodes give {name!r}")
                seen.add(name)
                if name:
                    self.producers[name] = node, place
        if not seen.issuperset(self.outputs):
            raise NotProved("an output has no producer")
        return self

    def _unswapped(self, node: onnx.NodeProto) -> onnx.NodeProto:
        shape = self._types.get(node.input[0] if node.input else "", (0, None))[1]
        if name_of(node) != SWAPPED or shape is None:
            return node
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return helper.make_node("Transpose", list(node.input), list(node.output), perm=order)

    def _infer(self) -> None:
        inferred = shape_inference.infer_shapes(self._without_weights(), data_prop=True).graph
        for info in (*inferred.value_info, *inferred.output, *self.inputs.values()):
            kind = info.type.tensor_type
            shape = None
            if kind.HasField("shape"):
                shape = tuple(
                    d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
                    for d in kind.shape.dim
                )
            self._types[info.name] = kind.elem_type, shape
        for name, tensor in self._tensors.items():
            self._types[name] = tensor.data_type, tuple(tensor.dims)

    def _without_weights(self) -> onnx.ModelProto:
        """The model with every large tensor as an input of the same type and shape."""
        lean, graph = onnx.ModelProto(), self.proto.graph
        lean.ir_version = self.proto.ir_version
        lean.opset_import.extend(self.proto.opset_import)
        lean.graph.name = graph.name
        lean.graph.node.extend(node.proto for node in self.nodes)
        lean.graph.input.extend(graph.input)
        for output in graph.output:
            # What shape it says that it has, nobody held it to.
            lean.graph.output.add(name=output.name)
        known = {i.name for i in graph.input}
        for name, tensor in self._tensors.items():
            if len(tensor.dims) <= 1 and np.prod(tensor.dims, dtype=int) <= 64:
                lean.graph.initializer.append(tensor)
            elif name not in known:
                info = helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
                lean.graph.input.append(info)
        return lean

    def dtype(self, name: str) -> int:
        """The element type of a value; 0 where it is not known."""
        return self._types.get(name, (0, None))[0]

    def unit(self, name: str) -> float:
        """The relative error of rounding to a float value's type."""
        if self.dtype(name) not in _FLOATS:
            raise NotProved(f"{name!r} has no float type that the laws speak of", name)
        return _FLOATS[self.dtype(name)]

    def is_float(self, name: str) -> bool:
        """Whether a value is of one of the float types that the laws speak of."""
        return self.dtype(name) in _FLOATS

    def shape(self, name: str) -> tuple[int | str | None, ...]:
        """The dimensions of a value: a number, a symbol, or ``None``.

        Raises:
            NotProved: Not even its rank is known.
        """
        shape = self._types.get(name, (0, None))[1]
        if shape is None:
            raise NotProved(f"the rank of {name!r} is not known", name)
        return shape

    def constant(self, name: str) -> Array | None:
        """The numbers of a value that no input reaches; floats in float64, ``None`` if reached.

        A rounding that a Cast to a narrower float makes is carried out.
        """
        if name not in self._constants:
            self._forget()
            for step in self._constant_order(name):
                self._constants[step] = found = self._evaluate(step)
                if found is not None and found.nbytes >= _SMALL:
                    self._large[step] = found.nbytes
        return self._constants[name]

    def _forget(self) -> None:
        """Drop the large constants that were read first; each is read again if it is needed."""
        while sum(self._large.values()) > _KEPT:
            name = next(iter(self._large))
            del self._large[name], self._constants[name]

    def _constant_order(self, name: str) -> list[str]:
        """The values that ``name`` is computed from and that were not evaluated, in order."""
        order: list[str] = []
        stack = [(name, False)]
        while stack:
            value, ready = stack.pop()
            if ready:
                order.append(value)
            elif value not in self._constants:
                stack.append((value, True))
                if value in self.producers:
                    inputs = self.producers[value][0].inputs
                    stack.extend((i, False) for i in inputs if i not in self._constants)
        return list(dict.fromkeys(order))

    def _evaluate(self, name: str) -> Array | None:
        if name == "" or name in self.inputs:
            return None
        if name in self._tensors:
            return self._widened(self._array(self._tensors[name]), name)
        if name not in self.producers:
            return None
        node, place = self.producers[name]
        inputs = [self._constants.get(i) for i in node.inputs if i]
        if any(value is None for value in inputs) or node.op in RANDOM:
            return None
        if node.has_body:
            return None
        return self._run(node, place, inputs)

    def _run(self, node: Node, place: int, inputs: list[Any]) -> Array | None:
        names = [i for i in node.inputs if i]
        simple = _SIMPLE.get(node.op)
        if simple is not None and all(self.is_float(i) for i in names) and len(names) <= 2:
            return np.asarray(simple(*inputs))
        # In the declared types: where numbers are compared, cut off or made integers, the
        # rounding is part of the meaning.
        values = [
            v.astype(helper.tensor_dtype_to_np_dtype(self.dtype(i))) if self.is_float(i) else v
            for i, v in zip(names, inputs, strict=True)
        ]
        if sum(v.size for v in values) > 1 << 26:
            return None
        try:
            model = helper.make_model(
                helper.make_graph(
                    [node.proto],
                    "constant",
                    [
                        helper.make_value_info(i, _type_of(v))
                        for i, v in zip(names, values, strict=True)
                    ],
                    [helper.make_empty_tensor_value_info(o) for o in node.outputs if o],
                ),
                opset_imports=self.proto.opset_import,
            )
            feeds = dict(zip(names, values, strict=True))
            results: Any = ReferenceEvaluator(model).run([node.outputs[place]], feeds)
        except Exception:
            return None
        if not isinstance(results[0], np.ndarray | np.generic):
            return None
        return self._widened(np.asarray(results[0]), node.outputs[place])

    def _array(self, tensor: onnx.TensorProto) -> Array:
        if external_data_helper.uses_external_data(tensor):
            loaded = onnx.TensorProto()
            loaded.CopyFrom(tensor)
            external_data_helper.load_external_data_for_tensor(loaded, str(self.folder))
            tensor = loaded
        return numpy_helper.to_array(tensor)

    def _widened(self, array: Array, name: str) -> Array:
        return array.astype(np.float64) if self.is_float(name) else array

    def parameter(self, node: Node, name: str) -> Any:
        """An attribute, or the constant input that newer opsets have in its place.

        Returns:
            The attribute's value; an array's as nested tuples; ``None`` where it is not given.

        Raises:
            NotProved: It is computed at run time.
        """
        if name in node.attributes and node.attributes[name] is not None:
            return node.attributes[name]
        places = PARAMETERS.get(node.op, ())
        place = 1 + places.index(name) if name in places else len(node.inputs)
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        array = self.constant(node.inputs[place])
        if array is None:
            raise NotProved(f"{name} of {node.op} is computed at run time", node.outputs[0])
        return tuple(array.tolist()) if array.ndim else array.item()


def digest_of(path: str | Path) -> str:
    """SHA-256 over a file's bytes and, in the order of their names, its external files' bytes."""
    path = Path(path)
    hashed = hashlib.sha256()
    hashed.update(_digest(path))
    proto = onnx.load(str(path), load_external_data=False)
    external = {
        entry.value
        for tensor in external_data_helper._get_all_tensors(proto)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for location in sorted(external):
        hashed.update(location.encode() + b"\0" + _digest(path.parent / location))
    return hashed.hexdigest() if external else _digest(path).hex()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _node(proto: onnx.NodeProto, opsets: dict[str, int]) -> Node:
    domain = "" if proto.domain in _STANDARD else proto.domain
    version = opsets.get(domain, 1)
    attributes: dict[str, Any] = {}
    if not domain:
        schema = onnx.defs.get_schema(proto.op_type, version)
        for name, attribute in schema.attributes.items():
            default = attribute.default_value
            attributes[name] = _plain(helper.get_attribute_value(default)) if default.name else None
    for given in proto.attribute:
        if given.ref_attr_name:
            raise NotProved("an attribute refers to a function's")
        attributes[given.name] = _plain(helper.get_attribute_value(given))
    kernel = attributes.get("kernel_shape")
    if kernel:
        # What the specification says of windows where these are left out.
        for name, filled in (("strides", 1), ("dilations", 1), ("pads", 0)):
            if attributes.get(name) is None:
                attributes[name] = (filled,) * len(kernel) * (2 if name == "pads" else 1)
    inputs = list(proto.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    op = f"{domain}::{proto.op_type}" if domain else proto.op_type
    return Node(op, tuple(inputs), tuple(proto.output), attributes, version, proto)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, onnx.TensorProto):
        return (value.data_type, tuple(value.dims), numpy_helper.to_array(value).tobytes())
    if isinstance(value, onnx.GraphProto | onnx.SparseTensorProto | onnx.TypeProto):
        return value.SerializeToString(deterministic=True)
    return value


def _type_of(array: Array) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _float_type(graph: onnx.GraphProto) -> int:
    """The one float type that a model is of; 0 where there are several."""
    found = {t.data_type for t in graph.initializer}
    found |= {i.type.tensor_type.elem_type for i in graph.input}
    floats = found & set(_FLOATS)
    return floats.pop() if len(floats) == 1 else 0


def _divide(x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(x / y)


def _root(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(x))


_SIMPLE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Sqrt": _root,
    "Neg": np.negative,
    "Reciprocal": lambda x: _divide(np.ones(()), x),
    "Exp": np.exp,
    "Pow": np.power,
    "Identity": lambda x: x,
}
"""What constants are mostly computed with, in float64: continuous, so a rounding is no matter."""
