"""What a module returns, as a flat row of named tensors."""

from __future__ import annotations

__all__ = ["flatten", "flattened_outputs", "output_names"]

import dataclasses
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

Flat = list[tuple[tuple[str, ...], torch.Tensor]]


def flatten(output: Any) -> Flat:
    """Return every tensor in a module's output with its path of keys, in order.

    Tuples and lists are walked by position, mappings by key, dataclasses and named tuples by
    field. Anything that is neither a tensor nor one of these (None, a number, a string) is no
    output of a graph and is left out.
    """
    if isinstance(output, torch.Tensor):
        return [((), output)]
    return [
        ((key, *path), tensor) for key, part in _parts(output) for path, tensor in flatten(part)
    ]


def _parts(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(key), part) for key, part in output.items()]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = dataclasses.fields(output)
        return [(field.name, getattr(output, field.name)) for field in fields]
    if isinstance(output, (tuple, list)):
        keys = getattr(output, "_fields", range(len(output)))
        return [(str(key), part) for key, part in zip(keys, output, strict=True)]
    return []


def output_names(flat: Flat) -> list[str]:
    """Name each output after its keys: ``logits``, ``states_0``, ``output`` for a lone tensor.

    A name that is only a position gets ``output_`` before it, so that it is an identifier.
    """
    names = []
    for path, _ in flat:
        name = re.sub(r"\W", "_", "_".join(path)) or "output"
        names.append(f"output_{name}" if name[0].isdigit() else name)
    return names


@contextmanager
def flattened_outputs(module: nn.Module) -> Iterator[None]:
    """Let the module return a flat tuple of tensors, which every exporter understands."""

    def hook(_module: nn.Module, _args: Any, output: Any) -> tuple[torch.Tensor, ...]:
        return tuple(tensor for _, tensor in flatten(output))

    if isinstance(module, torch.jit.ScriptModule):
        # It takes no hooks, and returns what TorchScript has a type for.
        yield
        return
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
