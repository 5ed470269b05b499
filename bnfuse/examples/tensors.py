"""Example tensors: their dtypes and their values."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

__all__ = ["TensorMaker", "parse_dtype"]

_SEED = 0
_SHORT_DTYPES = {
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "float": "float32",
    "double": "float64",
    "fp64": "float64",
    "int": "int32",
    "long": "int64",
}
_DTYPE_NAMES = "float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 bool"
_DTYPES = tuple(_DTYPE_NAMES.split())


def parse_dtype(name: str | torch.dtype | None) -> torch.dtype | None:
    """The dtype of a name such as ``float16``, ``half``, ``fp16`` or ``int64``.

    Raises:
        UsageError: There is none of that name.
    """
    import torch

    if name is None or isinstance(name, torch.dtype):
        return name
    full = _SHORT_DTYPES.get(name.removeprefix("torch.").lower(), name.removeprefix("torch."))
    if full not in _DTYPES:
        raise UsageError(f"--dtype {name} is not known.", f"Give one of {', '.join(_DTYPES)}.")
    found: torch.dtype = getattr(torch, full)
    return found


@dataclass
class TensorMaker:
    """Makes example tensors: normal floats in the module's dtype, integers in a table's range."""

    module: nn.Module
    dtype: torch.dtype | None

    def make(self, shape: Sequence[int], bound: int | None) -> torch.Tensor:
        """A tensor of ``shape``: floats, or integers below ``bound`` where there is one."""
        import torch

        generator = torch.Generator().manual_seed(_SEED)
        dtype = self.dtype
        if bound is not None and (dtype is None or dtype.is_floating_point):
            dtype = torch.int64
        dtype = dtype or _floating_dtype(self.module)
        if dtype.is_floating_point:
            return torch.randn(*shape, generator=generator).to(dtype)
        top = 2 if dtype is torch.bool else min(bound or 2, torch.iinfo(torch.int8).max + 1)
        return torch.randint(max(top, 1), tuple(shape), generator=generator).to(dtype)


def _floating_dtype(module: nn.Module) -> torch.dtype:
    import torch

    tensors = itertools.chain(
        module.parameters(),
        module.buffers(),
        (v for part in module.modules() for v in vars(part).values() if torch.is_tensor(v)),
    )
    for tensor in tensors:
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32
