"""How much a forward pass would compute, found without computing it."""

from __future__ import annotations

__all__ = ["elements"]

import copy
import logging
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the elements of everything that an operator returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        parts = result if isinstance(result, tuple | list) else (result,)
        self.total += sum(part.numel() for part in parts if isinstance(part, torch.Tensor))
        return result


def elements(module: nn.Module, args: Sequence[Tensor], names: Sequence[str] = ()) -> int:
    """The elements of all values that a pass computes, up to where it fails.

    The pass is made on a copy, with tensors that have shapes and no numbers, so that it neither
    takes memory nor leaves anything behind. What PyTorch cannot follow that way counts nothing.
    """
    count = _Count()
    disabled = logging.root.manager.disable
    # PyTorch logs the traceback of every shape that does not fit.
    logging.disable(logging.CRITICAL)
    try:
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        with FakeCopyMode(mode):
            hollow = copy.deepcopy(module)
        with torch.no_grad(), mode, count:
            shapes = [torch.empty(arg.shape, dtype=arg.dtype) for arg in args]
            if names:
                hollow(**dict(zip(names, shapes, strict=True)))
            else:
                hollow(*shapes)
    except Exception:
        return count.total
    finally:
        logging.disable(disabled)
    return count.total
