"""Reading ONNX files without torch, weights left in place, nothing of the file believed unseen."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, DamagedFileError, LoadError, UnsafeFileError
from bnfuse.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx
    import onnx_ir as ir

__all__ = ["read_onnx"]

_LARGE = 1 << 20
_SLACK = 1 << 16
"""What name, shape and documentation of a tensor may add to its bytes."""


def read_onnx(path: Path) -> ir.Model:
    """Read a model; large weights stay in their files and are mapped when they are needed.

    Raises:
        UnsafeFileError: Its external data lies outside the model's own folder.
        LoadError: It is damaged, has no graph worth the name, or lacks its external data.
    """
    from bnfuse.onnxfiles.protos import model_of

    try:
        model = model_of(_parse(path))
        _check_tensors(path, model)
        _check_graphs(path, model)
        _map_tensors(path, model)
    except BnfuseError:
        raise
    except (Exception, MemoryError) as error:
        raise DamagedFileError(
            f"{path} cannot be read as ONNX: {type(error).__name__}: {first_line(error)}.",
            "Copy or download the file again.",
        ) from error
    return model


def _parse(path: Path) -> onnx.ModelProto:
    import onnx

    from bnfuse.onnxfiles.outline import outline

    with path.open("rb") as file:
        message = outline(file, path.resolve().name)
        if message is None:
            file.seek(0)
            message = file.read()
    model: onnx.ModelProto = onnx.ModelProto.FromString(message)
    return model


def _map_tensors(path: Path, model: ir.Model) -> None:
    """Let each tensor that lies in a file be mapped only as long as it is looked at."""
    import onnx_ir as ir

    from bnfuse.onnxfiles.mapped import MappedFile, MappedTensor

    folder = path.resolve().parent
    files: dict[str, MappedFile] = {}
    for tensor, put in tuple(_tensors(model)):
        if isinstance(tensor, ir.ExternalTensor):
            location = str(tensor.location)
            if location not in files:
                files[location] = MappedFile(folder / location)
            put(MappedTensor(tensor, files[location]))


def _check_graphs(path: Path, model: ir.Model) -> None:
    if not model.graph.outputs:
        raise DamagedFileError(f"{path} is an ONNX file whose graph has no outputs.")
    versions = model.opset_imports
    if not versions:
        raise DamagedFileError(f"{path} is cut off or damaged: it names no opset.")
    for domain in ("", "ai.onnx"):
        if domain in versions and not 1 <= versions[domain] <= 1 << 16:
            raise DamagedFileError(f"{path} is for opset {versions[domain]}, which does not exist.")
    known = {(function.domain, function.name) for function in model.functions.values()}
    for outer in (model.graph, *model.functions.values()):
        _check_graph(path, outer, known)


def _graphs(model: ir.Model) -> Iterator[Any]:
    """The graph, the functions and the graphs inside their nodes."""
    outers: list[Any] = [model.graph, *model.functions.values()]
    for outer in outers:
        yield outer
        yield from outer.subgraphs()


def _check_graph(path: Path, graph: Any, functions: set[tuple[str, str]]) -> None:
    """Names must be defined before they are used, and standard operators must exist."""
    import onnx

    for node in graph.all_nodes():
        is_own = node.domain or (node.domain, node.op_type) in functions
        if not is_own and not onnx.defs.has(node.op_type, ""):
            raise DamagedFileError(
                f"{path} has a node of type {node.op_type}, which ONNX does not define."
            )
    for node in graph:
        for value in node.inputs:
            if value is not None and not _is_made(value):
                raise DamagedFileError(
                    f"{path} is damaged: {node.op_type} reads {value.name}, which nothing makes."
                )
    for output in graph.outputs:
        if not _is_made(output):
            raise DamagedFileError(f"{path} is damaged: nothing makes the output {output.name}.")


def _is_made(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def _check_tensors(path: Path, model: ir.Model) -> None:
    """Compare each tensor's shape with its bytes, and keep external files in their folder."""
    import onnx_ir as ir

    folder = path.resolve().parent
    sizes: dict[str, int] = {}
    for tensor, _ in _tensors(model):
        if tensor.dtype in (ir.DataType.STRING, ir.DataType.UNDEFINED):
            continue
        if any(not isinstance(size, int) or size < 0 for size in tensor.shape):
            raise DamagedFileError(f"{path} is damaged: tensor {tensor.name} has no valid shape.")
        wanted = math.ceil(math.prod(tensor.shape) * tensor.dtype.itemsize)
        if isinstance(tensor, ir.ExternalTensor):
            _check_external(path, folder, tensor, wanted, sizes)
        elif (there := _inline_bytes(tensor, wanted)) is not None and there != wanted:
            raise _wrong_length(path, tensor, there, wanted)


def _wrong_length(path: Path, tensor: Any, there: int, wanted: int) -> DamagedFileError:
    return DamagedFileError(
        f"{path} is damaged: tensor {tensor.name} of shape {tuple(tensor.shape)} has "
        f"{there:,} bytes instead of {wanted:,}."
    )


def _check_external(
    path: Path, folder: Path, tensor: ir.ExternalTensor, wanted: int, sizes: dict[str, int]
) -> None:
    location = str(tensor.location)
    if location not in sizes:
        target = folder / location
        if Path(location).is_absolute() or not target.resolve().is_relative_to(folder):
            raise UnsafeFileError(
                f"{path} wants to read {location}, which is outside its own folder.",
                "Do not load it, unless you move that file beside it and correct the name.",
            )
        if not target.is_file():
            raise LoadError(
                f"{path} keeps its weights in {location}, which is not there.",
                "Put that file beside the model: the two belong together.",
            )
        sizes[location] = target.stat().st_size
    offset, length = tensor.offset or 0, tensor.length
    if location == path.resolve().name and length != wanted:
        raise _wrong_length(path, tensor, length or 0, wanted)
    there = sizes[location] - offset if length is None else length
    if offset < 0 or there < wanted or offset + wanted > sizes[location]:
        raise DamagedFileError(
            f"{path}: {location} is cut off or of another model: tensor {tensor.name} wants bytes "
            f"{offset:,} to {offset + wanted:,} of {sizes[location]:,}.",
            "Copy or download both files again.",
        )


def _inline_bytes(tensor: Any, wanted: int) -> int | None:
    """Bytes that a tensor inside the file has, or None where they are not kept as bytes."""
    proto: Any = getattr(tensor, "raw", None)
    if proto is None:
        return None
    if hasattr(proto, "HasField") and proto.HasField("raw_data"):
        # Asking for the bytes of a field copies them: for large ones the message's size will do.
        size: int = proto.ByteSize()
        return len(proto.raw_data) if size < _LARGE else wanted + max(0, size - wanted - _SLACK)
    if hasattr(proto, "float_data") and tensor.dtype.name == "FLOAT":
        return 4 * len(proto.float_data)
    if hasattr(proto, "int64_data") and tensor.dtype.name == "INT64":
        return 8 * len(proto.int64_data)
    return None


def _tensors(model: ir.Model) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """Every tensor, and what puts another in its place."""
    import onnx_ir as ir

    def put(node: ir.Node, name: str, tensor: Any) -> None:
        node.attributes.add(ir.AttrTensor(name, tensor))

    def put_in(node: ir.Node, name: str, tensors: list[Any], position: int, tensor: Any) -> None:
        tensors[position] = tensor
        node.attributes.add(ir.AttrTensors(name, tensors))

    for graph in _graphs(model):
        for value in getattr(graph, "initializers", {}).values():
            if value.const_value is not None:
                yield value.const_value, partial(setattr, value, "const_value")
        for node in graph:
            for attribute in tuple(node.attributes.values()):
                if attribute.is_ref():
                    continue
                if attribute.type is ir.AttributeType.TENSOR:
                    yield attribute.value, partial(put, node, attribute.name)
                elif attribute.type is ir.AttributeType.TENSORS:
                    tensors = list(attribute.value)
                    for position, tensor in enumerate(tensors):
                        yield tensor, partial(put_in, node, attribute.name, tensors, position)
