"""Reach the opset that was asked for, and see that the result is a valid model."""

from __future__ import annotations

__all__ = ["BFLOAT16_OPSET", "DEFAULT_OPSET", "check", "checked_opset", "converted"]

import itertools
import re
from typing import TYPE_CHECKING

import onnx
import torch

from bnfuse.errors import ExportError
from bnfuse.exporting.naming import restore_metadata, unique_names
from bnfuse.exporting.quiet import quiet
from bnfuse.exporting.request import RefusedError, one_sentence
from bnfuse.exporting.skeleton import skeleton

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from bnfuse.examples import ExampleInputs

DEFAULT_OPSET = 20
"""What PyTorch's exporter recommends, and the newest that the tracing exporter writes."""

BFLOAT16_OPSET = 22
"""The first in which Conv and the other layers take bfloat16."""

_OLDEST, _NEWEST = 9, 23


def checked_opset(opset: int | None, module: nn.Module, inputs: ExampleInputs) -> int:
    """Return the opset to aim for: the one asked for, or the default for the module's types.

    Raises:
        ExportError: No exporter reaches this version.
    """
    if opset is None:
        tensors = itertools.chain(inputs.args, module.parameters(), module.buffers())
        half = any(tensor.dtype == torch.bfloat16 for tensor in tensors)
        return BFLOAT16_OPSET if half else DEFAULT_OPSET
    if not isinstance(opset, int) or not _OLDEST <= opset <= _NEWEST:
        raise ExportError(
            f"Opset {opset!r} cannot be written.",
            f"Choose one from {_OLDEST} to {_NEWEST}; the default is {DEFAULT_OPSET}.",
        )
    return opset


def converted(model: ir.Model, opset: int) -> ir.Model:
    """Bring a model to another opset with ONNX's version converter.

    Raises:
        RefusedError: The converter does not know how to write one of the operators.
    """
    if model.opset_imports.get("", 0) == opset:
        return model
    bare = skeleton(model, keep_foldable=False)
    try:
        with quiet():
            proto = onnx.version_converter.convert_version(bare.proto, opset)
        result = bare.restored(proto)
        _drop_newer_defaults(result, model.opset_imports.get("", 0), opset)
        check(result)
    except ExportError as error:
        raise RefusedError(f"opset {opset} is out of reach: {error.args[0]}") from error
    except Exception as error:
        raise RefusedError(f"opset {opset} is out of reach: {_clause(error)}") from error
    restore_metadata(model, result)
    unique_names(result)
    return result


def _drop_newer_defaults(model: ir.Model, before: int, after: int) -> None:
    """Drop attributes that the older operator lacks, where they say what it does anyway.

    The converter leaves ``noop_with_empty_axes=0`` on an old ReduceMean, for one.
    """
    for node in model.graph.all_nodes():
        if node.domain or not onnx.defs.has(node.op_type, max_inclusive_version=after):
            continue
        old = onnx.defs.get_schema(node.op_type, after).attributes
        new = onnx.defs.get_schema(node.op_type, before).attributes
        for name in [name for name in node.attributes if name in new and name not in old]:
            default = onnx.helper.get_attribute_value(new[name].default_value)
            value = node.attributes[name].value
            if value == (default.decode() if isinstance(default, bytes) else default):
                del node.attributes[name]


def _clause(error: Exception) -> str:
    found = re.search(r"No Adapter (From|To) Version \$?(\d+) for (\w+)", str(error))
    if found is None:
        return one_sentence(error).rpartition("failed: ")[2]
    return f"ONNX has no conversion of {found[3]} {found[1].lower()} version {found[2]}"


def check(model: ir.Model) -> None:
    """Run ONNX's checker, with shape inference, on the model without its large weights.

    Raises:
        ExportError: The exporter produced an invalid model.
    """
    try:
        onnx.checker.check_model(skeleton(model, keep_foldable=False).proto, full_check=True)
    except Exception as error:
        raise ExportError(
            f"The exporter produced an invalid ONNX model: {one_sentence(error)}.",
            "Try another opset, or another version of PyTorch.",
        ) from error
