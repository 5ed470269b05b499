"""How much a forward pass would compute, found without computing it."""

from __future__ import annotations

__all__ = ["Hollow"]

import contextlib
import copy
import logging
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from bnfuse.examples.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class Hollow:
    """A copy of a module that has shapes and no numbers: passes take no memory and leave nothing.

    It is made once for all passes: where a module has many parts, that takes longer than a pass.
    """

    def __init__(self, module: nn.Module) -> None:
        """Copy ``module``, which stays as it was."""
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._copy: nn.Module | None = None
        # What PyTorch does not copy counts nothing.
        with contextlib.suppress(Exception), _unlogged(), FakeCopyMode(self._mode):
            self._copy = copy.deepcopy(module)

    def elements(self, args: Sequence[Tensor], names: Sequence[str] = ()) -> int:
        """The elements of all values that a pass computes, up to where it fails.

        What PyTorch cannot follow without numbers counts nothing.
        """
        count = _Count()
        if self._copy is None:
            return 0
        with (
            contextlib.suppress(Exception), _unlogged(), untouched(self._copy),
            torch.no_grad(), self._mode, count,
        ):  # fmt: skip
            shapes = [torch.empty(arg.shape, dtype=arg.dtype) for arg in args]
            if names:
                self._copy(**dict(zip(names, shapes, strict=True)))
            else:
                self._copy(*shapes)
        return count.total


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """PyTorch logs the traceback of every shape that does not fit."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
