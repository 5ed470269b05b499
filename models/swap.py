"""Replace every ``nn.BatchNorm*`` of a model by another spelling of the same function."""

from __future__ import annotations

__all__ = ["SPELLINGS", "swap_norms"]

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from bnfuse.errors import UsageError
from bnfuse.models import spellings
from bnfuse.models.scratch import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d
from bnfuse.models.subclassed import subclassed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DIMS = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}
_SCRATCH = {1: ScratchBatchNorm1d, 2: ScratchBatchNorm2d, 3: ScratchBatchNorm3d}
_STOCK_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def swap_norms(model: nn.Module, spelling: str = "scratch") -> nn.Module:
    """Replace every batch norm in ``model`` by the same function spelt otherwise.

    The model is changed **in place** and returned; only a model that is itself a batch norm comes
    back as another object. Nothing is changed if any norm is refused. A norm that the model holds
    in several places stays one module, held in the same places. Tensors are copied with their
    dtype and device, and the training flag is kept.

    In evaluation the function is exactly the norm's. In training it is too, with the same running
    statistics, but for two spellings: ``"scratch"`` keeps the momentum and averages the *biased*
    variance (:mod:`bnfuse.models.scratch`), and ``"frozen"`` always uses the stored statistics.

    A subclass with a ``forward`` of its own is replaced by the norm, followed by the subclass's
    child modules where it runs them after it (an activation, a dropout). Whether that is the same
    function is tried out on random numbers in float64.

    Args:
        model: Any module.
        spelling: One of :data:`SPELLINGS`.

    Returns:
        The model.

    Raises:
        UsageError: If ``spelling`` is unknown, or a norm has no running statistics, has not seen an
            input yet (a lazy one), carries hooks, does something else in its own ``forward``, or
            cannot be written in this spelling.
    """
    if spelling not in SPELLINGS:
        raise UsageError(
            f"{spelling!r} is not a spelling of batch norm.",
            f"Choose one of: {', '.join(SPELLINGS)}.",
        )
    respell = SPELLINGS[spelling]
    replacements = {
        id(module): _replacement(module, name, respell)
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    }
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in replacements:
                parent._modules[name] = replacements[id(child)]
    return replacements.get(id(model), model)


def _replacement(
    norm: _BatchNorm, name: str, respell: Callable[[_BatchNorm], nn.Module]
) -> nn.Module:
    where = f"The norm {name or 'given'} ({type(norm).__name__})"
    _refuse_unfit(norm, where)
    spelt = respell(norm)
    candidates = [spelt]
    if type(norm).forward not in _STOCK_FORWARDS:
        candidates.append(nn.Sequential(spelt, *norm.children()))
        candidates = [candidate for candidate in candidates if _same_function(norm, candidate)]
    if not candidates:
        raise UsageError(
            f"{where} does more in its forward than a norm and its child modules.",
            "Replace that module by hand first.",
        )
    return candidates[0].train(norm.training)


def _refuse_unfit(norm: _BatchNorm, where: str) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise UsageError(
            f"{where} has no running statistics: it norms each batch by the batch itself.",
            "Build it with track_running_stats=True and train it.",
        )
    if is_lazy(norm.running_mean):
        raise UsageError(
            f"{where} does not know its channels yet.", "Run the model once on an input."
        )
    if norm._forward_hooks or norm._forward_pre_hooks:
        raise UsageError(
            f"{where} carries forward hooks, which a replacement would lose.", "Remove them."
        )


def _same_function(norm: _BatchNorm, candidate: nn.Module) -> bool:
    """Whether both map the same random batch to the same numbers, in evaluation and float64."""
    generator = torch.Generator().manual_seed(0)
    shape = (4, norm.num_features, 3, 3, 3)[: 2 + (_dims(norm) or 2)]
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3
    before, after = (copy.deepcopy(module).cpu().double().eval() for module in (norm, candidate))
    with torch.no_grad():
        try:
            return torch.allclose(before(x.clone()), after(x.clone()), rtol=1e-9, atol=1e-9)
        except (RuntimeError, TypeError, ValueError):
            return False


def _dims(norm: _BatchNorm) -> int | None:
    return next((dims for family, dims in _DIMS.items() if isinstance(norm, family)), None)


def _known_dims(norm: _BatchNorm) -> int:
    dims = _dims(norm)
    if dims is None:
        raise UsageError(
            f"A {type(norm).__name__} does not say how many axes its input has, which this spelling"
            " must know.",
            "Choose another, for instance 'functional'.",
        )
    return dims


def _scratch(norm: _BatchNorm) -> nn.Module:
    if norm.momentum is None:
        raise UsageError(
            "A norm with momentum=None averages all batches alike, which 'scratch' does not know.",
            "Choose another spelling, for instance 'functional'.",
        )
    made = _SCRATCH[_known_dims(norm)](
        norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=False
    )
    shape = made.parameter_shape
    for theirs, ours in (("weight", "gamma"), ("bias", "beta")):
        source = getattr(norm, theirs)
        if source is not None:
            tensor = source.detach().clone().view(shape)
            made.register_parameter(ours, nn.Parameter(tensor, source.requires_grad))
    for theirs, ours in (("running_mean", "moving_mean"), ("running_var", "moving_var")):
        made.register_buffer(ours, getattr(norm, theirs).detach().clone().view(shape))
    return made


def _subclass(norm: _BatchNorm) -> nn.Module:
    return subclassed(norm, _known_dims(norm))


SPELLINGS: Mapping[str, Callable[[_BatchNorm], nn.Module]] = MappingProxyType(
    {
        "scratch": _scratch,
        "functional": spellings.FunctionalBatchNorm,
        "frozen": spellings.FrozenBatchNorm,
        "rsqrt": spellings.RsqrtBatchNorm,
        "power": spellings.PowerBatchNorm,
        "addcmul": spellings.AddcmulBatchNorm,
        "reversed": spellings.ReversedBatchNorm,
        "expanded": spellings.ExpandedBatchNorm,
        "indexed": spellings.IndexedBatchNorm,
        "channels-last": spellings.ChannelsLastBatchNorm,
        "flattened": spellings.FlattenedBatchNorm,
        "subclass": _subclass,
    }
)
"""What ``swap_norms`` can write, by name; each makes a module from a norm."""
