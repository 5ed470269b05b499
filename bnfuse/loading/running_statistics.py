"""Norms whose running statistics are missing, were never trained, or are not in a state_dict.

A norm is recognised by what it keeps: tensors whose names say mean and variance (or deviation), as
buffers, as parameters or as plain attributes, in classes of any name.
"""

from __future__ import annotations

import dis
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

__all__ = [
    "initial_statistics",
    "missing_statistics",
    "statistics_keepers",
    "unsaved_statistics",
]

_MEAN = re.compile(r"(^|_)(mean|means|mu|avg)($|_)")
_SPREAD = re.compile(r"(^|_)(var|vars|variance|std|stds|sigma|stddev)($|_)")


def missing_statistics(module: nn.Module) -> list[str]:
    """Norms whose ``forward`` reads statistics that they do not have, as ``name (Class: mean, …)``.

    Such attributes are set by the first training step only.
    """
    return [
        _named(name, part, absent)
        for name, part in module.named_modules()
        if (absent := _absent(part))
    ]


def unsaved_statistics(module: nn.Module) -> list[str]:
    """Norms that keep their statistics as plain attributes, so that no state_dict holds them."""
    found = []
    for name, part in module.named_modules():
        plain = [key for key in _plain_tensors(part) if _MEAN.search(key) or _SPREAD.search(key)]
        if names := sorted({*plain, *_absent(part)}):
            found.append(_named(name, part, names))
    return found


def initial_statistics(module: nn.Module) -> list[str]:
    """Norms whose mean is all 0 and whose variance is all 1 (or all 0): nothing trained them.

    Returns:
        Their names in the module; the root module's is ``the model``.
    """
    return [
        name or "the model"
        for name, part in module.named_modules()
        if _is_initial(dict(_own_tensors(part)))
    ]


def statistics_keepers(module: nn.Module) -> list[str]:
    """Paths of the parts that hold a mean and a variance (or deviation) themselves."""
    return [
        name
        for name, part in module.named_modules()
        if all(
            any(pattern.search(own) for own, _ in _own_tensors(part))
            for pattern in (_MEAN, _SPREAD)
        )
    ]


def _is_initial(tensors: dict[str, Tensor]) -> bool:
    steps = tensors.get("num_batches_tracked")
    if steps is not None and steps.numel() == 1 and int(steps) > 0:
        return False
    means = [tensor for name, tensor in tensors.items() if _MEAN.search(name)]
    spreads = [tensor for name, tensor in tensors.items() if _SPREAD.search(name)]
    if not (means and spreads):
        return False
    return all(bool((tensor == 0).all()) for tensor in means) and all(
        bool((tensor == 1).all() or (tensor == 0).all()) for tensor in spreads
    )


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, p) for name, p in module.named_parameters(recurse=False))
    yield from ((name, b) for name, b in module.named_buffers(recurse=False))
    yield from _plain_tensors(module).items()


def _plain_tensors(module: nn.Module) -> dict[str, Tensor]:
    import torch

    return {name: value for name, value in vars(module).items() if isinstance(value, torch.Tensor)}


def _absent(module: nn.Module) -> list[str]:
    forward: Any = getattr(type(module), "forward", None)
    code = getattr(forward, "__code__", None)
    if code is None or type(module).__module__.startswith("torch."):
        return []
    absent = {
        name
        for name in _read_from_self(code)
        if (_MEAN.search(name) or _SPREAD.search(name)) and not hasattr(module, name)
    }
    return sorted(absent)


def _read_from_self(code: Any) -> Iterator[str]:
    """Names that a method reads as ``self.name``."""
    if not code.co_argcount:
        return
    own = code.co_varnames[0]
    before: Any = None
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_ATTR" and before == own:
            yield step.argval
        before = None
        if step.opname.startswith("LOAD_FAST"):
            # Later Pythons load two locals with one instruction; the second is on top.
            before = step.argval[-1] if isinstance(step.argval, tuple) else step.argval


def _named(name: str, module: nn.Module, attributes: list[str]) -> str:
    return f"{name or 'the model'} ({type(module).__name__}: {', '.join(attributes)})"
