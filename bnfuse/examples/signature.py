"""What a module's ``forward`` takes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import InputShapeError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ForwardSignature", "signature_of"]

_LIKELY = ("pixel_values", "input_ids", "x", "input", "inputs", "image", "images", "input_values")
_TOGETHER = frozenset({"input_ids", "pixel_values"})


@dataclass(frozen=True)
class ForwardSignature:
    """Parameters of ``forward`` that an input can go to.

    Attributes:
        required: Those without a default; the likeliest one if all have defaults.
        names: All of them, in order.
        variadic: Whether it takes any number of positional arguments.
        together: Two that a net with a default for all may want at once, an image and its text, in
            the order of ``names``.
    """

    required: tuple[str, ...]
    names: tuple[str, ...]
    variadic: bool = False
    together: tuple[str, ...] = ()

    def leading(self, count: int) -> tuple[str, ...]:
        """Names for ``count`` positional arguments.

        Raises:
            InputShapeError: ``forward`` does not take so many.
        """
        if count <= len(self.names):
            return self.names[:count]
        if not self.variadic:
            raise InputShapeError(
                f"{count} inputs were given, and forward takes {len(self.names)} "
                f"({', '.join(self.names)}).",
                "Give one for each of its parameters.",
            )
        return (*self.names, *(f"input_{i}" for i in range(len(self.names), count)))


def signature_of(module: nn.Module) -> ForwardSignature:
    """The parameters of ``module.forward``."""
    schema = getattr(module.forward, "schema", None)
    if schema is not None:
        names = tuple(argument.name for argument in schema.arguments[1:])
        required = tuple(a.name for a in schema.arguments[1:] if not a.has_default_value())
        return ForwardSignature(required or names[:1], names)
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return ForwardSignature(("input",), ("input",), variadic=True)
    usable = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    names = tuple(p.name for p in usable)
    required = tuple(p.name for p in usable if p.default is p.empty)
    if not names and variadic:
        return ForwardSignature(("input",), ("input",), variadic=True)
    both = tuple(name for name in names if name in _TOGETHER)
    together = both if len(both) > 1 and not required else ()
    return ForwardSignature(required or _likeliest(module, names), names, variadic, together)


def _likeliest(module: nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    main = getattr(module, "main_input_name", None)
    for name in (main, *_LIKELY, *names):
        if name in names:
            return (str(name),)
    return ()
