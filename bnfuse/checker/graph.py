"""One ONNX file as the checker sees it: nodes in order, what is fed and what comes out.

Nothing here comes from the rest of bnfuse: numpy and onnx only.
"""

from __future__ import annotations

__all__ = ["Graph", "digest_of"]

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import external_data_helper, helper, inliner, shape_inference

from bnfuse.checker.definitions import DEFINITIONS, SWAPPED, Writing, name_of
from bnfuse.checker.lean import lean
from bnfuse.checker.nodes import Node, NotProved, need
from bnfuse.checker.sizes import OPEN, TIMES, Size
from bnfuse.checker.told import follow, uncut
from bnfuse.checker.values import UNITS_OF, Values


@dataclass(eq=False)
class Graph(Values):
    """A model's main graph.

    Attributes:
        nodes: In topological order, but those that give what they are given.
        inputs: What is fed, by name: the proto.
        outputs: Likewise what comes out.
        defaults: The constants that an input has where it is not fed.
        opsets: The version of each operator set.
    """

    nodes: tuple[Node, ...] = ()
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    outputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    defaults: dict[str, onnx.TensorProto] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)

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
        for function in proto.functions:
            known = function.domain in ("", "ai.onnx", "com.microsoft")
            known = known or onnx.defs.has(function.name, domain=function.domain)
            need(
                not known and not function.attribute_proto,
                f"the function {function.name!r} is not spoken of",
            )
        if proto.functions:
            proto = inliner.inline_local_functions(proto, True)
        self = cls(proto, path or Path())
        graph = proto.graph
        need(
            not graph.sparse_initializer and not proto.training_info,
            "sparse initializers and training information are not spoken of",
        )
        tensors = external_data_helper._get_all_tensors(proto)
        outside = sum(map(external_data_helper.uses_external_data, tensors))
        stored = sum(map(external_data_helper.uses_external_data, graph.initializer))
        need(outside == stored, "a constant in a body or an attribute lies in another file")
        opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in proto.opset_import}
        self.opsets = opsets
        written = Writing(graph, _float_type(graph), opsets.get("", 1), kinds)
        protos = [made for node in graph.node for made in written.out(node)]
        self.tensors = {t.name: t for t in (*graph.initializer, *written.tensors)}
        need(
            len(self.tensors) == len(graph.initializer) + len(written.tensors),
            "two constants have one name",
        )
        # An initializer that is also an input can be fed another value (IR version 4 and later).
        for fed in graph.input:
            if fed.name not in self.tensors or proto.ir_version >= 4:
                self.inputs[fed.name] = fed
                if fed.name in self.tensors:
                    self.defaults[fed.name] = self.tensors.pop(fed.name)
        self.outputs = {o.name: o for o in graph.output}
        need(len(self.outputs) == len(graph.output), "two outputs have one name")
        self._infer(protos)
        while protos != (again := [self._unswapped(node) for node in protos]):
            # Which axes are the last two is known when the rank is.
            protos = again
            self._infer(protos)
        seen, nodes = {"", *self.inputs, *self.tensors}, []
        for node in (Node.of(made, opsets) for made in protos):
            known = seen.issuperset(node.inputs)
            need(known, f"{node.op} reads a value that no node before it gives")
            node = replace(node, inputs=tuple(map(self.same, node.inputs)))
            need(self._is_sized_alike(node), f"sizes of {node.op} on which runtimes differ")
            for place, name in enumerate(node.outputs):
                need(not name or name not in seen, f"two nodes give {name!r}")
                seen.add(name)
                self.producers[name] = node, place
            given = self._given(node)
            if given:
                del self.producers[node.outputs[0]]
                self.aliases[node.outputs[0]] = given
            else:
                nodes.append(node)
                follow(self, node)
        self.producers.pop("", None)
        need(seen.issuperset(self.outputs), "an output has no producer")
        self.nodes = tuple(nodes)
        return self

    def _is_sized_alike(self, node: Node) -> bool:
        """Whether shape inference and runtimes give the results of a node one size.

        A last window that begins in the padding runtimes leave out, what is added beside a size
        that is kept they leave out as well, and a size that comes near a whole number they round
        in another way. Axes from behind are none before operator set 11, and taken all the same.
        What no size fits is inferred to have one all the same.
        """
        a, op = node.attributes, node.op
        same = str(a.get("auto_pad")).startswith("SAME")
        if op.endswith("Pool") and a.get("kernel_shape"):
            if same:
                return set(a["dilations"]) == {1} and not a.get("ceil_mode")
            return not a.get("ceil_mode") or self._windows_begin_inside(node)
        if op == "ConvTranspose":
            return not (same and any(a.get("output_padding") or ()))
        if op in ("Squeeze", "Unsqueeze") and node.opset < 11:
            return min(a.get("axes") or (0,)) >= 0
        if op == "Slice" and node.opset == 10:
            sizes = self.types.get(node.inputs[0], (0, None))[1] or (None,)
            cut = [size for axis, size in enumerate(sizes) if axis not in uncut(self, node)]
            return all(isinstance(size, int) for size in cut)
        if op == "Resize" and len(node.inputs) > 2 and node.inputs[2]:
            sizes = self.types.get(node.inputs[0], (0, None))[1] or ()
            scales = self.constant(node.inputs[2])
            pairs = zip(sizes, () if scales is None else scales.tolist(), strict=False)
            whole = [
                n * scale for n, scale in pairs if isinstance(n, int) and not scale.is_integer()
            ]
            return all(n.is_integer() or abs(n - round(n)) > 1e-3 for n in whole)
        if op == "Expand":
            sizes = self.types.get(node.inputs[0], (0, None))[1] or ()
            given = self.sizes(node.inputs[1])
            pairs = zip(reversed(sizes), reversed(() if given is None else given), strict=False)
            return all(len({n for n in pair if isinstance(n, int)} - {1}) <= 1 for pair in pairs)
        return op != "STFT" or bool("".join(node.inputs[2:3]))

    def _windows_begin_inside(self, node: Node) -> bool:
        a = node.attributes
        sizes = [self.types.get(name, (0, None))[1] for name in (node.inputs[0], node.outputs[0])]
        spatial = zip(*(size[2:] for size in sizes if size), a["strides"], a["pads"], strict=False)
        return None in sizes or all(
            (count - 1) * step < size + pad
            for size, count, step, pad in spatial
            if isinstance(size, int) and isinstance(count, int)
        )

    def _given(self, node: Node) -> str:
        """The input that a node's one result is under another name; empty where it is none."""
        place, gives = 0, node.op == "Identity"
        try:
            if node.op == "Cast":
                gives = self.dtype(node.inputs[0]) == self.dtype(node.outputs[0]) != 0
            elif node.op == "Dropout":
                old = node.opset < 7 and not node.attributes.get("is_test")
                trains = old or self.parameter(node, "training_mode")
                gives = not trains and sum(map(bool, node.outputs)) == 1
            elif node.op == "Slice":
                gives = len(uncut(self, node)) == len(self.shape(node.inputs[0]))
            elif node.op == "Where":
                chosen = self.constant(node.inputs[0])
                if chosen is not None and chosen.size:
                    place = 1 if chosen.flat[0] else 2
                    gives = bool(np.all(chosen == chosen.flat[0])) and self._as_large(node, place)
            elif node.op == "ScatterND":
                place, gives = 2, self._writes_all(node) and self._as_large(node, 2)
        except NotProved:
            return ""
        return node.inputs[place] if gives else ""

    def _as_large(self, node: Node, place: int) -> bool:
        """Whether an input has the shape of the result."""
        shapes = [self.shape(name) for name in (node.inputs[place], node.outputs[0])]
        return shapes[0] == shapes[1] and None not in shapes[0]

    def _writes_all(self, node: Node) -> bool:
        """Whether the indices of a ScatterND are those of all rows, in order: [[0], [1], …]."""
        if node.attributes.get("reduction") not in (None, "none"):
            return False
        rows, indices = self.shape(node.inputs[0])[0], self.constant(node.inputs[1])
        if indices is not None:
            return isinstance(rows, int) and np.array_equal(indices, np.arange(rows)[:, None])
        column, _ = self.made(node.inputs[1])
        counted, _ = self.producers.get(column.inputs[0], (None, 0))
        if column.op != "Unsqueeze" or counted is None or counted.op != "Range" or rows is None:
            return False
        first, last, step = map(self.sizes, counted.inputs)
        told = [None if t is None or t.size != 1 else t.item() for t in (first, last, step)]
        return self.parameter(column, "axes") in ((-1,), (1,)) and told == [0, rows, 1]

    def _unswapped(self, node: onnx.NodeProto) -> onnx.NodeProto:
        shape = self.types.get(node.input[0] if node.input else "", (0, None))[1]
        if name_of(node) != SWAPPED or shape is None:
            return node
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return helper.make_node("Transpose", list(node.input), list(node.output), perm=order)

    def _infer(self, nodes: list[onnx.NodeProto]) -> None:
        """The types and shapes of all values, of the model without its large tensors' numbers."""
        plain, graph = onnx.ModelProto(), self.proto.graph
        plain.ir_version = self.proto.ir_version
        plain.opset_import.extend(self.proto.opset_import)
        plain.graph.name = graph.name
        plain.graph.node.extend(map(_without_claims, nodes))
        plain.graph.input.extend(graph.input)
        fed = [d.dim_value for i in graph.input for d in i.type.tensor_type.shape.dim]
        need(min(fed, default=0) >= 0, "a size below 0")
        for output in graph.output:
            # What shape it says that it has, nobody held it to.
            plain.graph.output.add(name=output.name)
        known = {i.name for i in graph.input}
        for name, tensor in self.tensors.items():
            if len(tensor.dims) <= 1 and np.prod(tensor.dims, dtype=int) <= 64:
                plain.graph.initializer.append(tensor)
            elif name not in known:
                info = helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
                plain.graph.input.append(info)
        inferred = shape_inference.infer_shapes(plain).graph
        declared = {
            d.dim_param
            for i in graph.input
            for d in i.type.tensor_type.shape.dim
            if OPEN not in d.dim_param and TIMES not in d.dim_param
        }
        for info in (*inferred.value_info, *inferred.output, *self.inputs.values()):
            kind = info.type.tensor_type
            dims: list[Size] = [
                d.dim_value if d.HasField("dim_value") else d.dim_param or None
                for d in kind.shape.dim
            ]
            # What inference names, it names in this graph alone.
            dims = [OPEN + d if isinstance(d, str) and d not in declared else d for d in dims]
            self.types[info.name] = kind.elem_type, tuple(dims) if kind.HasField("shape") else None
        for name, tensor in self.tensors.items():
            self.types[name] = tensor.data_type, tuple(tensor.dims)


def _without_claims(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node without the sizes that the values of its bodies are said to have."""
    if not any(attribute.HasField("g") for attribute in node.attribute):
        return node
    plain = onnx.NodeProto()
    plain.CopyFrom(node)
    for attribute in plain.attribute:
        del attribute.g.value_info[:]
        for value in (*attribute.g.input, *attribute.g.output):
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
        inner = list(map(_without_claims, attribute.g.node))
        del attribute.g.node[:]
        attribute.g.node.extend(inner)
    return plain


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


def _float_type(graph: onnx.GraphProto) -> int:
    """The one float type that a model is of; 0 where there are several."""
    found = {t.data_type for t in graph.initializer}
    found |= {i.type.tensor_type.elem_type for i in graph.input}
    floats = found & set(UNITS_OF)
    return floats.pop() if len(floats) == 1 else 0
