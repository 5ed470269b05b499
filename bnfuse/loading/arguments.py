"""What callers give in memory: the objects that hold a model, arrays for tensors, one for several.

Nothing here imports torch: an object of torch's shows itself by the modules it came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bnfuse.errors import LoadError, UsageError

if TYPE_CHECKING:
    import onnx

    from bnfuse.examples.example import ExampleInputs

__all__ = ["Given", "as_source", "as_tensors", "several"]

_TAKEN = (
    "Give an nn.Module, a path, the bytes of an ONNX file, an onnx.ModelProto, an onnx_ir.Model, "
    "an ExportedProgram or what bnfuse.load, bnfuse.export or bnfuse.fold returned."
)


class Given(NamedTuple):
    """A model that a caller gave.

    Attributes:
        source: A path, an ``nn.Module``, an ``onnx.ModelProto``, an ``onnx_ir.Model``, or the
            tensors of a state_dict by their names.
        inputs: Example inputs that came with it.
    """

    source: Any
    inputs: ExampleInputs | None = None


def as_source(given: Any) -> Given:
    """The model inside what a caller gave.

    Raises:
        LoadError: Bytes are no ONNX model.
        UsageError: There is no model in it.
    """
    if isinstance(given, str | os.PathLike):
        return Given(Path(os.fsdecode(given)))
    if isinstance(given, bytes | bytearray | memoryview):
        return Given(_parsed(bytes(given)))
    if _is_onnx(given):
        return Given(given)
    if _is_onnx(inner := getattr(given, "model", None)):
        # A Folded, an Exported, the LoadedModel of an ONNX file, torch's ONNXProgram.
        return Given(inner)
    torch = sys.modules.get("torch")
    if torch is None:
        raise _no_model(given)
    if isinstance(given, torch.nn.Module):
        return Given(given)
    if isinstance(module := getattr(given, "module", None), torch.nn.Module):
        return Given(module, getattr(given, "inputs", None))
    if "torch.export" in sys.modules and isinstance(given, torch.export.ExportedProgram):
        from bnfuse.loading.programs import saved_inputs

        return Given(given.module(), saved_inputs(given))
    if isinstance(given, Mapping) and any(map(torch.is_tensor, given.values())):
        return Given(dict(given))
    for key, value in given.items() if isinstance(given, Mapping) else ():
        if isinstance(value, Mapping) and any(map(torch.is_tensor, value.values())):
            raise UsageError(
                f"A checkpoint in memory is not a model; its {key!r} is a state_dict.",
                f"Give checkpoint[{key!r}], and the module that it belongs to as model.",
            )
    raise _no_model(given)


def as_tensors(inputs: Any) -> Any:
    """The same inputs, on the CPU, with tensors in the place of arrays.

    Raises:
        UsageError: A tensor is on the meta device, so it has no values.
    """
    import torch

    if isinstance(inputs, Mapping):
        return {name: as_tensors(value) for name, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [as_tensors(value) for value in inputs]
    if isinstance(inputs, np.ndarray | np.generic):
        return torch.from_numpy(np.array(inputs))
    if not isinstance(inputs, torch.Tensor):
        return inputs
    if inputs.is_meta:
        raise UsageError(
            "An example input is on the meta device: it has a shape and no values.",
            "Give a tensor with values, or none, and the shape as input_shapes.",
        )
    return inputs.detach().cpu()


def several(values: str | Iterable[str]) -> tuple[str, ...]:
    """Strings, one alone included, which would else be taken for its characters.

    Raises:
        UsageError: They are no strings.
    """
    if isinstance(values, str):
        return (values,)
    found = tuple(values) if isinstance(values, Iterable) else (values,)
    wrong = next((value for value in found if not isinstance(value, str)), None)
    if wrong is not None or None in found:
        raise UsageError(
            f"{wrong!r} is not a string.",
            'Providers, shapes and classes are strings: "cpu", "N,3,224,224", "mynets.Net".',
        )
    return found


def _parsed(data: bytes) -> onnx.ModelProto:
    import onnx

    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except Exception:
        model = onnx.ModelProto()
    if not model.graph.output:
        raise LoadError(
            f"The {len(data):,} bytes given are no ONNX model.",
            "Write them to a file of the kind that they are, and give its path.",
        )
    return model


def _is_onnx(given: Any) -> bool:
    kind = f"{type(given).__module__.split('.')[0]}.{type(given).__name__}"
    return kind in ("onnx.ModelProto", "onnx_ir.Model")


def _no_model(given: Any) -> UsageError:
    if isinstance(given, type):
        name = given.__name__
        return UsageError(f"{name} is a class, not a model made of it.", f"Give {name}(…).")
    return UsageError(f"An object of type {type(given).__name__} is not a model.", _TAKEN)
