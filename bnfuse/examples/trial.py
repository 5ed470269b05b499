"""One forward pass, to see whether an input is accepted, and why not."""

from __future__ import annotations

import contextlib
import enum
import io
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bnfuse.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from bnfuse.examples.signature import ForwardSignature
    from bnfuse.examples.work import Hollow

__all__ = ["Fit", "Trial", "Trials"]

_TOO_SMALL = re.compile(
    r"too small|can't be greater than actual|larger than input|Expected more", re.I
)

_UNWEIGHED = 1 << 16
"""Elements of all inputs together that are few enough to just try."""

_HEAVY = 1 << 29
"""Elements that one pass may compute: 2 GB of float32, and ten times a ResNet-50's at 224²."""


class Fit(enum.Enum):
    """How an input's size fits."""

    ACCEPTED = "accepted"
    TOO_SMALL = "too small"
    TOO_LARGE = "too large"
    REFUSED = "refused"


@dataclass(frozen=True)
class Trial:
    """What one forward pass showed."""

    fit: Fit
    error: str = ""


@dataclass
class Trials:
    """Runs a module on inputs and remembers what it tried; the module stays as it was.

    Attributes:
        module: In eval mode.
        limit: How many passes are made before everything is refused.
        work: How many elements all passes together may compute, where that was weighed.
        told: Hears of each pass before it is made.
        tried: Each refused input, and why.
        count: How many passes were made.
    """

    module: nn.Module
    limit: int = 96
    work: int = 1 << 32
    told: Callable[[str], None] | None = None
    tried: list[str] = field(default_factory=list)
    count: int = 0
    _hollow: Hollow | None = field(default=None, repr=False)

    @property
    def spent(self) -> bool:
        """Whether no further pass will be made."""
        return self.count >= self.limit or self.work <= 0

    def run(
        self, args: Sequence[Tensor], names: Sequence[str] = (), *, weighed: bool = True
    ) -> Trial:
        """Pass ``args``, by name where ``names`` are given that differ from forward's order."""
        import torch

        from bnfuse.examples.untouched import untouched

        if self.spent:
            return Trial(Fit.REFUSED, "too many inputs were tried")
        shapes = ", ".join(f"{_shape(arg)} {str(arg.dtype)[6:]}" for arg in args)
        if self.told is not None:
            self.told(f"trying {shapes}")
        heavy = self._weighed(args, names) if weighed else None
        self.count += 1
        if heavy:
            self.tried.append(f"{shapes}: {heavy.error}")
            return heavy
        widths: list[tuple[int, int]] = []
        try:
            with (
                torch.no_grad(),
                untouched(self.module),
                warnings.catch_warnings(),
                contextlib.redirect_stdout(io.StringIO()),
                _watched(self.module, widths),
            ):
                warnings.simplefilter("ignore")
                if names:
                    self.module(**dict(zip(names, args, strict=True)))
                else:
                    self.module(*args)
        except (Exception, MemoryError) as error:
            trial = _refusal(error, widths)
            self.tried.append(f"{shapes}: {trial.error}")
            return trial
        return Trial(Fit.ACCEPTED)

    def _weighed(self, args: Sequence[Tensor], names: Sequence[str]) -> Trial | None:
        """Refuse a pass that would take more memory or time than a search is worth.

        The first pass of a module with one input is made as it is: mostly it is the only one.
        """
        if sum(arg.numel() for arg in args) <= _UNWEIGHED or not (self.count or len(args) > 1):
            return None
        if self._hollow is None:
            from bnfuse.examples.work import Hollow

            self._hollow = Hollow(self.module)
        count = self._hollow.elements(args, names)
        if count <= min(_HEAVY, self.work):
            self.work -= count
            return None
        return Trial(Fit.TOO_LARGE, f"not tried: it would compute {count:.1e} numbers")

    def run_named(
        self,
        signature: ForwardSignature,
        args: Sequence[Tensor],
        names: tuple[str, ...],
        *,
        weighed: bool = True,
    ) -> Trial:
        """Pass ``args`` by position if ``names`` are forward's first, by name otherwise."""
        positional = names == signature.names[: len(names)] or signature.variadic
        return self.run(args, () if positional else names, weighed=weighed)

    def accepts(
        self, signature: ForwardSignature, args: Sequence[Tensor], names: tuple[str, ...]
    ) -> bool:
        """Whether a pass with ``args`` succeeds, which someone gave or are like accepted ones."""
        return self.run_named(signature, args, names, weighed=False).fit is Fit.ACCEPTED


@contextlib.contextmanager
def _watched(module: nn.Module, widths: list[tuple[int, int]]) -> Iterator[None]:
    """Record what each Linear gets and wants, for the one that fails says which way to go."""
    from torch import nn

    def note(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(layer, nn.Linear) and inputs[0].ndim:
            widths.append((inputs[0].shape[-1], layer.in_features))

    handles = [
        part.register_forward_pre_hook(note)
        for part in module.modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _refusal(error: BaseException, widths: list[tuple[int, int]]) -> Trial:
    text = f"{type(error).__name__}: {first_line(error)}"
    if widths and widths[-1][0] != widths[-1][1]:
        got, wanted = widths[-1]
        return Trial(Fit.TOO_SMALL if got < wanted else Fit.TOO_LARGE, text)
    return Trial(Fit.TOO_SMALL if _TOO_SMALL.search(str(error)) else Fit.REFUSED, text)


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(str(size) for size in tensor.shape) + ")"
