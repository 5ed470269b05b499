"""Inputs that a module names itself: what its library or its author left on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnfuse.examples.layers import Guess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["hinted_guesses"]


_SEEING = ("vision_config", "backbone_config")


def hinted_guesses(module: nn.Module) -> list[Guess]:
    """Inputs by the attributes that name one.

    ``input_shape`` (without the batch), timm's ``pretrained_cfg["input_size"]`` and transformers'
    ``config.image_size`` with ``config.num_channels``, or those of the part of it that sees, are
    known, and so are bnfuse's own networks.
    """
    return list(_hints(module))


def _hints(module: Any) -> Iterator[Guess]:
    if shape := _sizes(getattr(module, "input_shape", None)):
        yield Guess("the module's input_shape", ("N", *shape))
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(module, name, None)
        if isinstance(config, dict) and (shape := _sizes(config.get("input_size"))):
            yield Guess(f"the module's {name}", ("N", *shape))
    config = getattr(module, "config", None)
    for part in (config, *(getattr(config, name, None) for name in _SEEING)):
        size, channels = getattr(part, "image_size", None), getattr(part, "num_channels", None)
        if isinstance(size, int):
            size = (size, size)
        if isinstance(channels, int) and (shape := _sizes(size)) and len(shape) == 2:
            yield Guess("the module's config", ("N", channels, *shape))

    if type(module).__module__.startswith("bnfuse.models."):
        yield Guess("the digits that bnfuse train uses", ("N", 1, 8, 8))


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        return ()
    if not all(type(size) is int and 0 < size < 1 << 16 for size in value):
        return ()
    return tuple(value) if len(value) <= 4 else ()
