"""The ONNX models under judgement, whatever form they came in, and their signatures."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from bnfuse.errors import LoadError
from bnfuse.loading import FileKind, detect
from bnfuse.suggestion import meant_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

__all__ = [
    "ModelSignature",
    "OnnxSource",
    "Port",
    "constant_tensors",
    "is_onnx",
    "node_uses",
    "onnx_source",
    "signature_gate",
    "signature_of",
    "weight_count",
]

# Above this protobuf refuses to serialise; weights then have to lie in a file of their own.
_PROTOBUF_LIMIT = 2**31 - 1

# What an export leaves in the model whose forward takes another path beyond some sizes.
_SIZES = "bnfuse.sizes"
_LARGEST = 1 << 16


@dataclass(frozen=True)
class Port:
    """An input or output: ``dims`` holds numbers, symbols or None, and is None for any rank."""

    name: str
    elem_type: int
    dims: tuple[int | str | None, ...] | None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy dtype; None for sequences, maps and optionals."""
        if not self.elem_type:
            return None
        return onnx.helper.tensor_dtype_to_np_dtype(self.elem_type)


@dataclass(frozen=True)
class ModelSignature:
    """What a model takes and gives, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class OnnxSource:
    """One ONNX model: a file, or a model in memory.

    Attributes:
        label: How to name it in messages.
        path: The file, where there is one.
        given: The model, where it came in memory.
    """

    label: str
    path: Path | None = None
    given: onnx.ModelProto | None = None
    _folder: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list, repr=False)

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The model without the data of its external tensors."""
        if self.given is not None:
            return self.given
        assert self.path is not None
        try:
            return onnx.load(self.path, load_external_data=False)
        except Exception as error:
            raise LoadError(
                f"{self.path} cannot be read as ONNX: {str(error).rstrip('.')}.",
                "Give a complete .onnx file.",
            ) from error

    @property
    def bounds(self) -> dict[str, tuple[int | None, int | None]]:
        """The least and the largest size of each symbol, where the model says that it has some."""
        said = next((p.value for p in self.graph.metadata_props if p.key == _SIZES), "{}")
        try:
            read = {str(name): (low, high) for name, (low, high) in json.loads(said).items()}
        except (ValueError, TypeError, AttributeError):
            return {}
        ends = {end for bounds in read.values() for end in bounds if end is not None}
        return read if all(type(end) is int and 0 < end <= _LARGEST for end in ends) else {}

    def value(self, tensor: onnx.TensorProto) -> np.ndarray[Any, Any] | None:
        """Return the numbers of a constant of the graph, or None where they cannot be read."""
        if not uses_external_data(tensor):
            return onnx.numpy_helper.to_array(tensor)
        if self.path is None:
            return None
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        try:
            load_external_data_for_tensor(copy, str(self.path.parent))
            return onnx.numpy_helper.to_array(copy)
        except Exception:
            # Whoever opens the model is told what is wrong with its data.
            return None

    def proto(self) -> onnx.ModelProto:
        """Return a copy of the model with all its data."""
        if self.path is not None:
            return onnx.load(self.path)
        copy = onnx.ModelProto()
        copy.CopyFrom(self.graph)
        return copy

    def session_input(self) -> str | bytes:
        """Return what a runtime session opens: a path where possible, else bytes."""
        if self.path is not None:
            return str(self.path)
        return self.runnable(self.graph)

    def runnable(self, proto: onnx.ModelProto) -> str | bytes:
        """Return ``proto`` as bytes, or as a temporary file if it is too large for bytes."""
        if proto.ByteSize() < _PROTOBUF_LIMIT:
            return bytes(proto.SerializeToString())
        folder = tempfile.TemporaryDirectory(prefix="bnfuse-")
        self._folder.append(folder)
        path = Path(folder.name, "model.onnx")
        onnx.save_model(proto, path, save_as_external_data=True, location="model.onnx.data")
        return str(path)

    def exposing(self, names: Iterable[str]) -> str | bytes:
        """Return the model, runnable, with ``names`` as its only outputs, in their order."""
        proto = self.proto()
        known = {item.name: item for item in proto.graph.output}
        del proto.graph.output[:]
        # The runtime infers the types of outputs that have none.
        proto.graph.output.extend(
            known.get(name) or onnx.ValueInfoProto(name=name) for name in names
        )
        return self.runnable(proto)

    @cached_property
    def signature(self) -> ModelSignature:
        """The model's inputs (initialisers are none) and outputs."""
        return signature_of(self.graph)


def onnx_source(model: Any, label: str) -> OnnxSource:
    """Return ``model`` (a path, ``onnx.ModelProto`` or ``onnx_ir.Model``) as a source.

    Raises:
        LoadError: The path does not exist, or the object is no ONNX model.
    """
    if isinstance(model, onnx.ModelProto):
        return OnnxSource(label, given=model)
    if isinstance(model, (str, Path)):
        path = Path(model)
        if not path.is_file():
            raise LoadError(f"There is no file {path}.", meant_file(path) or "Check the path.")
        return OnnxSource(str(path), path=path)
    if type(model).__module__.split(".")[0] == "onnx_ir":
        import onnx_ir

        return OnnxSource(label, given=onnx_ir.to_proto(model))
    raise LoadError(
        f"{type(model).__name__} is not an ONNX model.",
        "Give a path, an onnx.ModelProto or an onnx_ir.Model.",
    )


def is_onnx(model: Any) -> bool:
    """Return whether ``model`` can be judged without torch: a path to ONNX or a model in memory."""
    if isinstance(model, (str, Path)):
        path = Path(model)
        kind = detect(path) if path.exists() else FileKind.UNKNOWN
        # What is no model at all is for ONNX's own readers to judge, where it is called so.
        named = path.suffix.lower() in {".onnx", ".ort"}
        return kind is FileKind.ONNX or (named and not kind.is_model)
    return type(model).__module__.split(".")[0] in {"onnx", "onnx_ir"}


def signature_of(proto: onnx.ModelProto) -> ModelSignature:
    """Return the inputs and outputs of ``proto``."""
    constants = {item.name for item in proto.graph.initializer}
    constants |= {item.values.name for item in proto.graph.sparse_initializer}
    return ModelSignature(
        tuple(_port(item) for item in proto.graph.input if item.name not in constants),
        tuple(_port(item) for item in proto.graph.output),
    )


def weight_count(proto: onnx.ModelProto) -> int:
    """Return how many numbers the initialisers of ``proto`` hold."""
    return sum(math.prod(item.dims) for item in proto.graph.initializer)


def signature_gate(original: ModelSignature, candidate: ModelSignature) -> str:
    """Gate 1: the same inputs and outputs by name, order and count, of the same types."""
    for kind in ("inputs", "outputs"):
        own = getattr(original, kind)
        new = getattr(candidate, kind)
        names, others = [port.name for port in own], [port.name for port in new]
        if len(names) != len(others):
            return (
                f"the candidate has {len(others)} {kind} {others}, "
                f"the original {len(names)} {names}"
            )
        if names != others:
            what = "in another order" if sorted(names) == sorted(others) else "by other names"
            return f"the candidate has its {kind} {what}: {others}, the original {names}"
        for one, two in zip(own, new, strict=True):
            if one.elem_type != two.elem_type:
                return f"{kind[:-1]} {one.name!r} is {two.dtype}, the original's is {one.dtype}"
            if one.dims is not None and two.dims is not None and len(one.dims) != len(two.dims):
                return (
                    f"{kind[:-1]} {one.name!r} has rank {len(two.dims)}, the original's has "
                    f"{len(one.dims)}"
                )
    return ""


def _port(info: onnx.ValueInfoProto) -> Port:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return Port(info.name, tensor.elem_type, None)
    dims: list[int | str | None] = []
    for dim in tensor.shape.dim:
        # Some exporters write -1 where any size may stand.
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or None)
    return Port(info.name, tensor.elem_type, tuple(dims))


def constant_tensors(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the initialisers and the tensors of ``Constant`` nodes by name."""
    found = {item.name: item for item in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], item.t) for item in node.attribute if item.HasField("t"))
    return found


def node_uses(node: onnx.NodeProto) -> Iterable[str]:
    """Yield the names that a node reads, its subgraphs' captures included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
        for graph in graphs:
            for inner in graph.node:
                yield from node_uses(inner)
            yield from (output.name for output in graph.output)
