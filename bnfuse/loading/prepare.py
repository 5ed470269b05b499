"""Making a loaded module ready: wrappers off, on the CPU, in eval mode; and what is odd in it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from bnfuse.errors import LoadError
from bnfuse.loading.running_statistics import initial_statistics, missing_statistics
from bnfuse.wording import few, first_line, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

__all__ = ["on_cpu", "prepare", "set_eval", "unwrap"]

_MAX_WRAPPERS = 4


def unwrap(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module inside ``DataParallel``, ``torch.compile`` and weight averaging; their names."""
    from torch import nn
    from torch.nn.parallel import DataParallel, DistributedDataParallel
    from torch.optim.swa_utils import AveragedModel

    taken: list[str] = []
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, DataParallel | DistributedDataParallel | AveragedModel):
            inner = module.module
        if not isinstance(inner, nn.Module) or len(taken) > _MAX_WRAPPERS:
            return module, tuple(taken)
        taken.append(type(module).__name__)
        module = inner


def prepare(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Take wrappers off, move everything to the CPU, set eval mode, in place.

    Tensors that are plain attributes are moved as well: ``module.to`` does not know of them.

    Returns:
        The module inside its wrappers, and notes for a person.

    Raises:
        LoadError: A norm has no running statistics, or the module has no data at all (on ``meta``).
    """
    import torch

    module, wrappers = unwrap(module)
    notes = [f"{name} taken off" for name in wrappers]
    _elsewhere(module)
    module = module.to("cpu")
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if not name.startswith("_"):
                moved = _map_tensors(value, _to_cpu)
                if moved is not value:
                    vars(part)[name] = moved
            if isinstance(value, torch.device) and value.type != "cpu":
                vars(part)[name] = torch.device("cpu")
    if any(part.training for part in module.modules()):
        notes.extend(_set_eval(module))
    missing = missing_statistics(module)
    if missing:
        raise LoadError(
            f"{_count(missing, 'norm')} without running statistics: {few(missing)}; they are "
            "plain attributes, which the first training step sets and a state_dict does not hold.",
            "Train the model first, and save all of it with torch.save(model, path).",
        )
    initial = initial_statistics(module)
    if initial:
        notes.append(
            f"{_count(initial, 'norm')} with initial statistics (mean 0, variance 1 or 0), as if "
            f"never trained: {few(initial)}"
        )
    return module, tuple(notes)


def on_cpu(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """A module out of its wrappers, or, if it is on another device, a copy of it made ready.

    Of a compiled module nothing is compiled: what is inside computes the same.

    Returns:
        The module, and notes for a person.

    Raises:
        LoadError: It has no values (on ``meta``), or is elsewhere and cannot be copied.
    """
    module, wrappers = unwrap(module)
    taken = tuple(f"{name} taken off" for name in wrappers)
    devices = _elsewhere(module)
    if not devices:
        return module, taken
    try:
        copied = copy.deepcopy(module)
    except Exception as error:
        raise LoadError(
            f"The module is on {listed(devices)} and cannot be copied: {first_line(error)}.",
            "Give it on the CPU: module.cpu().",
        ) from error
    copied, notes = prepare(copied)
    return copied, (*taken, f"is on {listed(devices)}: a copy on the CPU was taken", *notes)


def _elsewhere(module: nn.Module) -> list[str]:
    """The devices other than the CPU that a module's tensors are on."""
    devices = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    if any(device.type == "meta" for device in devices):
        raise LoadError(
            "The module's tensors are on the meta device: they have shapes and no values.",
            "Load its weights, then save it again.",
        )
    return sorted(str(device) for device in devices if device.type != "cpu")


def set_eval(module: nn.Module) -> bool:
    """Put a module in eval mode and return whether it has modes: an exported program has none."""
    try:
        module.eval()
    except NotImplementedError:
        for part in module.modules():
            part.training = False
        return False
    return True


def _set_eval(module: nn.Module) -> list[str]:
    was_training = module.training
    if not set_eval(module):
        return []
    return [
        "was in training mode: put in eval mode"
        if was_training
        else "parts of it were in training mode: put in eval mode"
    ]


def _to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    # What a training step left in an attribute may still hang on its graph.
    return tensor.detach().cpu() if tensor.requires_grad or tensor.device.type != "cpu" else tensor


def _map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    import torch

    if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        return change(value)
    if type(value) in (list, tuple):
        new = [_map_tensors(item, change) for item in value]
        if all(a is b for a, b in zip(new, value, strict=True)):
            return value
        return type(value)(new)
    if type(value) is dict:
        changed = {key: _map_tensors(item, change) for key, item in value.items()}
        return value if all(changed[key] is value[key] for key in value) else changed
    return value


def _count(names: list[str], noun: str) -> str:
    return f"{len(names)} {noun}" + ("s" if len(names) > 1 else "")
