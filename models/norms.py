"""Which norm a net is built with: none, PyTorch's, or the one written by hand."""

from __future__ import annotations

__all__ = ["NORM_KINDS", "NormKind", "make_norm"]

from typing import Any, Literal, get_args

from torch import nn

from bnfuse.errors import UsageError
from bnfuse.models.scratch import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d

NormKind = Literal["none", "torch", "scratch"]
NORM_KINDS: tuple[NormKind, ...] = get_args(NormKind)

_TORCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_SCRATCH = {1: ScratchBatchNorm1d, 2: ScratchBatchNorm2d, 3: ScratchBatchNorm3d}


def make_norm(
    kind: NormKind,
    channels: int,
    *,
    dims: Literal[1, 2, 3] = 2,
    momentum: float | None = None,
    affine: bool = True,
) -> nn.Module:
    """Make the norm of one layer.

    Args:
        kind: ``"none"`` gives ``nn.Identity``, ``"torch"`` ``nn.BatchNorm{dims}d``, ``"scratch"``
            ``ScratchBatchNorm{dims}d``.
        channels: Length of axis 1 of the norm's input.
        dims: Spatial axes of the input: 1 for ``(N, C)`` and ``(N, C, L)``, 2 for images.
        momentum: Weight of the new batch in the moving statistics; ``None`` leaves each
            implementation its own default (0.1 for PyTorch, 0.9 by hand).
        affine: Whether the norm has a learnt scale and shift.

    Raises:
        UsageError: If ``kind`` is none of :data:`NORM_KINDS`.
    """
    if kind == "none":
        return nn.Identity()
    families: dict[str, dict[int, Any]] = {"torch": _TORCH, "scratch": _SCRATCH}
    if kind not in families:
        raise UsageError(
            f"{kind!r} is not a kind of norm.", f"Choose one of: {', '.join(NORM_KINDS)}."
        )
    options = {} if momentum is None else {"momentum": momentum}
    norm: nn.Module = families[kind][dims](channels, affine=affine, **options)
    return norm
