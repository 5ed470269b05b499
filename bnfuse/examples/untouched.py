"""Put a module back as it was, whatever an exporter or its own ``forward`` did to it."""

from __future__ import annotations

__all__ = ["untouched"]

import random
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Restore the module and the random generators on leaving.

    Restored are, for every submodule: its attributes (training flags, hooks, parameters, buffers
    and submodules are among them), the contents of its list, dict, set and deque attributes, and
    the values of its buffers and tensor attributes. Parameters are expected to stay constant in
    inference and are not copied.
    """
    restore = [_snapshot(part) for part in module.modules()]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            for undo in restore:
                undo()
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _snapshot(part: nn.Module) -> Callable[[], None]:
    attributes = dict(part.__dict__)
    contents = [_contents(value) for value in attributes.values()]
    tensors = [
        (tensor, tensor._version, tensor.detach().clone())
        for tensor in (*part._buffers.values(), *attributes.values())
        if isinstance(tensor, torch.Tensor) and not tensor.is_inference()
    ]

    def undo() -> None:
        part.__dict__.clear()
        part.__dict__.update(attributes)
        for refill in contents:
            refill()
        with torch.no_grad():
            for tensor, version, values in tensors:
                if tensor._version != version:
                    tensor.copy_(values)

    return undo


def _contents(value: Any) -> Callable[[], None]:
    if isinstance(value, dict):
        return _refill(value, lambda: list(value.items()), value.update)
    if isinstance(value, (list, deque)):
        return _refill(value, lambda: list(value), value.extend)
    if isinstance(value, set):
        return _refill(value, lambda: list(value), value.update)
    return _nothing


def _refill(
    container: Any, read: Callable[[], list[Any]], fill: Callable[[list[Any]], Any]
) -> Callable[[], None]:
    before = read()

    def undo() -> None:
        now = read()
        if len(now) != len(before) or any(
            a is not b for a, b in zip(_flat(now), _flat(before), strict=True)
        ):
            container.clear()
            fill(before)

    return undo


def _flat(elements: list[Any]) -> Iterator[Any]:
    for element in elements:
        # items() makes its pairs anew each time.
        yield from element if isinstance(element, tuple) else (element,)


def _nothing() -> None:
    return None
