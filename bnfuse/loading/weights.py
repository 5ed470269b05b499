"""Putting weights into a module that a factory built, and saying exactly what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnfuse.errors import LoadError
from bnfuse.loading.consent.imports import build_module
from bnfuse.loading.running_statistics import unsaved_statistics
from bnfuse.wording import command, few, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["fill_module", "read_safetensors", "strip_wrapper_prefixes"]

_WRAPPERS = ("module.", "_orig_mod.")
_COUNTER = "num_batches_tracked"
"""A counter of training steps, absent from old files and without effect in inference."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        LoadError: The file is damaged.
    """
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path, device="cpu")
    except Exception as error:
        raise LoadError(
            f"{path} is a damaged safetensors file: {first_line(error)}.",
            "Copy or download the file again.",
        ) from error
    return tensors


def strip_wrapper_prefixes(names: Sequence[str]) -> dict[str, str]:
    """Each name without what ``DataParallel`` and ``torch.compile`` put before all of them.

    >>> strip_wrapper_prefixes(["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"])
    {'module._orig_mod.fc.weight': 'fc.weight', 'module._orig_mod.fc.bias': 'fc.bias'}
    """
    short = {name: name for name in names}
    while prefix := _shared_prefix(list(short.values())):
        short = {name: rest.removeprefix(prefix) for name, rest in short.items()}
    # torch.compile of a part of a model leaves its prefix inside the names.
    return {name: rest.replace("._orig_mod.", ".") for name, rest in short.items()}


def _shared_prefix(names: list[str]) -> str:
    for prefix in _WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    return ""


def _common_prefix(names: list[str]) -> str:
    first, last = min(names, default=""), max(names, default="")
    parts = []
    for one, other in zip(first.split(".")[:-1], last.split(".")[:-1], strict=False):
        if one != other:
            break
        parts.append(one + ".")
    return "".join(parts)


def fill_module(
    path: Path, weights: Mapping[str, Any], model: str | None, trust: bool = False
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build the architecture and load the weights into it.

    Args:
        path: Where the weights are from, for errors.
        weights: Tensors by their names.
        model: ``package.module:factory``, as ``--model`` takes it.
        trust: Whether that module may run more than definitions when it is imported.

    Returns:
        The module, in the floating dtype of the weights where they share one, and notes.

    Raises:
        LoadError: No factory is given, or what it builds does not fit; a few keys of each kind of
            misfit are named, with counts.
    """
    import torch

    if model is None:
        raise LoadError(
            f"{path} holds {len(weights)} tensors ({few(list(weights))}) and no architecture.",
            f"Name what builds it: {command(path, '--model', 'package.module:factory')} (a "
            'function or class, without arguments or as "package.module:factory(key=value)").',
        )
    module = build_module(model, trust).eval()
    tensors = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    expected = module.state_dict()
    named, notes = _fit_names(tensors, expected)
    _check_fit(path, named, expected, model, module)
    dtypes = {tensor.dtype for tensor in named.values() if tensor.is_floating_point()}
    if len(dtypes) == 1 and any(
        tensor.is_floating_point() and tensor.dtype not in dtypes
        for tensor in expected.values()
        if isinstance(tensor, torch.Tensor)
    ):
        (dtype,) = dtypes
        module = module.to(dtype)
        notes += (f"the weights are {dtype}, so the module is too",)
    extra = {name: value for name, value in weights.items() if name.endswith("_extra_state")}
    try:
        module.load_state_dict({**extra, **named}, strict=False)
    except Exception as error:
        raise LoadError(
            f"{path} cannot be loaded into --model {model}: {first_line(error)}."
        ) from error
    unsaved = unsaved_statistics(module)
    if unsaved:
        notes += (
            f"{few(unsaved)}: statistics kept as plain attributes are not in a state_dict, so the "
            "values that the constructor set are used",
        )
    return module, notes


def _fit_names(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Any]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    if set(tensors) >= set(expected):
        return dict(tensors), ()
    # AveragedModel keeps its own counter beside the wrapped module.
    short = strip_wrapper_prefixes([name for name in tensors if name != "n_averaged"])
    candidates = [short]
    prefix = _common_prefix(list(short.values()))
    if prefix:
        candidates.append({name: rest.removeprefix(prefix) for name, rest in short.items()})
    best = max(candidates, key=lambda names: len(set(names.values()) & set(expected)))
    if len(set(best.values()) & set(expected)) <= len(set(tensors) & set(expected)):
        return dict(tensors), ()
    first = next(name for name in best if best[name] != name)
    note = f"key {first} was read as {best[first]}, and the others likewise"
    return {best[name]: tensor for name, tensor in tensors.items() if name in best}, (note,)


def _check_fit(
    path: Path,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Any],
    model: str,
    module: nn.Module,
) -> None:
    missing = [
        name
        for name in expected
        if name not in tensors and not name.endswith((_COUNTER, "_extra_state"))
    ]
    unexpected = [n for n in tensors if n not in expected and not n.endswith(_COUNTER)]
    shapes = [
        f"{name} is {tuple(tensor.shape)} where the model has {tuple(expected[name].shape)}"
        for name, tensor in tensors.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if not (missing or unexpected or shapes):
        return
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(expected)} keys are missing ({few(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected)} are unexpected ({few(unexpected)})")
    if shapes:
        parts.append(f"{len(shapes)} have another shape ({few(shapes, '; ')})")
    unsaved = unsaved_statistics(module)
    if unsaved:
        parts.append(f"{few(unsaved)} keep their statistics as plain attributes")
    raise LoadError(
        f"{path} does not fit --model {model}: {', '.join(parts)}.",
        "Name the factory that built these weights, with its arguments: "
        f'--model "{model.partition("(")[0]}(key=value)".',
    )
