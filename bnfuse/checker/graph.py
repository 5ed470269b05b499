"""One ONNX file as the checker sees it: nodes in order, attributes written out, constants.

Nothing here comes from the rest of bnfuse: numpy and onnx only.
"""

from __future__ import annotations

__all__ = [
    "FLOOR",
    "PARAMETERS",
    "RANDOM",
    "Graph",
    "Node",
    "NotProved",
    "digest_of",
    "need",
    "words",
]

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, inliner, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from bnfuse.checker.definitions import DEFINITIONS, SWAPPED, Writing, name_of
from bnfuse.checker.lean import lean, stored_bytes

Array = NDArray[Any]
Shape = tuple[int | str | None, ...]

_UNITS: dict[int, float] = {
    TensorProto.FLOAT: 2.0**-24,
    TensorProto.DOUBLE: 2.0**-53,
    TensorProto.FLOAT16: 2.0**-11,
    TensorProto.BFLOAT16: 2.0**-8,
}
"""The float types that the laws speak of, and the relative error of rounding to each."""

FLOOR = {2.0**-24: 2.0**-149, 2.0**-53: 0.0, 2.0**-11: 2.0**-24, 2.0**-8: 2.0**-133}
"""The smallest number above zero of the type with that rounding unit."""

_SMALL, _KEPT = 1 << 16, 1 << 23
"""Bytes of a constant from which on it is large, and of all large ones that are kept."""


def words(text: str) -> tuple[str, ...]:
    """Names of ops."""
    return tuple(text.split())


RANDOM = words(
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
)
"""Ops that draw: two draws are never the same."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        words(
            "Squeeze Unsqueeze ReduceMean ReduceMax ReduceMin ReduceSum ReduceL1 ReduceL2 "
            "ReduceProd ReduceLogSumExp ReduceSumSquare"
        ),
        ("axes",),
    ),
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
"""What newer opsets take as an input behind the first, older ones took as an attribute."""


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


def need(premise: object, reason: str, value: str = "") -> None:
    """Demand a premise.

    Raises:
        NotProved: It does not hold.
    """
    if not premise:
        raise NotProved(reason, value)


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

    @classmethod
    def of(cls, proto: onnx.NodeProto, opsets: dict[str, int]) -> Node:
        """Fill in what the specification says where an attribute is left out."""
        op = name_of(proto)
        version = opsets.get("" if op == proto.op_type else proto.domain, 1)
        attributes: dict[str, Any] = {}
        if op == proto.op_type:
            for name, attribute in onnx.defs.get_schema(op, version).attributes.items():
                default = attribute.default_value
                attributes[name] = (
                    _plain(helper.get_attribute_value(default)) if default.name else None
                )
        for given in proto.attribute:
            need(not given.ref_attr_name, "an attribute refers to a function's")
            attributes[given.name] = _plain(helper.get_attribute_value(given))
        kernel = attributes.get("kernel_shape")
        if kernel:
            for name, filled in (("strides", 1), ("dilations", 1), ("pads", 0)):
                if attributes.get(name) is None:
                    attributes[name] = (filled,) * len(kernel) * (2 if name == "pads" else 1)
        inputs = list(proto.input)
        while inputs and not inputs[-1]:
            inputs.pop()
        return cls(op, tuple(inputs), tuple(proto.output), attributes, version, proto)

    @property
    def bodies(self) -> list[onnx.GraphProto]:
        """The graphs that it holds, as If and Loop do."""
        return [a.g for a in self.proto.attribute if a.type == onnx.AttributeProto.GRAPH]


@dataclass(eq=False)
class Graph:
    """A model's main graph.

    Attributes:
        proto: The model, large tensors of a file left in it.
        path: The file; the folder of external data is its own.
        nodes: In topological order.
        inputs: What is fed, by name: the proto.
        outputs: Likewise what comes out.
        producers: The node of each value and the place of the value among its outputs.
    """

    proto: onnx.ModelProto
    path: Path
    nodes: tuple[Node, ...] = ()
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    outputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    producers: dict[str, tuple[Node, int]] = field(default_factory=dict)
    _tensors: dict[str, TensorProto] = field(default_factory=dict)
    _types: dict[str, tuple[int, Shape | None]] = field(default_factory=dict)
    _constants: dict[str, Array | None] = field(default_factory=dict)
    _large: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> Graph:
        """Read a file.

        Raises:
            NotProved: The file holds what the checker does not speak of.
        """
        return cls.of(lean(Path(path)), Path(path))

    @classmethod
    def pair(
        cls, original: str | Path | onnx.ModelProto, candidate: str | Path | onnx.ModelProto
    ) -> tuple[Graph, Graph]:
        """Read both, ops written out by their definitions where the two have them otherwise.

        Raises:
            NotProved: One holds what the checker does not speak of.
        """
        sides = [
            (given, Path())
            if isinstance(given, onnx.ModelProto)
            else (lean(Path(given)), Path(given))
            for given in (original, candidate)
        ]
        x, y = (Counter(name_of(node) for node in proto.graph.node) for proto, _ in sides)
        kinds = {kind for kind in DEFINITIONS if x[kind] != y[kind]}
        first, second = (cls.of(proto, path, kinds) for proto, path in sides)
        return first, second

    @classmethod
    def of(
        cls, proto: onnx.ModelProto, path: Path | None = None, kinds: Collection[str] = ()
    ) -> Graph:
        """Take a model in memory.

        Args:
            proto: The model; it is not changed.
            path: The file that its large tensors lie in.
            kinds: Ops to write out by their definitions.

        Raises:
            NotProved: It holds what the checker does not speak of.
        """
        if proto.functions:
            proto = inliner.inline_local_functions(proto, True)
        self = cls(proto, path or Path())
        graph = proto.graph
        need(
            not graph.sparse_initializer and not proto.training_info,
            "sparse initializers and training information are not spoken of",
        )
        opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in proto.opset_import}
        fed_names = {i.name for i in graph.input}
        stored = {t.name: t for t in graph.initializer if t.name not in fed_names}
        written = Writing(_float_type(graph), opsets.get("", 1), kinds, stored)
        nodes = [made for node in graph.node for made in written.out(node)]
        self._tensors = {t.name: t for t in (*graph.initializer, *written.tensors)}
        need(
            len(self._tensors) == len(graph.initializer) + len(written.tensors),
            "two constants have one name",
        )
        # An initializer that is also an input can be fed another value (IR version 4 and later).
        for fed in graph.input:
            if fed.name not in self._tensors or proto.ir_version >= 4:
                self.inputs[fed.name] = fed
                self._tensors.pop(fed.name, None)
        self.outputs = {o.name: o for o in graph.output}
        while True:
            self.nodes = tuple(Node.of(node, opsets) for node in nodes)
            self._infer()
            # Which axes are the last two is known when the rank is.
            again = [self._unswapped(node) for node in nodes]
            if again == nodes:
                break
            nodes = again
        seen = {"", *self.inputs, *self._tensors}
        for node in self.nodes:
            need(
                seen.issuperset(node.inputs),
                f"{node.op} reads a value that no node before it gives",
            )
            for place, name in enumerate(node.outputs):
                need(not name or name not in seen, f"two nodes give {name!r}")
                seen.add(name)
                if name:
                    self.producers[name] = node, place
        need(seen.issuperset(self.outputs), "an output has no producer")
        return self

    def made(self, name: str) -> tuple[Node, int]:
        """The node of a value, and the place of the value among its outputs."""
        need(name in self.producers, f"no node gives {name!r}", name)
        return self.producers[name]

    def _unswapped(self, node: onnx.NodeProto) -> onnx.NodeProto:
        shape = self._types.get(node.input[0] if node.input else "", (0, None))[1]
        if name_of(node) != SWAPPED or shape is None:
            return node
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return helper.make_node("Transpose", list(node.input), list(node.output), perm=order)

    def _infer(self) -> None:
        """The types and shapes of all values, of the model without its large tensors' numbers."""
        plain, graph = onnx.ModelProto(), self.proto.graph
        plain.ir_version = self.proto.ir_version
        plain.opset_import.extend(self.proto.opset_import)
        plain.graph.name = graph.name
        plain.graph.node.extend(node.proto for node in self.nodes)
        plain.graph.input.extend(graph.input)
        for output in graph.output:
            # What shape it says that it has, nobody held it to.
            plain.graph.output.add(name=output.name)
        known = {i.name for i in graph.input}
        for name, tensor in self._tensors.items():
            if len(tensor.dims) <= 1 and np.prod(tensor.dims, dtype=int) <= 64:
                plain.graph.initializer.append(tensor)
            elif name not in known:
                info = helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
                plain.graph.input.append(info)
        inferred = shape_inference.infer_shapes(plain, data_prop=True).graph
        for info in (*inferred.value_info, *inferred.output, *self.inputs.values()):
            kind = info.type.tensor_type
            dims = (
                d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
                for d in kind.shape.dim
            )
            self._types[info.name] = kind.elem_type, tuple(dims) if kind.HasField("shape") else None
        for name, tensor in self._tensors.items():
            self._types[name] = tensor.data_type, tuple(tensor.dims)

    def dtype(self, name: str) -> int:
        """The element type of a value; 0 where it is not known."""
        return self._types.get(name, (0, None))[0]

    def unit(self, name: str) -> float:
        """The relative error of rounding to a float value's type."""
        need(self.is_float(name), f"{name!r} has no float type that the laws speak of", name)
        return _UNITS[self.dtype(name)]

    def is_float(self, name: str) -> bool:
        """Whether a value is of one of the float types that the laws speak of."""
        return self.dtype(name) in _UNITS

    def shape(self, name: str) -> Shape:
        """The dimensions of a value: a number, a symbol, or ``None``.

        Raises:
            NotProved: Not even its rank is known.
        """
        shape = self._types.get(name, (0, None))[1]
        if shape is None:
            raise NotProved(f"the rank of {name!r} is not known", name)
        return shape

    def is_constant(self, name: str) -> bool:
        """Whether no input reaches a value."""
        return name in self._tensors or self.constant(name) is not None

    def constant(self, name: str) -> Array | None:
        """The numbers of a value that no input reaches; floats in float64, ``None`` if reached.

        A rounding that a Cast to a narrower float makes is carried out.
        """
        stack = [name]
        while stack:
            value = stack[-1]
            made = self.producers.get(value)
            missing = [i for i in made[0].inputs if i not in self._constants] if made else []
            if missing and value not in self._constants:
                stack += missing
                continue
            stack.pop()
            if value not in self._constants:
                self._constants[value] = found = self._evaluate(value)
                if found is not None and found.nbytes >= _SMALL:
                    self._large[value] = found.nbytes
        found = self._constants[name]
        while sum(self._large.values()) > _KEPT:
            # Each is read again if it is needed.
            oldest = next(iter(self._large))
            del self._large[oldest], self._constants[oldest]
        return found

    def _evaluate(self, name: str) -> Array | None:
        if name in self._tensors:
            return self._widened(stored_bytes(self._tensors[name], self.path), name)
        if name not in self.producers:
            return None
        node, place = self.producers[name]
        names = [i for i in node.inputs if i]
        if node.op == "Shape" or (node.op == "Gather" and self._op_of(names[0]) == "Shape"):
            return self._sizes(node)
        inputs: list[Any] = [self._constants[i] for i in names]
        if any(value is None for value in inputs) or node.op in RANDOM or node.bodies:
            return None
        if node.op in _SIMPLE and all(self.is_float(i) for i in names):
            with np.errstate(all="ignore"):
                return np.asarray(_SIMPLE[node.op](*inputs))
        # In the declared types: where numbers are compared, cut off or made integers, the
        # rounding is part of the meaning.
        values = [
            v.astype(helper.tensor_dtype_to_np_dtype(self.dtype(i))) if self.is_float(i) else v
            for i, v in zip(names, inputs, strict=True)
        ]
        if sum(v.size for v in values) > 1 << 26:
            return None
        types = [helper.np_dtype_to_tensor_dtype(v.dtype) for v in values]
        fed = [
            helper.make_tensor_value_info(i, kind, v.shape)
            for i, kind, v in zip(names, types, values, strict=True)
        ]
        outputs = [helper.make_empty_tensor_value_info(o) for o in node.outputs if o]
        graph = helper.make_graph([node.proto], "constant", fed, outputs)
        model = helper.make_model(graph, opset_imports=self.proto.opset_import)
        try:
            feeds = dict(zip(names, values, strict=True))
            results: Any = ReferenceEvaluator(model).run([node.outputs[place]], feeds)
        except Exception:
            return None
        is_array = isinstance(results[0], np.ndarray | np.generic)
        return self._widened(np.asarray(results[0]), name) if is_array else None

    def _op_of(self, name: str) -> str:
        return self.producers[name][0].op if name in self.producers else ""

    def _sizes(self, node: Node) -> Array | None:
        """What a Shape, or a Gather of one, gives where the sizes are declared; none is guessed."""
        index: Any = slice(None)
        if node.op == "Gather":
            index, node = self._constants[node.inputs[1]], self.producers[node.inputs[0]][0]
        dims = self._types.get(node.inputs[0], (0, None))[1]
        if dims is None or index is None:
            return None
        start, end = node.attributes.get("start") or 0, node.attributes.get("end")
        chosen = np.array(dims[start:end], object)[index]
        known = all(isinstance(size, int) for size in np.ravel(chosen))
        return np.asarray(chosen, np.int64) if known else None

    def _widened(self, array: Array, name: str) -> Array:
        return array.astype(np.float64) if self.is_float(name) else array

    def parameter(self, node: Node, name: str) -> Any:
        """An attribute, or the constant input that newer opsets have in its place.

        Returns:
            The attribute's value; an array's as nested tuples; ``None`` where it is not given.

        Raises:
            NotProved: It is computed at run time.
        """
        if node.attributes.get(name) is not None:
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
    own = _digest(path)
    external = {
        entry.value
        for tensor in external_data_helper._get_all_tensors(lean(path))
        for entry in tensor.external_data
        if entry.key == "location" and entry.value
    }
    hashed = hashlib.sha256(own)
    for location in sorted(external):
        hashed.update(location.encode() + b"\0" + _digest(path.parent / location))
    return hashed.hexdigest() if external else own.hex()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, TensorProto):
        return (value.data_type, tuple(value.dims), numpy_helper.to_array(value).tobytes())
    if isinstance(value, onnx.GraphProto | onnx.SparseTensorProto | onnx.TypeProto):
        return value.SerializeToString(deterministic=True)
    return value


def _float_type(graph: onnx.GraphProto) -> int:
    """The one float type that a model is of; 0 where there are several."""
    found = {t.data_type for t in graph.initializer}
    found |= {i.type.tensor_type.elem_type for i in graph.input}
    floats = found & set(_UNITS)
    return floats.pop() if len(floats) == 1 else 0


_SIMPLE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Sqrt": np.sqrt,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Pow": np.power,
    "Identity": np.asarray,
}
"""What constants are mostly computed with, in float64: continuous, so a rounding is no matter."""
